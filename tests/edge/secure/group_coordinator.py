"""A coordinator of one device under test, over real HTTP: the others in its group are played, and it can lie.

with GroupCoordinator(bundle, task) as coordinator:
    client = coordinator.device(examples)
    coordinator.lie = lambda step: ...      # what the device is told instead of the next step
    client.run_once()
    coordinator.sent("secure/shares")       # every body of that kind that came
"""

import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import numpy as np
from numpy.typing import NDArray

from fedrela.conformance.files import PUBLISHER
from fedrela.core import signing, strict, tensors
from fedrela.core.bundle import Bundle
from fedrela.core.errors import FedRelaError, Refused
from fedrela.core.protocol import links, statements, task_json
from fedrela.core.protocol.links import Link
from fedrela.core.secure import fleet as fleets
from fedrela.core.secure import secure_tasks
from fedrela.core.secure.messages import RosterMember, SecureKeys, SecureStep
from fedrela.core.secure.statements import Work
from fedrela.core.task import Task
from fedrela.core.wire import (
    Assignment,
    CheckIn,
    CheckInResponse,
    EnrollRequest,
    EnrollResponse,
    Problem,
    UpdateReceipt,
    Wait,
)
from fedrela.edge.client import DeviceClient, enroll
from fedrela.edge.engines.pool import EnginePool
from fedrela.edge.network.api import CoordinatorApi, Retry
from fedrela.edge.storage.store import MemoryStore, Store
from fedrela.edge.training.examples import Examples
from tests.edge.secure.played_group import ME, PlayedGroup
from tests.patience import PATIENCE_SECONDS

SIGNING_KEY, FLEET_KEY = "5b" * 32, "5c" * 32
TOKEN_SEED = "5d" * 32
POOL = EnginePool()  # every test's: opening programs takes longer than a turn
Answer = tuple[int, object]


