"""A coordinator that answers anything at all: always a clear error, never a crash, a hang or a stray file.

One session of a device, with the bytes of one answer changed: at the level of HTTP, or by a coordinator that holds the
right key and signs nonsense. `FEDRELA_FUZZ_CASES=20000 python -m pytest tests/edge/network/test_fuzz.py` runs as many
cases.
"""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fedrela.conformance.files import PUBLISHER, PUBLISHER_KEY
from fedrela.core import bundle as bundles
from fedrela.core import signing, strict
from fedrela.core.bundle import Bundle
from fedrela.core.errors import FedRelaError
from fedrela.core.protocol import seals, statements
from fedrela.core.protocol.key_chain import KeyChain
from fedrela.core.protocol.links import Link
from fedrela.core.task import LocalTraining, Relabel
from fedrela.core.wire import Assignment, CheckIn, CheckInResponse, EnrollResponse, UpdateReceipt
from fedrela.edge.client import DeviceClient, Outcome, enroll
from fedrela.edge.engines.pool import EnginePool
from fedrela.edge.network.api import CoordinatorApi, Retry
from fedrela.edge.storage.store import FolderStore, MemoryStore
from tests.edge.conftest import some_examples
from tests.edge.live import small_task
from tests.edge.network.changed_bytes import byte_changes, json_changes

CASES = int(os.environ.get("FEDRELA_FUZZ_CASES", "300"))
SIGNING_KEY = "3c" * 32
LINK = Link("http://localhost", "token", signing.fingerprint(signing.public_key(SIGNING_KEY)), (PUBLISHER,))
SECONDS = 10  # a case that takes longer hangs
PARTS = ("enrolment", "check-in", "receipt", "task", "manifest", "checkpoint", "golden", "program")
TASK = small_task(local=LocalTraining(epochs=1, batch_size=8), relabel=Relabel(start=1))


TASK_BODY = strict.to_json(TASK)


@cache
def read(folder: Path, name: str) -> bytes:
    """A file of the bundle, from memory."""
    return (folder / name).read_bytes()


def manifest_naming(bundle: Bundle, golden_sha256: str, golden_bytes: int) -> bytes:
    """The manifest with another golden file."""
    body, named = read(bundle.folder, "manifest.json"), bundle.manifest.golden
    body = body.replace(named.sha256.encode(), golden_sha256.encode())
    return body.replace(b'"size_bytes":%d' % named.size_bytes, b'"size_bytes":%d' % golden_bytes)


class MaliciousCoordinator:
    """Answers one device; `change` rewrites the bytes of `part`, before hashing and signing if `sign`."""

    def __init__(self, bundle: Bundle, part: str, change: Callable[[bytes], bytes], *, sign: bool) -> None:
        self.part, self.change, self.sign = part, change, sign
        self.blobs: dict[str, bytes] = {}
        for name in bundles.PROGRAMS:
            self.add("program", read(bundle.folder, f"{name}.onnx"), signed=False)
        golden = self.add("golden", read(bundle.folder, "golden.safetensors"))
        self.manifest = self.add("manifest", manifest_naming(bundle, golden, len(self.blobs[golden])))
        self.task = self.add("task", TASK_BODY)
        self.checkpoint = self.add("checkpoint", read(bundle.folder, "weights.safetensors"))

    def add(self, part: str, body: bytes, *, signed: bool = True) -> str:
        """Store a blob: its name fits its bytes if they were changed before signing."""
        changed = self.change(body) if part == self.part else body
        name = signing.sha256(changed if self.sign and signed else body)
        self.blobs[name] = changed
        return name

    def handle(self, request: httpx.Request) -> httpx.Response:
        """One answer."""
        path = request.url.path
        if path == "/v1/devices":
            answer = EnrollResponse("d-1", "t" * 20, signing.public_key(SIGNING_KEY), "default")
            return self.json("enrolment", answer)
        if path == "/v1/check-ins":
            nonce = strict.from_json(CheckIn, request.content).nonce
            return self.json("check-in", CheckInResponse(assignment=self.assignment(nonce)), nonce)
        if path == "/v1/keys":
            return self.json("keys", KeyChain())
        if path.startswith("/v1/blobs/"):
            body = self.blobs.get(path.rsplit("/", 1)[1])
            return httpx.Response(404) if body is None else answer_with(body)
        return self.json("receipt", UpdateReceipt(1)) if path.endswith("/update") else httpx.Response(204)

    def json(self, part: str, message: Any, nonce: str = "") -> httpx.Response:
        """A message of the protocol, perhaps changed; a changed assignment is signed as it is now, if `sign`."""
        body = strict.to_json(message)
        if part != self.part:
            return answer_with(body)
        changed = self.change(body)
        if nonce and self.sign:
            with suppress(FedRelaError):
                offered = strict.from_json(CheckInResponse, changed).assignment
                if offered is not None:
                    changed = strict.to_json(CheckInResponse(assignment=self.signed(offered, nonce)))
        return answer_with(changed)

    def signed(self, unsigned: Assignment, nonce: str, key: str = SIGNING_KEY) -> Assignment:
        """The same as the answer to a check-in."""
        text = statements.assignment(unsigned, "d-1", "default", nonce)
        return replace(unsigned, signature=signing.sign(key, text))

    def assignment(self, nonce: str) -> Assignment:
        """A signed assignment."""
        unsigned = Assignment(
            "a-1",
            "t-1",
            1,
            self.task,
            self.manifest,
            self.checkpoint,
            len(self.blobs[self.checkpoint]),
            60.0,
            60.0,
            "u",
        )
        sealed = seals.seal(PUBLISHER_KEY, manifest_sha256=self.manifest, weights_sha256=self.checkpoint)
        return self.signed(replace(unsigned, seal=sealed), nonce)


