"""A browser on two threads trains and evaluates as the Python device does; totals leave it only if its owner allows."""

import json
from dataclasses import replace

import numpy as np
import pytest

from fedrela.conformance.rounds.round_cases import programs
from fedrela.core import encodings, tensors
from fedrela.core.task import Relabel
from fedrela.edge.engines.onnx_engine import OnnxEngine
from fedrela.edge.training import holdout, local_round
from fedrela.edge.training.examples import Examples
from fedrela.edge.training.local_round import LocalRound
from tests.web.phone import TASK
from tests.web.place import shard_examples
from tests.web.same_update import check_same_update

SHARD = 2
ASKING = replace(TASK, rounds=1, local_evaluation=True, relabel=Relabel(start=1, threshold_percent=20.0, passes=2))
FOUR_CORES = "() => Object.defineProperty(Navigator.prototype, 'hardwareConcurrency', { get: () => 4 })"
KEYS = """(prefix) => new Promise((resolve) => {
  const opening = indexedDB.open("fedrela");
  opening.onsuccess = () => {
    const asked = opening.result.transaction("bytes").objectStore("bytes").getAllKeys();
    asked.onsuccess = () => { opening.result.close(); resolve(asked.result.filter((key) => key.startsWith(prefix))); };
  };
})"""


@pytest.mark.parametrize("allowed", [True, False])
def test_totals_and_update_are_the_python_devices(new_phone, allowed):
    phone = new_phone(ASKING)
    phone.tab.do("before", code=FOUR_CORES)
    phone.tab.do("open", url=phone.place.link(phone.population))
    phone.tab.do("wait", selector="#join")
    assert "only if you allow it" in phone.tab.do("text", selector="#offer")
    phone.tab.do("click", selector="#join")
    phone.tab.do("wait", selector="#share-totals")
    if allowed:
        phone.tab.do("click", selector="#share-totals")
    phone.tab.use_demo(SHARD)
    phone.tab.start()
    assert phone.finished()
    (key,) = phone.tab.do("eval", code=KEYS, argument="self-tests/")
    assert "-2-Mozilla" in key  # two threads passed the golden steps

    whole = shard_examples(SHARD)
    keys = np.arange(1, len(whole) + 1, dtype=np.uint64)  # a browser's database counts from 1
    secret = bytes.fromhex(phone.tab.stored("identity")["secret"])
    trained_on, held_out = holdout.split(Examples(whole.x, whole.y, keys), 0.2 if allowed else 0.0, secret)
    opened = phone.place.opened()
    engine = OnnxEngine(opened.manifest, programs(opened.folder, opened.manifest))
    task = replace(ASKING, population=phone.population)
    record = phone.place.task(phone.task_id)
    start = phone.place.admin.download(record["initial_checkpoint_sha256"])
    weights, local = tensors.from_bytes(start, opened.manifest.weights), LocalRound(task, 1, secret)

    reports = [json.loads(seen.body) for seen in phone.recorder.seen if seen.url.endswith("/evaluation")]
    (committed,) = phone.place.admin.get(f"/tasks/{phone.task_id}/rounds")
    if allowed:
        want = holdout.evaluate(engine, local, weights, held_out)
        (report,) = reports
        assert set(report) == {"loss_sum", "correct", "examples", "protocol"}
        assert (report["correct"], report["examples"]) == (want.correct, want.examples)
        assert report["loss_sum"] == pytest.approx(want.loss_sum, rel=1e-4)
        assert committed["evaluation"]["examples"] == len(held_out) > 0
    else:
        assert reports == []
        assert committed["evaluation"] is None

    labels = local_round.relabel(engine, local, weights, trained_on)
    state = engine.start(weights)
    for _ in local_round.train(engine, local, trained_on, labels, state):
        pass
    (body,) = {seen.body for seen in phone.recorder.seen if seen.method == "PUT"}
    sent, metadata = encodings.decode(body, opened.manifest.weights, "float32")
    assert metadata.examples == len(trained_on)
    check_same_update(weights, local_round.change(engine, state, weights), sent)