class GroupCoordinator:
    """One task and one device, one round after another; the model stays as it is.

    `lost`: by member, from which phase on it is away. `breaks`: how often a group breaks up before it begins.
    """

    def __init__(self, bundle: Bundle, task: Task, *, members: int = 6, fleet_key: str = "") -> None:
        self.bundle, self.task, self.members = bundle, secure_tasks.requiring(task), members
        self.fleet_key, self.lost, self.breaks = fleet_key, dict[int, str](), 0
        self.lie: Callable[[SecureStep], SecureStep] = lambda step: step
        self.on_request: Callable[[str, str], None] = lambda kind, when: None
        self.assigned: dict[str, Any] = {}  # values over the usual ones
        self.requests: list[tuple[str, str, bytes]] = []
        self.own_vectors: list[NDArray[np.int32]] = []  # of the rounds that were summed
        self.round, self.attempt = 1, 0
        self.played: PlayedGroup | None = None
        self.enrolled: EnrollRequest | None = None
        self._lock = threading.RLock()
        folder = bundle.folder
        self.checkpoint = tensors.to_bytes(bundle.weights)
        self.manifest = (folder / "manifest.json").read_bytes()
        files = [(folder / path).read_bytes() for path in bundle.manifest.files()]
        self.blobs = {signing.sha256(body): body for body in (self._task(), self.checkpoint, self.manifest, *files)}

    def __enter__(self) -> "GroupCoordinator":
        handler = type("Handler", (_Handler,), {"coordinator": self})
        self._server = _Server(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def link(self) -> Link:
        """The link of the device under test."""
        part = ""
        if self.fleet_key:
            endorsed = fleets.endorse(self.fleet_key, signing.public_key(TOKEN_SEED), "default")
            part = fleets.link_part(endorsed, TOKEN_SEED, "default")
        pinned = signing.fingerprint(signing.public_key(SIGNING_KEY))
        return links.parse(Link(self.url, "token", pinned, (PUBLISHER,), part).text())

    def device(self, examples: Examples, *, store: Store | None = None, **arguments: Any) -> DeviceClient:
        """The device under test, enrolled."""
        store = MemoryStore() if store is None else store
        retry = Retry(attempts=2, base_seconds=0.01, cap_seconds=0.02)
        api = CoordinatorApi(httpx.Client(timeout=PATIENCE_SECONDS, trust_env=False), self.url, retry=retry)
        if store.get("identity.json") is None:
            enroll(api, store, self.link(), secret=bytes(range(32)))
        settings: dict[str, Any] = {"pool": POOL, "sleep": lambda seconds: None}
        return DeviceClient(api, store, lambda manifest: examples, **(settings | arguments))

    def sent(self, kind: str) -> list[bytes]:
        """Bodies of the requests whose path ends so, in the order in which they came."""
        return [body for _, path, body in self.requests if path.endswith(kind)]

    def told(self) -> list[str]:
        """What the device has sent of its assignments, without questions, and without what it repeated at once."""
        paths = [path for method, path, _ in self.requests if method != "GET" and "/assignments/" in path]
        kinds = [path.split("/", 4)[4] for path in paths]
        return [kind for at, kind in enumerate(kinds) if at == 0 or kinds[at - 1] != kind]

    def work(self) -> Work:
        """What all members have trained."""
        task, manifest, checkpoint = (signing.sha256(body) for body in (self._task(), self.manifest, self.checkpoint))
        return Work(task, manifest, checkpoint, self.round, self.assigned.get("clip_millionths", 0))

    def answer(self, method: str, path: str, body: bytes) -> Answer:
        """Status and message."""
        with self._lock:
            if path == "/v1/devices":
                self.enrolled = strict.from_json(EnrollRequest, body)
                return 201, EnrollResponse("d-1", "device-token", signing.public_key(SIGNING_KEY), "default")
            if path == "/v1/tasks":
                return 200, {"tasks": [{"task": self._task().decode()}]}
            if path == "/v1/check-ins":
                return 200, self._check_in(strict.from_json(CheckIn, body))
            if path.startswith("/v1/blobs/"):
                return 200, self.blobs[path.rsplit("/", 1)[1]]
            if path.endswith("/failure"):
                self.attempt, self.played = self.attempt + 1, None
                return 204, b""
            return self._in_group(path.split("/", 4)[4], body)

    def _task(self) -> bytes:
        return task_json.encode(self.task)

    def _assignment_id(self) -> str:
        return f"a-{self.round}-{self.attempt}"

    def _check_in(self, check_in: CheckIn) -> CheckInResponse:
        if self.round > self.task.rounds:
            return CheckInResponse(wait=Wait(0.01, "finished"))
        work, size = self.work(), len(self.checkpoint)
        hashes = (work.task_sha256, work.manifest_sha256, work.checkpoint_sha256)
        usual = Assignment(
            self._assignment_id(), "t-1", self.round, *hashes, size, 600.0, 60.0, "upload-token", seal=self.bundle.seal
        )
        offered = replace(usual, **self.assigned)
        text = statements.assignment(offered, "d-1", "default", check_in.nonce)
        return CheckInResponse(assignment=replace(offered, signature=signing.sign(SIGNING_KEY, text)))

    def _in_group(self, kind: str, body: bytes) -> Answer:
        if kind == "secure/keys":
            self._form(strict.from_json(SecureKeys, body))
            return 204, b""
        if self.played is None:
            raise Refused("there is no group", remedy="send keys", code="not-found", status=404)
        if kind == "secure":
            return 200, self.lie(self._step(self.played))
        self.played.take(kind, body)
        return (200, UpdateReceipt(self.round)) if kind == "update" else (204, b"")

    def _form(self, keys: SecureKeys) -> None:
        assert self.enrolled is not None
        public_key, certificate = self.enrolled.public_key, self.enrolled.certificate
        me = RosterMember(ME, self._assignment_id(), public_key, keys, certificate)
        if self.played is None or self.played.me != me:
            size = secure_tasks.words(self.task, self.bundle.manifest)
            self.played = PlayedGroup(me, self.work(), self.members, size, self.lost, self.fleet_key)

    def _step(self, played: PlayedGroup) -> SecureStep:
        if self.breaks:
            self.breaks -= 1
            return SecureStep("again", reason="too few members in sharing")
        step = played.step()
        if step.step == "done" and len(self.own_vectors) < self.round:
            self.own_vectors.append(played.own_vector())
        return step

    def next_round(self) -> None:
        """Open the next round, from the same weights."""
        self.round, self.attempt, self.played = self.round + 1, 0, None


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A device that is killed leaves its connection: that is no news. Anything else is shown."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    coordinator: GroupCoordinator

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
        """The requests are kept."""

    def serve(self) -> None:
        """Answer one request. `on_request` may end the device; what it raises "before" loses the request."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        kind = self.path.split("/", 4)[-1]
        self.coordinator.requests.append((self.command, self.path, body))
        try:
            self.coordinator.on_request(kind, "before")
            status, message = self.coordinator.answer(self.command, self.path, body)
        except Refused as refusal:
            status, message = refusal.status, Problem("no", refusal.status, refusal.code, refusal.problem, "none")
        except ConnectionError:
            self.close_connection = True
            return
        except FedRelaError as fault:
            status, message = 409, Problem("no", 409, "conflict", fault.problem, "none")
        self.coordinator.on_request(kind, "after")
        content = message if isinstance(message, bytes) else strict.to_json(message)
        try:
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
        except OSError:
            self.close_connection = True  # the device is gone

    do_GET = do_POST = do_PUT = do_DELETE = serve  # noqa: N815
