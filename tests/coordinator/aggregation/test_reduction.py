"""No mean and no rule takes a variance below zero, however devices began and in whatever encoding they speak."""

from pathlib import Path

import numpy as np
import pytest

from fedrela.coordinator.aggregation import reduction
from fedrela.coordinator.aggregation.reduction import Counted, Model
from fedrela.coordinator.storage import blobs as blob_store
from fedrela.coordinator.storage.blobs import FolderBlobs
from fedrela.core import bundle, signing, tensors
from fedrela.core.task import Aggregation, Relabel, Rounds, Task
from fedrela.core.tensors import Params
from tests.coordinator import fleet

SHAPES: dict[str, tuple[int, ...]] = {"w": (3,), "variance": (20,)}
ROBUST = ("median", "trimmed-mean", "multi-krum")
BASES = (7, 6, 4)  # rounds that updates of round 7 began with


def variances(rng: np.random.Generator) -> Params:
    """Of all sizes, zeros and the smallest numbers among them."""
    values = 10.0 ** rng.uniform(-46, 6, 20) * (rng.random(20) < 0.8)
    return {"variance": values.astype(np.float32)}


@pytest.mark.parametrize("encoding", ["float32", "float16", "int8", "top-k"])
@pytest.mark.parametrize(
    ("mode", "rule"), [("asynchronous", "mean"), *(("synchronous", rule) for rule in ("mean", *ROBUST))]
)
def test_a_variance_stays_one(tmp_path: Path, mode: str, rule: str, encoding: str) -> None:
    fleet.make_bundle(tmp_path / "bundle", SHAPES, {"variance": 0.0})
    manifest, blobs = bundle.read(tmp_path / "bundle").manifest, FolderBlobs(tmp_path / "blobs")
    settings = Aggregation(rule=rule, encoding=encoding, trim_fraction=0.25)  # type: ignore[arg-type]
    rounds = Rounds(mode=mode, smallest_cohort=1)  # type: ignore[arg-type]
    task = Task("t", 9, round=rounds, relabel=Relabel(enabled=False), aggregation=settings)
    rng = np.random.default_rng(3)
    for _ in range(8):
        began = {number: variances(rng) for number in BASES}
        updates, ended = [], []
        for index in range(4):
            base = BASES[0] if mode == "synchronous" else BASES[int(rng.integers(3))]
            examples = int(10 ** rng.uniform(0, 5))
            ended.append((variances(rng)["variance"], min(examples, settings.max_examples)))
            change = {"w": np.ones(3, np.float32), "variance": ended[-1][0] - began[base]["variance"]}
            body = fleet.body(change, examples, encoding, {"variance"})
            name = blob_store.update(f"a-{index}", signing.sha256(body))
            blobs.put(name, body)
            digest = blob_store.quick_digest(body)
            updates.append(Counted(f"a-{index}", signing.sha256(body), base, examples, digest, len(body)))
        change = reduction.reduce(blobs, updates, task, Model(7, manifest, began), on_progress=lambda: None)
        now = tensors.add(began[7], change)["variance"]
        assert (now >= 0).all()
        assert not manifest.below_lowest({"variance": now})
        if rule == "mean":
            expected = sum(values.astype(np.float64) * weight for values, weight in ended) / sum(w for _, w in ended)
            largest = max(float(np.max(one["variance"])) for one in began.values()) + float(np.max(expected))
            np.testing.assert_allclose(now, expected, atol=1e-6 * largest)
