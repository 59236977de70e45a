"""The walk, end to end, with the real parts: export, publish, check in, download, train, upload, aggregate, commit.

Digits of scikit-learn, a small CNN, four devices with skewed data, real HTTP on loopback. What the fleet computed is
compared with federated averaging written here in plain PyTorch, which shares with the product only the random streams.
"""

import re
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

from fedrela.conformance.files import PUBLISHER_KEY
from fedrela.core import bundle, signing, streams, tensors
from fedrela.core.data.partition import dirichlet_split, exponential_profile, take_profile
from fedrela.core.relabel import relabel
from fedrela.core.task import LocalTraining, Relabel, Rounds, Task
from fedrela.edge.engines.pool import EnginePool
from fedrela.edge.training.examples import Examples
from fedrela.export import export_classifier
from fedrela.export.models import small_cnn
from tests.edge.live import LiveCoordinator, coordinator, device, run_until_finished
from tests.killable_server import Server

DEVICES = 4
TOKEN = re.compile(rb'(?<="enrollment_token":")[\w-]+')  # the one text that is random: any short word may be in it
LOCAL = LocalTraining(epochs=2, batch_size=8, hyperparameters={"lr": 0.05, "momentum": 0.9, "weight_decay": 0.001})


def model() -> nn.Module:
    torch.manual_seed(7)
    return small_cnn(widths=(4, 8), hidden=16)


@pytest.fixture(scope="module")
def artifact(tmp_path_factory) -> bundle.Bundle:
    folder = tmp_path_factory.mktemp("walk") / "bundle"
    export_classifier(model(), input="uint8:1x8x8", classes=10, out=folder, private_key=PUBLISHER_KEY)
    return bundle.read(folder)


@pytest.fixture(scope="module")
def shards() -> list[Examples]:
    """Long-tailed 50:1 and split so unevenly that every device lacks classes."""
    digits = load_digits()
    pixels = (digits.images * (255 / 16)).astype(np.uint8)[:, None]
    rng = np.random.default_rng(3)
    chosen = take_profile(digits.target, exponential_profile(classes=10, largest=100, imbalance=50), rng)
    x, y = pixels[chosen], digits.target[chosen].astype(np.int64)
    parts = dirichlet_split(y, devices=DEVICES, alpha=0.1, rng=rng)
    assert all(len(np.unique(y[part])) < 10 for part in parts)
    return [Examples({"x": x[part]}, y[part]) for part in parts]


def task(**changes: Any) -> Task:
    settings: dict[str, Any] = {
        "name": "walk",
        "rounds": 3,
        "seed": 11,
        "local": LOCAL,
        "relabel": Relabel(enabled=False),
        "round": Rounds(goal=DEVICES, minimum=DEVICES, smallest_cohort=DEVICES, retry_after_seconds=0.05),
    }
    return Task(**(settings | changes))


def secret(number: int) -> bytes:
    return bytes([number]) * 32


def reference(start: dict, shards: list[Examples], job: Task) -> dict:
    """FedAvg, and FedReLa where the task asks for it, in eager PyTorch and numpy."""
    weights = {name: torch.from_numpy(array.copy()) for name, array in start.items()}
    overlays: dict[int, np.ndarray] = {}
    for number in range(1, job.rounds + 1):
        total = {name: torch.zeros_like(w, dtype=torch.float64) for name, w in weights.items()}
        for index, shard in enumerate(shards):
            if job.relabel.enabled and number >= job.relabel.start and index not in overlays:
                overlays[index] = reference_labels(weights, shard, job, number, secret(index))
            trained = reference_assignment(weights, shard, overlays.get(index, shard.y), job, number, secret(index))
            for name, w in trained.items():
                total[name] += len(shard) * (w - weights[name]).double()
        samples = sum(map(len, shards))
        weights = {name: (w.double() + total[name] / samples).float() for name, w in weights.items()}
    return {name: w.numpy() for name, w in weights.items()}


