"""A page in a group with Python devices: what it sends is hidden, a killed tab goes on, a lie ends its turn."""

import json
import threading
import time
from dataclasses import replace

import numpy as np

from fedrela.conformance.files import read_json
from fedrela.conformance.rounds.round_cases import programs
from fedrela.core import tensors
from fedrela.core.privacy import Privacy
from fedrela.core.secure import masked_body, secure_tasks
from fedrela.core.task import Aggregation
from fedrela.edge.engines.onnx_engine import OnnxEngine
from fedrela.edge.training.local_round import LocalRound
from tests.web.phone import TASK
from tests.web.place import shard_examples
from tests.web.same_update import check_same_update, train_on
from tests.web.test_tabs import PATIENCE_SECONDS, READ_BYTES, run_device, wait_for

SHARD, PYTHON_SHARDS = 5, (0, 1, 3, 4)
SECURE = replace(
    TASK,
    rounds=1,
    round=replace(TASK.round, goal=5, minimum=5, smallest_cohort=5),
    aggregation=Aggregation(weight_by_examples=False),
    privacy=Privacy("peers", group_target=5, group_minimum=5, phase_seconds=60.0, clip_norm=16.0, clipped_share=0.1),
)
SESSION = "assignment/secure"


def steps_sent(phone):
    """The last parts of the PUT requests' paths, each once, in their order."""
    return list(dict.fromkeys(seen.url.rsplit("/", 1)[-1] for seen in phone.recorder.seen if seen.method == "PUT"))


def start_python(phone):
    """Python devices in the phone's population, each in a thread; their secrets by shard."""
    secrets = {shard: bytes([shard]) * 32 for shard in PYTHON_SHARDS}
    for shard, secret in secrets.items():
        client = phone.place.device(shard, secret=secret, population=phone.population)
        threading.Thread(target=run_device, args=(client, time.monotonic() + PATIENCE_SECONDS), daemon=True).start()
    return secrets


def kill_as_it_masks(phone):
    """Kill the tab between its masked update and the answer; the members' secrets, the session and the kept vector."""
    masking = threading.Event()

    def cut(path, body):
        if path.endswith("/secure") and json.loads(body).get("step") == "mask":
            phone.recorder.down = True
            masking.set()
        return body

    phone.recorder.tamper = cut
    secrets = start_python(phone)
    assert masking.wait(PATIENCE_SECONDS)
    wait_for(lambda: "update" in steps_sent(phone))
    session = phone.tab.stored(SESSION)
    (vector,) = phone.tab.do("eval", code=READ_BYTES, argument="assignment/update")
    phone.tab.do("crash")
    phone.recorder.tamper, phone.recorder.down = lambda path, body: body, False
    phone.tab.do("open", url=f"{phone.place.url}/join/")
    return secrets, session, tensors.read(bytes(vector))["vector"]


def test_a_page_killed_as_it_masks_is_in_the_sum_of_its_group(new_phone):
    phone = new_phone(SECURE)
    phone.tab.do("open", url=phone.place.link(phone.population))
    phone.tab.do("wait", selector="#join")
    assert "hidden among those of at least 5 devices" in phone.tab.do("text", selector="#offer")
    phone.tab.do("click", selector="#join")
    phone.tab.do("wait", selector="#leave")
    phone.tab.use_demo(SHARD)
    phone.tab.start()
    secrets, session, vector = kill_as_it_masks(phone)
    assert phone.finished()
    wait_for(lambda: phone.tab.stored(SESSION) is None)
    steps = ["keys", "shares", "update", "agreement", "reveal"]
    assert steps_sent(phone) in (steps, steps[:-1])  # others' answers may have opened the sum before
    check_hidden(phone, session, vector)
    secrets[SHARD] = bytes.fromhex(phone.tab.stored("identity")["secret"])
    check_sum(phone, secrets)


def check_hidden(phone, session, vector):
    """The same masked body before and after the kill, and nothing that would open it in what was sent."""
    (body,) = {seen.body for seen in phone.recorder.seen if seen.url.endswith("/update")}
    words, header = masked_body.from_bytes(body, secure_tasks.words(SECURE, phone.place.opened().manifest))
    assert header.session in {json.loads(seen.body)["session"] for seen in phone.recorder.seen if "shares" in seen.url}
    assert abs(np.corrcoef(words.view(np.int32), vector)[0, 1]) < 0.3  # of some thousand random words: 15 deviations
    sent = b"\n".join(seen.url.encode() + json.dumps(seen.headers).encode() + seen.body for seen in phone.recorder.seen)
    for secret in session["secrets"].values():
        assert secret.encode() not in sent
        assert bytes.fromhex(secret) not in sent


def check_sum(phone, secrets):
    """The new model is the old one and the mean of what Python devices make of all five's data."""
    opened = phone.place.opened()
    engine = OnnxEngine(opened.manifest, programs(opened.folder, opened.manifest))
    record, specs = phone.place.task(phone.task_id), opened.manifest.weights
    weights, new = (
        tensors.from_bytes(phone.place.admin.download(record[name]), specs)
        for name in ("initial_checkpoint_sha256", "checkpoint_sha256")
    )
    task = replace(SECURE, population=phone.population)
    examples = {shard: shard_examples(shard) for shard in secrets}
    changes = [
        train_on(engine, LocalRound(task, 1, secret), weights, examples[shard], examples[shard].y)
        for shard, secret in secrets.items()
    ]
    mean = {name: np.mean([change[name] for change in changes], axis=0, dtype=np.float64) for name in weights}
    check_same_update(weights, mean, tensors.subtract(new, weights))


def test_a_roster_that_leaves_the_page_out_ends_its_turn(new_phone):
    phone = new_phone(SECURE)
    phone.tab.join(phone.place.link(phone.population))
    lie = json.dumps({"step": "share", "roster": read_json("secure/session.json")["roster"]}).encode()
    phone.recorder.tamper = lambda path, body: lie if path.endswith("/secure") else body
    phone.tab.use_demo(SHARD)
    phone.tab.start()
    sentence = phone.tab.alert()
    assert "leaves this device out" in sentence
    assert "has left the group" in sentence
    assert steps_sent(phone) == ["keys"]
    assert phone.tab.stored(SESSION) is None
    phone.tab.do("waitFor", code="() => document.querySelector('#pause').textContent === 'Start'")


def test_a_plain_task_says_that_the_operator_can_work_out_the_classes_and_can_be_refused(new_phone):
    phone = new_phone(TASK)
    phone.tab.do("open", url=phone.place.link(phone.population))
    phone.tab.do("wait", selector="#join")
    assert "can work out from it which classes you have" in phone.tab.do("text", selector="#offer")
    phone.tab.do("click", selector="#join")
    phone.tab.do("wait", selector="#only-hidden")
    phone.tab.do("click", selector="#only-hidden")
    phone.tab.use_demo(SHARD)
    phone.tab.start()
    assert "doesn't hide your change" in phone.tab.alert()
    assert phone.updates() == 0
