"""What leaves a device, byte by byte: nothing depends on labels, names or paths but the numbers of the update."""

import io
import json
import logging
import re
from dataclasses import fields, replace
from itertools import groupby
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from fedrela.conformance.files import PUBLISHER_KEY
from fedrela.core import bundle as bundles
from fedrela.core import tensors, wire
from fedrela.core.bundle import Bundle
from fedrela.core.errors import InvalidData
from fedrela.core.task import Aggregation, LocalTraining, Relabel, Rounds, Task
from fedrela.edge.client import forget
from fedrela.edge.owner.progress import Reporter
from fedrela.edge.owner.settings import DeviceSettings, Event
from fedrela.edge.sources import open_source
from fedrela.edge.storage import sent_log, state
from fedrela.edge.storage.store import FolderStore
from fedrela.edge.training.examples import Examples
from tests.edge import softmax_bundle as small
from tests.edge.live import coordinator, device, small_task
from tests.edge.network.faulty_proxy import faulty
from tests.patience import PATIENCE_SECONDS

NAMES = ("quokka-zebrano", "vermilion-ocelot", "ultramarine-ibex")
HEADERS = {b"host", b"accept", b"accept-encoding", b"connection", b"user-agent", b"authorization", b"content-type",
           b"content-length", b"content-digest", b"signature-input", b"signature", b"fedrela-upload-token",
           b"range"}  # fmt: skip
TASK = small_task(
    rounds=2,
    local=LocalTraining(epochs=1, batch_size=16),
    relabel=Relabel(start=1, threshold_percent=40.0),
    round=Rounds(goal=1, smallest_cohort=1, retry_after_seconds=0.05),
    local_evaluation=True,
)