def load(weights: dict) -> nn.Module:
    net = model()
    net.load_state_dict(weights)
    return net


def reference_assignment(
    weights: dict, shard: Examples, labels: np.ndarray, job: Task, number: int, key: bytes
) -> dict:
    net = load(weights)
    rates = job.local.hyperparameters
    scale = job.relabel.lr_scale if job.relabel.enabled and number >= job.relabel.start else 1.0
    sgd = torch.optim.SGD(
        net.parameters(), rates["lr"] * scale, momentum=rates["momentum"], weight_decay=rates["weight_decay"]
    )
    x, y = torch.from_numpy(shard.x["x"]).float() / 255, torch.from_numpy(labels)
    for epoch in range(job.local.epochs):
        stream = streams.derive(key, "fedrela/v1", job.seed, number, "shuffle", epoch)
        for rows in torch.from_numpy(streams.permutation(stream, len(shard))).split(job.local.batch_size):
            sgd.zero_grad()
            nn.functional.cross_entropy(net(x[rows]), y[rows]).backward()
            sgd.step()
    return {name: w.detach() for name, w in net.state_dict().items()}


def reference_labels(weights: dict, shard: Examples, job: Task, number: int, key: bytes) -> np.ndarray:
    with torch.no_grad():
        q = load(weights)(torch.from_numpy(shard.x["x"]).float() / 255).softmax(1).numpy()
    u = streams.uniforms(streams.derive(key, "fedrela/v1", job.seed, number, "relabel-draw"), q.shape)
    return relabel(q, shard.y, u, threshold_percent=job.relabel.threshold_percent).labels


def relative_difference(one: dict, two: dict) -> float:
    return max(float(np.abs(one[name] - two[name]).max() / np.abs(one[name]).max()) for name in one)


def run_fleet(folder: Path, artifact, shards, job: Task, **arguments) -> dict:
    with coordinator(folder) as live:
        task_id = live.publish(artifact, job)
        pool = EnginePool()
        devices = [device(live, i, shard, pool=pool, **arguments) for i, shard in enumerate(shards)]
        run_until_finished(devices, live, task_id, job.rounds)
        return live.weights(live.rounds(task_id)[-1]["checkpoint_sha256"], artifact)


def test_a_fleet_equals_federated_averaging_in_plain_pytorch(tmp_path, artifact, shards):
    fleet = run_fleet(tmp_path, artifact, shards, task())
    expected = reference(artifact.weights, shards, task())
    assert relative_difference(expected, artifact.weights) > 0.1, "nothing was trained"
    assert relative_difference(expected, fleet) < 1e-5


def test_a_relabeling_fleet_equals_the_same_in_plain_pytorch(tmp_path, artifact, shards):
    job = task(rounds=4, relabel=Relabel(start=3, threshold_percent=40.0, passes=5))
    fleet = run_fleet(tmp_path, artifact, shards, job)
    plain = reference(artifact.weights, shards, task(rounds=4))
    expected = reference(artifact.weights, shards, job)
    assert relative_difference(expected, plain) > 1e-3, "nothing was re-labeled"
    assert relative_difference(expected, fleet) < 1e-5


class Recording(httpx.HTTPTransport):
    """A real transport that keeps every byte that a device sends."""

    def __init__(self) -> None:
        super().__init__()
        self.bodies: list[bytes] = []
        self.heads: list[bytes] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.bodies.append(request.read())
        head = [str(request.url).encode(), *(name + b": " + value for name, value in request.headers.raw)]
        self.heads.append(b"\n".join(head))
        return super().handle_request(request)


