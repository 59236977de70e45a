"""One device in five is malicious: which aggregation rules still give a usable model?

    python -m benchmarks.coordinator_malicious

Twenty devices hold scikit-learn's bundled digits (a Dirichlet split of the training half, alpha = 1) and train a
softmax classifier with plain SGD; the coordinator is the real one, in this process, on virtual time. Hostile devices
send their change with the sign flipped and five times as large, or twenty times as large as it is. Accuracy is on the
other half of the digits, the mean over `--seeds` splits.
"""

import argparse
import json
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from fastapi.testclient import TestClient
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from benchmarks.serving.fixture import ADMIN_KEY, SIGNING_KEY, make_bundle
from benchmarks.serving.signed_requests import CHECK_IN, Signed, enroll
from fedrela.coordinator.admin_client import AdminClient
from fedrela.coordinator.app import create_app
from fedrela.coordinator.settings import Settings
from fedrela.core import tensors
from fedrela.core.task import Aggregation, Relabel, Rounds, Task
from fedrela.core.wire import UpdateMetadata

RESULTS = Path(__file__).parent / "results"
DEVICES, HOSTILE, ROUNDS = 20, 4, 15
DEADLINE_SECONDS = 600.0
ATTACKS = {"none": 1.0, "sign flipped, 5 x": -5.0, "scaled, 20 x": 20.0}
RULES = ("mean", "median", "trimmed-mean", "multi-krum")
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Cell:
    """Accuracy of one rule under one attack, mean over the splits, in percent."""

    rule: str
    attack: str
    accuracy: float


def digits(seed: int) -> tuple[list[tuple[Floats, Any]], tuple[Floats, Any]]:
    """Shards of the training half, and the test half. Every device gets at least ten digits."""
    rng = np.random.default_rng(seed)
    x, y = load_digits(return_X_y=True)
    x = np.hstack([x / 16.0, np.ones((len(x), 1))]).astype(np.float32)
    order = rng.permutation(len(x))
    train, test = order[: len(x) // 2], order[len(x) // 2 :]
    owner = np.empty(len(train), np.int64)
    for label in range(10):
        members = np.flatnonzero(y[train] == label)
        owner[members] = rng.choice(DEVICES, len(members), p=rng.dirichlet(np.ones(DEVICES)))
    for device in range(DEVICES):
        owner[rng.choice(len(train), 10, replace=False)] = device
    shards = [(x[train[owner == device]], y[train[owner == device]]) for device in range(DEVICES)]
    return shards, (x[test], y[test])


def train(weights: Floats, x: Floats, y: Any, *, steps: int = 20, lr: float = 0.5) -> Floats:
    """The change of the weights, (650,), after some full-batch steps on the cross-entropy."""
    w = weights.reshape(65, 10).copy()
    for _ in range(steps):
        logits = x @ w
        p = np.exp(logits - logits.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        p[np.arange(len(y)), y] -= 1
        w -= np.float32(lr) * (x.T @ p) / len(y)
    return (w.reshape(-1) - weights).astype(np.float32)


def federate(rule: str, factor: float, seed: int, folder: Path) -> float:
    """Accuracy after all rounds; the first `HOSTILE` devices multiply their change by `factor`."""
    shards, (test_x, test_y) = digits(seed)
    url = f"sqlite:///{folder / 'c.sqlite'}"
    blobs = (folder / "blobs").as_uri()
    settings = Settings(folder, url, blobs, ADMIN_KEY, SIGNING_KEY, dev=True, virtual_clock=True)
    settings = Settings(
        **{**asdict(settings), "requests_per_device_per_second": 0, "requests_per_address_per_second": 0}
    )
    make_bundle(folder / "bundle", 650)
    aggregation = Aggregation(rule=rule, trim_fraction=0.25, byzantine_fraction=0.25)  # type: ignore[arg-type]
    rounds = Rounds(goal=DEVICES, minimum=DEVICES - HOSTILE, deadline_seconds=DEADLINE_SECONDS)
    task = Task("malicious", ROUNDS, round=rounds, relabel=Relabel(enabled=False), aggregation=aggregation)
    with TestClient(create_app(lambda: settings), base_url="http://coordinator") as http:
        admin = AdminClient("http://coordinator", ADMIN_KEY, http=http)
        task_id = admin.publish(folder / "bundle", task)
        link = admin.request("POST", "/tokens", json={"max_uses": DEVICES})["enrollment_token"]
        devices = [enroll(http, link) for _ in range(DEVICES)]
        for number in range(ROUNDS):
            _round(http, devices, shards, factor)
            admin.set_clock((number + 1) * (DEADLINE_SECONDS + 1))  # where updates were refused, the others are enough
        final = tensors.read(admin.download(admin.get(f"/tasks/{task_id}")["checkpoint_sha256"]))["w"]
    return float(((test_x @ final.reshape(65, 10)).argmax(axis=1) == test_y).mean() * 100)


def _round(http: httpx.Client, devices: list[Signed], shards: list[tuple[Floats, Any]], factor: float) -> None:
    """One round of all devices. An update that is far larger than the task's usual ones is refused, as it should be."""
    assignments = [http.post("/v1/check-ins", json=CHECK_IN, auth=one).json()["assignment"] for one in devices]
    checkpoint = http.get(f"/v1/blobs/{assignments[0]['checkpoint_sha256']}", auth=devices[0]).content
    weights = tensors.read(checkpoint)["w"]
    for index, (assignment, (x, y)) in enumerate(zip(assignments, shards, strict=True)):
        change = train(weights, x, y) * np.float32(factor if index < HOSTILE else 1.0)
        body = tensors.to_bytes({"w": change}, UpdateMetadata(len(y)).as_strings())
        token = {"Fedrela-Upload-Token": assignment["upload_token"]}
        path = f"/v1/assignments/{assignment['assignment_id']}/update"
        answer = http.put(path, content=body, headers=token, auth=devices[index])
        if answer.status_code != httpx.codes.OK and answer.json()["code"] != "norm-too-large":
            answer.raise_for_status()


def measure(seeds: int) -> list[Cell]:
    """Every rule under every attack."""
    cells = []
    for rule in RULES:
        for attack, factor in ATTACKS.items():
            accuracies = []
            for seed in range(seeds):
                with tempfile.TemporaryDirectory(prefix="coordinator-malicious-") as folder:
                    accuracies.append(federate(rule, factor, seed, Path(folder)))
            cells.append(Cell(rule, attack, round(float(np.mean(accuracies)), 2)))
    return cells


def main() -> None:
    """Measure, print, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--output", type=Path, default=RESULTS / "coordinator_malicious.json")
    arguments = parser.parse_args()
    cells = measure(arguments.seeds)
    print(f"{'':14}" + "".join(f"{attack:>20}" for attack in ATTACKS))
    for rule in RULES:
        row = [cell.accuracy for cell in cells if cell.rule == rule]
        print(f"{rule:14}" + "".join(f"{accuracy:20.2f}" for accuracy in row))
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps([asdict(cell) for cell in cells], indent=2) + "\n")


if __name__ == "__main__":
    main()