@pytest.fixture(scope="module")
def named_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The small bundle with class names that could not be overlooked."""
    folder = tmp_path_factory.mktemp("named")
    written = small.write(folder)
    manifest = replace(written.manifest, class_names=NAMES)
    bundles.write(folder, manifest, written.weights, private_key=PUBLISHER_KEY)
    return bundles.read(folder)


def photos(folder: Path, counts: tuple[int, int, int], stem: str) -> Path:
    """Class folders with `counts` images, the same pixels in the same storage order whatever the counts."""
    rng = np.random.default_rng(0)
    number = 0
    for name, count in zip(NAMES, counts, strict=True):
        (folder / stem / name).mkdir(parents=True)
        for _ in range(count):
            pixels = rng.integers(0, 256, (4, 4), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / stem / name / f"{stem}-{number:04d}.png")
            number += 1
    (folder / stem / "IMG_1.heic").write_bytes(b"")  # is left out, and the owner alone learns of it
    return folder / stem


def session(named: Bundle, folder: Path, data: Path, task: Task = TASK) -> list[bytes]:
    """Every byte that a device sends from enrollment to leaving, one request each."""
    with coordinator(folder) as live, faulty(live.url, share=0.0, seed=0) as proxy:
        task_id = live.publish(named, task)
        source = open_source(str(data))
        client = device(live, 7, Examples({}, np.empty(0, np.int64)), http=None)
        client.data = source
        client.settings = DeviceSettings(holdout_fraction=0.0)
        client.api.url = proxy.url
        client.api.http = httpx.Client(timeout=PATIENCE_SECONDS, trust_env=False, headers={"Connection": "close"})
        while live.committed(task_id) < 2:
            client.run_once()
        state.save_identity(client.store, replace(client.identity, url=proxy.url))
        forget(client.api, client.store)
        return list(proxy.bodies)


def test_no_label_count_name_or_path_is_sent(named_bundle: Bundle, tmp_path: Path) -> None:
    counts = (97, 53, 31)
    data = photos(tmp_path, counts, "private-holiday")
    requests = [unsealed(request) for request in session(named_bundle, tmp_path / "c", data)]
    sent = b"\n".join(requests)
    for secret in (*NAMES, "private-holiday", str(tmp_path), "relabel"):
        assert secret.encode() not in sent.lower(), secret
    for word in ("label", "class", "count", "heic", "0001", "flip"):  # short enough to stand in a token by chance
        assert word.encode() not in chosen(requests), word
    for request in requests:
        head, _, body = request.partition(b"\r\n\r\n")
        text = head + body[: 8 + int.from_bytes(body[:8], "little")] if b"/update " in head else request
        for count in counts:
            assert not re.search(rb"(?<![\w.\-])%d(?![\w.\-])" % count, text), count
    for kind in ("int64", "int32", "uint8", "float32", "float64"):
        for order in (counts, counts[::-1]):
            assert np.array(order, kind).tobytes() not in sent
            assert (np.array(order, np.float64) / sum(counts)).astype(kind).tobytes() not in sent or kind[0] != "f"


def test_messages_have_only_the_fields_of_the_protocol(named_bundle: Bundle, tmp_path: Path) -> None:
    allowed = {field.name for cls in (wire.CheckIn, wire.EnrollRequest, wire.FailureReport) for field in fields(cls)}
    kinds, headers = set(), set()
    for request in session(named_bundle, tmp_path / "c", photos(tmp_path, (30, 12, 5), "p")):
        head, _, body = request.partition(b"\r\n\r\n")
        kinds.add(head.split()[0] + b" " + head.split()[1].split(b"/")[2])
        headers |= {line.partition(b":")[0].lower() for line in head.split(b"\r\n")[1:]}
        if b"/update " in head:
            assert set(tensors.read(body)) == {"w", "b"}
            assert tensors.read_metadata(body) == {"protocol": "1", "examples": "47", "encoding": "float32"}
        elif body:
            assert set(json.loads(body)) <= allowed
    assert kinds == {b"POST check-ins", b"GET blobs", b"PUT assignments", b"DELETE devices"}
    assert headers <= HEADERS, "a header that nobody has thought about"


SMOTE = LocalTraining(epochs=1, batch_size=16, sampling="class-balanced", synthesis="smote")
VARIANTS = {
    "as it is": TASK,
    "int8": replace(TASK, aggregation=Aggregation(encoding="int8"), local=SMOTE),
    "top-k": replace(TASK, aggregation=Aggregation(encoding="top-k", top_k_fraction=0.3)),
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_other_labels_change_nothing_but_the_numbers_of_the_update(
    named_bundle: Bundle, tmp_path: Path, variant: str
) -> None:
    """Non-interference: the same pixels under other labels and names; all else that is sent is equal, byte by byte."""
    seen = []
    for run, counts in enumerate(((60, 20, 10), (10, 30, 50))):
        folder = tmp_path / str(run)
        data = photos(folder, counts, f"secret{run}")
        requests = session(named_bundle, folder / "c", data, VARIANTS[variant])
        # How often a device asks before the coordinator is ready is the coordinator's affair.
        seen.append([request for request, _ in groupby(visible(request) for request in requests)])
    assert seen[0] == seen[1]


def unsealed(request: bytes) -> bytes:
    """A request without digest and signature: they are computed of the rest, and any word may be in them."""
    head, blank, body = request.partition(b"\r\n\r\n")
    return re.sub(rb"sha-256=:\S+|fedrela=:\S+", b"*", head) + blank + body


def visible(request: bytes) -> tuple[bytes, bytes]:
    """A request without what is random by nature (ids, keys, tokens, ports) and without the update's numbers."""
    head, _, body = unsealed(request).partition(b"\r\n\r\n")
    random = (rb"Bearer \S+", rb"(?i)upload-token: \S+", rb'keyid="\w+"', rb"Host: \S+", rb"/assignments/[^/]+")
    for pattern in (*random, rb"/blobs/\S+"):
        head = re.sub(pattern, b"*", head)
    body = re.sub(rb'"nonce":"[0-9a-f]{32}"', b"*", body)
    if b"/update " in request.split(b"\r\n")[0]:
        return head, body[: 8 + int.from_bytes(body[:8], "little")] + b"%d bytes" % len(body)
    return head, body


def chosen(requests: list[bytes]) -> bytes:
    """All that isn't random by nature, in small letters."""
    return b"\n".join(part for request in requests for part in visible(request)).lower()