def test_nothing_that_a_device_sends_holds_a_label_or_a_count_of_them(tmp_path, artifact, shards):
    """The labels and counts of one device are numbers that nothing else on the wire could be."""
    labels = np.repeat(np.arange(10), [337, 0, 59, 0, 0, 41, 0, 23, 0, 17])
    rng = np.random.default_rng(0)
    watched = Examples({"x": rng.integers(0, 256, (len(labels), 1, 8, 8), dtype=np.uint8)}, labels.astype(np.int64))
    transport = Recording()
    relabeled: list[int] = []
    job = task(rounds=3, relabel=Relabel(start=2, threshold_percent=40.0))
    with coordinator(tmp_path) as live:
        task_id = live.publish(artifact, job)
        pool = EnginePool()
        http = httpx.Client(transport=transport, trust_env=False)
        spy = device(live, 0, watched, http=http, pool=pool)
        others = [device(live, i, shards[i], pool=pool) for i in range(1, DEVICES)]
        run_until_finished([spy, *others], live, task_id, job.rounds)
        relabeled = moved_labels(spy)
    assert relabeled, "nothing was re-labeled, so there was nothing to leak"
    sent = [*transport.bodies, *transport.heads]
    assert sum(len(body) > 1000 for body in transport.bodies) == job.rounds, "every update was captured"
    for needle in needles(labels, relabeled):
        assert not any(needle in text for text in sent), needle
    words = [word for text in sent if len(text) <= 1000 for word in re.findall(rb"[0-9A-Za-z]+", text)]
    assert b"337" not in words, "the size of the largest class; as a part of a random token it is chance"
    for body in filter(lambda body: len(body) > 1000, transport.bodies):
        assert set(tensors.read(body)) == {spec.name for spec in artifact.manifest.weights}
        assert tensors.read_metadata(body) == {"protocol": "1", "examples": str(len(labels)), "encoding": "float32"}
    for body in filter(lambda body: 0 < len(body) <= 1000, transport.bodies):
        assert not re.search(rb"label|class|count|flip", TOKEN.sub(b"*", body))


def moved_labels(spy) -> list[int]:
    """The labels that the overlay on the device holds, where they differ from the originals."""
    (key,) = spy.store.keys("overlay")
    return tensors.read(spy.store.get(key))["relabeled"].tolist()


def needles(labels: np.ndarray, relabeled: list[int]) -> list[bytes]:
    """Every encoding in which labels or counts could plausibly be sent: text, and arrays of four widths."""
    counts = np.bincount(labels, minlength=10)
    traces = [",".join(map(str, counts)).encode(), str(counts.tolist()).encode()]
    for dtype in (np.uint8, np.int32, np.int64, np.float32):
        traces.append(labels[330:345].astype(dtype).tobytes())
        traces.append(counts[:4].astype(dtype).tobytes())
        if len(relabeled) >= 8:
            traces.append(np.array(relabeled[:16], dtype).tobytes())
    shares = (counts / counts.sum()).astype(np.float32)
    return [*traces, shares[:3].tobytes(), (1 - (counts - counts.min()) / np.ptp(counts)).astype(np.float32).tobytes()]


def test_a_coordinator_killed_in_mid_round_loses_and_doubles_nothing(tmp_path, artifact, shards):
    """In every round two devices report, SIGKILL, restart, the other two report: the undisturbed run's weights."""
    server = Server(tmp_path)
    server.start()
    try:
        live = LiveCoordinator(server.url)
        task_id = live.publish(artifact, task())
        pool = EnginePool()
        devices = [device(live, i, shard, pool=pool) for i, shard in enumerate(shards)]
        for number in range(1, task().rounds + 1):
            early = [client.run_once() for client in devices[:2]]
            assert [outcome.kind for outcome in early] == ["uploaded", "uploaded"]
            server.kill()
            server.start()
            for client in devices[2:]:
                assert client.run_once().kind == "uploaded"
            live.wait(lambda number=number: live.committed(task_id) >= number)
        history = live.rounds(task_id)
        killed = live.weights(history[-1]["checkpoint_sha256"], artifact)
    finally:
        server.kill()
    assert [entry["updates"] for entry in history] == [DEVICES] * task().rounds
    undisturbed = run_fleet(tmp_path / "undisturbed", artifact, shards, task())
    assert signing.sha256(tensors.to_bytes(killed)) == signing.sha256(tensors.to_bytes(undisturbed))
