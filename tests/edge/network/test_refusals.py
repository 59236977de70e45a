"""What a device refuses: another key than the pinned one, rotten or wrong programs, data of another model."""

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest

from fedrela.core import strict, tensors
from fedrela.core.bundle import Bundle
from fedrela.core.errors import InvalidInput, Refused, VerificationFailed
from fedrela.core.task import Relabel, Rounds
from fedrela.edge.engines import pool as engines
from fedrela.edge.engines.pool import EnginePool
from fedrela.edge.storage.store import MemoryStore
from fedrela.edge.training.examples import Examples
from tests.edge.conftest import some_examples
from tests.edge.live import LiveCoordinator, device, small_task

ONE: dict[str, Any] = {
    "relabel": Relabel(enabled=False),
    "round": Rounds(goal=1, smallest_cohort=1, retry_after_seconds=0.05),
}


def has_committed(live: LiveCoordinator, task_id: str, rounds: int) -> bool:
    return live.committed(task_id) >= rounds


def test_a_key_other_than_the_pinned_one_is_an_integrity_failure(live: LiveCoordinator, small_bundle: Bundle) -> None:
    task_id = live.publish(small_bundle, small_task(rounds=1, **ONE))
    client = device(live, 4, some_examples())
    forged = replace(client.identity, coordinator_public_key="ab" * 32)
    client.store.put("identity.json", strict.to_json(forged))
    outcome = device(live, 4, some_examples(), store=client.store).run_once()
    assert (outcome.kind, outcome.reason) == ("dropped", "integrity-failed")
    assert live.rounds(task_id)[-1]["failures"] == {"integrity-failed": 1}
    assert not client.store.keys("blobs/")


def test_a_cached_program_that_rots_is_fetched_again(live: LiveCoordinator, small_bundle: Bundle) -> None:
    live.publish(small_bundle, small_task(rounds=2, **ONE))
    client = device(live, 4, some_examples())
    client.run_once()
    for key in client.store.keys("blobs/"):
        client.store.put(key, b"rotten")
    live.wait(lambda: device(live, 4, some_examples(), store=client.store).run_once().kind == "uploaded")


def test_the_self_test_runs_once_per_program_and_runtime_version(
    live: LiveCoordinator, small_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs: list[str] = []

    def counted(engine: object, expected: bytes) -> None:
        runs.append(engine.version)  # type: ignore[attr-defined]
        if len(runs) == 3:
            raise VerificationFailed("another result", remedy="none")

    monkeypatch.setattr("fedrela.edge.network.fetch.self_test", counted)
    task_id = live.publish(small_bundle, small_task(rounds=4, **ONE))
    store = MemoryStore()
    outcomes = []
    for number, version in enumerate(("1.0", "1.0", "1.1", "1.2")):
        live.wait(partial(has_committed, live, task_id, min(number, 3)))
        monkeypatch.setattr("fedrela.edge.engines.onnx_engine.version", lambda v=version: "99." + v)
        outcomes.append(device(live, 4, some_examples(), store=store, pool=EnginePool()).run_once())
    assert runs == ["99.1.0", "99.1.1", "99.1.2"]
    assert [outcome.kind for outcome in outcomes] == ["uploaded", "uploaded", "uploaded", "dropped"]
    assert outcomes[-1].reason == "self-test-failed"
    assert live.rounds(task_id)[-1]["failures"] == {"self-test-failed": 1}


def test_a_device_that_was_revoked_is_told(live: LiveCoordinator, small_bundle: Bundle) -> None:
    live.publish(small_bundle, small_task(rounds=1, **ONE))
    client = device(live, 4, some_examples())
    live.admin.request("DELETE", f"/devices/{client.identity.device_id}")
    with pytest.raises(Refused) as refused:
        client.run_once()
    assert refused.value.status == 401


def test_a_self_test_with_other_outputs_is_refused(small_bundle: Bundle) -> None:
    opened = EnginePool().open("1" * 64, small_bundle.manifest, lambda f: (small_bundle.folder / f.path).read_bytes())
    recorded = tensors.read((small_bundle.folder / "golden.safetensors").read_bytes())
    recorded["train_step.0.new.v"] = recorded.pop("train_step.0.new.w")
    with pytest.raises(VerificationFailed, match=r"train_step\.0\.new\.v was not computed"):
        engines.self_test(opened, tensors.to_bytes(recorded))


def test_a_self_test_that_says_nothing_of_a_program_is_refused(small_bundle: Bundle) -> None:
    opened = EnginePool().open("1" * 64, small_bundle.manifest, lambda f: (small_bundle.folder / f.path).read_bytes())
    recorded = tensors.read((small_bundle.folder / "golden.safetensors").read_bytes())
    rest = {name: value for name, value in recorded.items() if not name.startswith("relabel.")}
    with pytest.raises(VerificationFailed, match="nothing of relabel is recorded"):
        engines.self_test(opened, tensors.to_bytes(rest))


def test_examples_of_another_model_are_refused_before_training(live: LiveCoordinator, small_bundle: Bundle) -> None:
    live.publish(small_bundle, small_task(rounds=1, **ONE))
    wide = Examples({"x": np.zeros((2, 1, 9, 9), np.uint8)}, np.array([0, 1]))
    with pytest.raises(InvalidInput, match=r"make it \(2, 1, 4, 4\)"):
        device(live, 4, wide).run_once()