def poisons(folder: Path) -> list[tuple[Path, str]]:
    """Data that can't be used, and a word that its owner is told and nobody else."""
    torn = photos(folder, (3, 2, 1), "torn")
    (torn / NAMES[0] / "hidden-diagnosis.png").write_bytes(b"no image")
    strange = photos(folder, (3, 2, 1), "strange")
    (strange / "cassowary-cobalt").mkdir()
    (strange / "cassowary-cobalt" / "one.png").write_bytes((strange / NAMES[0] / "strange-0000.png").read_bytes())
    np.savez(folder / "range.npz", x=np.zeros((2, 1, 4, 4), np.uint8), y=[0, 7919])
    return [(torn, "hidden-diagnosis"), (strange, "cassowary"), (folder / "range.npz", "no class 7919")]


def test_what_is_wrong_with_the_data_is_told_to_their_owner_alone(named_bundle: Bundle, tmp_path: Path) -> None:
    with coordinator(tmp_path / "c") as live, faulty(live.url, share=0.0, seed=0) as proxy:
        reported: list[Event] = []
        for data, word in poisons(tmp_path):
            live.publish(named_bundle, TASK)
            client = device(live, 7, Examples({}, np.empty(0, np.int64)), on_event=reported.append)
            client.data, client.api.url = open_source(str(data)), proxy.url
            client.api.http = httpx.Client(timeout=PATIENCE_SECONDS, trust_env=False, headers={"Connection": "close"})
            with pytest.raises(InvalidData, match=word):
                client.run_once()
        reports = [json.loads(body.partition(b"\r\n\r\n")[2]) for body in proxy.bodies if b"/failure " in body]
    assert reports == [{"code": "not-eligible", "protocol": 1}] * 3
    sent = b"\n".join(unsealed(body) for body in proxy.bodies).lower()
    events = "\n".join(event.detail for event in reported)
    assert b"torn" not in chosen(proxy.bodies)  # as a token might have it by chance
    assert "torn" not in events
    for secret in ("hidden", "diagnosis", "cassowary", "strange", "range.npz", *NAMES, str(tmp_path)):
        assert secret.encode() not in sent, secret
        assert secret not in events, secret
    assert not re.search(rb"(?<![\w.\-])7919(?![\w.\-])", sent)  # as a word: a hash may hold its digits
    assert "7919" not in events


@pytest.mark.parametrize("as_json", [True, False])
def test_what_a_device_prints_logs_and_keeps_for_its_status_says_nothing_of_labels(
    named_bundle: Bundle, tmp_path: Path, caplog: pytest.LogCaptureFixture, as_json: bool
) -> None:
    counts, out = (311, 173, 127), io.StringIO()
    caplog.set_level(logging.INFO)
    with coordinator(tmp_path / "c") as live:
        task_id = live.publish(named_bundle, replace(TASK, rounds=1))
        store = FolderStore(tmp_path / "state")
        client = device(live, 7, Examples({}, np.empty(0, np.int64)), store=store)
        reporter = Reporter(store, as_json=as_json, live=False, out=out)
        client.data = reporter.reading(open_source(str(photos(tmp_path, counts, "private-holiday"))))
        client.on_event = reporter.event
        reporter.outcome(client.run_once())
        overlay = state.load_overlay(store, task_id)
    assert overlay is not None
    assert len(overlay.keys) > 39  # more than a client round has steps, so that its number would stand out
    stored = [store.get(key) or b"" for key in ("status.json", sent_log.LOG_KEY, "last/check-ins")]
    visible = "\n".join([out.getvalue(), caplog.text, *(body.decode() for body in stored)])
    assert "relabeled" in visible
    assert "uploaded" in visible
    assert str(sum(counts)) in visible
    assert "not trained on: 1 of the format .heic" in visible
    for secret in (*NAMES, "private-holiday", ".png", "IMG_1"):
        assert secret not in visible, secret
    for count in (*counts, len(overlay.keys)):
        assert not re.search(rf"(?<![\w.\-:]){count}(?![\w.\-:])", visible), count