def answer_with(body: bytes) -> httpx.Response:
    """A success that is read from a stream, as from a socket."""
    return httpx.Response(200, stream=httpx.ByteStream(body))


SHARED = EnginePool()  # for cases that change nothing that an engine is opened from


def session(server: MaliciousCoordinator, store: MemoryStore | FolderStore) -> Outcome | FedRelaError:
    """Enroll and take an assignment."""
    pool = EnginePool() if server.part in ("manifest", "golden", "program") else SHARED
    http = httpx.Client(transport=httpx.MockTransport(server.handle))
    api = CoordinatorApi(http, retry=Retry(attempts=2), sleep=lambda seconds: None)
    try:
        enroll(api, store, LINK, secret=bytes(32))
        client = DeviceClient(api, store, lambda manifest: some_examples(), pool=pool, sleep=lambda seconds: None)
        return client.run_once()
    except FedRelaError as error:
        return error


@contextmanager
def time_limit() -> Iterator[None]:
    def hang(number: int, frame: object) -> None:
        raise AssertionError(f"a case took more than {SECONDS} seconds")

    before = signal.signal(signal.SIGALRM, hang)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


QUIET = settings(max_examples=CASES, deadline=None, suppress_health_check=list(HealthCheck))


@QUIET
@given(part=st.sampled_from(PARTS), change=byte_changes() | json_changes(), sign=st.booleans())
def test_any_answer_gives_an_outcome_or_a_clear_error(
    small_bundle: Bundle, part: str, change: Callable[[bytes], bytes], sign: bool
) -> None:
    if part == "program":
        sign = False  # a program is code: whoever holds the key may run any
    with time_limit():
        result = session(MaliciousCoordinator(small_bundle, part, change, sign=sign), MemoryStore())
    if isinstance(result, FedRelaError):
        assert result.remedy
    elif result.kind != "uploaded":
        assert result.reason


@pytest.mark.parametrize("part", [*PARTS, "nothing"])
def test_nothing_is_written_outside_the_state_folder(
    small_bundle: Bundle, part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    def climb(body: bytes) -> bytes:
        """Every name becomes one that climbs out of the folder."""
        return body.replace(b'"d-1"', b'"../../d"').replace(b'"a-1"', b'"../../a"').replace(b".onnx", b"/../../x")

    result = session(MaliciousCoordinator(small_bundle, part, climb, sign=True), FolderStore(tmp_path / "state"))
    assert [path.name for path in tmp_path.iterdir()] == ["state"]
    assert isinstance(result, FedRelaError) or result.kind in ("uploaded", "dropped")
    if part == "nothing":
        assert isinstance(result, Outcome)
        assert result.kind == "uploaded"


def test_a_signature_by_another_key_is_an_integrity_failure(small_bundle: Bundle) -> None:
    server = MaliciousCoordinator(small_bundle, "nothing", bytes, sign=True)
    made = server.assignment
    server.assignment = lambda nonce: server.signed(made(nonce), nonce, "11" * 32)  # type: ignore[method-assign]
    result = session(server, MemoryStore())
    assert isinstance(result, Outcome)
    assert (result.kind, result.reason) == ("dropped", "integrity-failed")


def test_golden_outputs_that_differ_are_a_failed_self_test(small_bundle: Bundle) -> None:
    def scale(body: bytes) -> bytes:
        from fedrela.core import tensors

        return tensors.to_bytes({name: array * 2 for name, array in tensors.read(body).items()})

    result = session(MaliciousCoordinator(small_bundle, "golden", scale, sign=True), MemoryStore())
    assert isinstance(result, Outcome)
    assert (result.kind, result.reason) == ("dropped", "self-test-failed")
