"""A page in a group with Python and emulated devices: what it sends is hidden, a killed tab goes on, a lie ends all."""

import json
import subprocess
import sys
import threading
import time
from dataclasses import replace

import numpy as np

from fedrela.conformance.files import read_json
from fedrela.conformance.rounds.round_cases import programs
from fedrela.core import tensors
from fedrela.core.privacy import Privacy
from fedrela.core.secure import clipping, masked_body, secure_tasks
from fedrela.core.task import Aggregation
from fedrela.edge.engines.onnx_engine import OnnxEngine
from fedrela.edge.training.examples import Examples
from fedrela.edge.training.local_round import LocalRound
from fedrela.emulator import emulation
from fedrela.emulator.data import shards
from fedrela.emulator.fleet.profiles import DeviceProfiles
from fedrela.emulator.scenario import from_toml
from tests.patience import PATIENCE_SECONDS, wait_for
from tests.web.phone import TASK
from tests.web.place import KEY, ROOT, shard_examples
from tests.web.same_update import check_same_update, train_on
from tests.web.test_tabs import READ_BYTES, run_device

SHARD, PYTHON_SHARDS = 5, (0, 1, 3, 4)
SECURE = replace(
    TASK,
    rounds=1,
    round=replace(TASK.round, goal=5, minimum=5, smallest_cohort=5),
    aggregation=Aggregation(weight_by_examples=False),
    privacy=Privacy("peers", group_target=5, group_minimum=5, phase_seconds=60.0, clip_norm=16.0, clipped_share=0.1),
)
SESSION = "assignment/secure"
FLEET = """
name = "fleet"
devices = 2
[data]
samples_per_device = 12
"""


def steps_sent(phone):
    """The last parts of the PUT requests' paths, each once, in their order."""
    return list(dict.fromkeys(seen.url.rsplit("/", 1)[-1] for seen in phone.recorder.seen if seen.method == "PUT"))


def start_python(phone, numbers=PYTHON_SHARDS):
    """Python devices in the phone's population, each in a thread; their secrets by shard."""
    secrets = {shard: bytes([shard]) * 32 for shard in numbers}
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
    check_sum(phone, SECURE, on_shards(secrets | own_secret(phone)))


def own_secret(phone):
    """The page's, by its shard."""
    return {SHARD: bytes.fromhex(phone.tab.stored("identity")["secret"])}


def on_shards(secrets):
    """Devices on demonstration shards: what each draws from, and its examples."""
    return [(secret, shard_examples(shard)) for shard, secret in secrets.items()]


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


def check_sum(phone, task, devices):
    """The new model is the old one and the mean of what Python devices make of all members' data."""
    opened = phone.place.opened()
    engine = OnnxEngine(opened.manifest, programs(opened.folder, opened.manifest))
    record, specs = phone.place.task(phone.task_id), opened.manifest.weights
    weights, new = (
        tensors.from_bytes(phone.place.admin.download(record[name]), specs)
        for name in ("initial_checkpoint_sha256", "checkpoint_sha256")
    )
    of_population = replace(task, population=phone.population)
    changes = [
        train_on(engine, LocalRound(of_population, 1, secret), weights, examples, examples.y)
        for secret, examples in devices
    ]
    mean = {name: np.mean([change[name] for change in changes], axis=0, dtype=np.float64) for name in weights}
    layout = secure_tasks.layout(task, opened.manifest, clipping.first(task.privacy))
    step = max(layout.step(block.clip_norm) for block in layout.blocks)
    check_same_update(weights, mean, tensors.subtract(new, weights), rounded=step)


def start_fleet(phone, folder):
    """`fedrela emulate` of two devices against the phone's coordinator, which keeps real time."""
    (folder / "fleet.toml").write_text(FLEET)
    where = ("--url", phone.place.url, "--admin-key", KEY, "--task", phone.task_id, "--out", str(folder / "run"))
    command = [sys.executable, "-m", "fedrela", "emulate", str(folder / "fleet.toml"), *where, "--workers", "0"]
    with (folder / "log").open("wb") as log:
        return subprocess.Popen([*command, "--quiet"], cwd=ROOT, stdout=log, stderr=log)


def of_fleet(manifest):
    """What each emulated device draws from, and its examples."""
    fleet = from_toml(FLEET)
    dataset = emulation.load_data(fleet, ROOT, manifest)
    dealt, profiles = shards.deal(fleet, dataset), DeviceProfiles(fleet)
    rows = [dealt.indices(device) for device in range(fleet.devices)]
    return [(profiles.of(at).secret, Examples({"x": dataset.x[own]}, dataset.y[own])) for at, own in enumerate(rows)]


def test_python_devices_the_page_and_emulated_devices_are_one_group(new_phone, tmp_path):
    """The page comes when the others have long waited: by an emulated device's own time, hours if nothing held it."""
    privacy = replace(SECURE.privacy, gather_seconds=300.0, clip_norm=1.0)  # finer steps
    task = replace(SECURE, round=replace(SECURE.round, deadline_seconds=300.0), privacy=privacy)
    phone = new_phone(task)
    fleet = start_fleet(phone, tmp_path)
    secrets = start_python(phone, PYTHON_SHARDS[:2])
    wait_for(lambda: phone.place.task(phone.task_id)["waiting_for_group"] == 4)
    time.sleep(5)
    phone.tab.join(phone.place.link(phone.population))
    phone.tab.use_demo(SHARD)
    phone.tab.start()
    assert phone.finished()
    assert fleet.wait(PATIENCE_SECONDS) == 0, (tmp_path / "log").read_text()
    events = [json.loads(line) for line in (tmp_path / "run" / "events.jsonl").read_text().splitlines()]
    assert sorted((event["device"], event["event"]) for event in events) == [
        (0, "assigned"),
        (0, "update"),
        (1, "assigned"),
        (1, "update"),
    ]  # none gave up and came again
    check_sum(phone, task, [*on_shards(secrets | own_secret(phone)), *of_fleet(phone.place.opened().manifest)])


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
