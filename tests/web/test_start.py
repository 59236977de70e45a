"""The page starts on slow and on silent browsers, or says in a sentence what does not answer."""

import json
import time
from dataclasses import replace

import pytest

from fedrela.conformance.files import PUBLISHER_KEY
from fedrela.core import signing
from fedrela.core.protocol import seals
from fedrela.core.task import Rounds
from tests.web.browser import Tab
from tests.web.phone import TASK

# Each hastens the one limit that its test waits for: any other could then run out first on a busy machine.
HASTY_TIMERS = """() => {
  const later = window.setTimeout;
  window.setTimeout = (what, ms, ...rest) => later(what, ms / 20, ...rest);
}"""
HASTY_ANSWERS = """() => {
  const signal = AbortSignal.timeout.bind(AbortSignal);
  AbortSignal.timeout = (ms) => signal(ms / 20);
}"""
SLOW_STORAGE = """() => {
  const open = IDBFactory.prototype.open;
  IDBFactory.prototype.open = function (...given) {
    const request = open.apply(this, given), listen = request.addEventListener.bind(request);
    const late = (heard) => (event) => setTimeout(() => heard.call(request, event), 1500);
    request.addEventListener = (kind, heard) => listen(kind, kind === "success" ? late(heard) : heard);
    return request;
  };
}"""
SILENT_STORAGE = """() => {
  IDBFactory.prototype.open = () => Object.assign(Object.create(IDBOpenDBRequest.prototype), { addEventListener() {} });
}"""
SILENT_SENSORS = """() => {
  const never = () => new Promise(() => {});
  navigator.getBattery = never;
  navigator.storage.estimate = never;
  navigator.storage.persist = never;
}"""


@pytest.fixture
def stranger(new_phone):
    """Opens a link in a browser that is changed first; the tab."""

    def open_link(*changes: str) -> Tab:
        phone = new_phone()
        for change in changes:
            phone.tab.do("before", code=change)
        phone.tab.do("open", url=phone.place.link(phone.population))
        return phone.tab

    return open_link


def test_the_workers_word_is_not_lost_where_storage_is_slow(stranger):
    stranger(SLOW_STORAGE).do("wait", selector="#join")


def test_silent_sensors_are_not_waited_for(stranger):
    tab = stranger(SILENT_SENSORS)
    tab.do("wait", selector="#join")
    tab.do("click", selector="#join")
    tab.do("wait", selector="#leave")


def test_storage_that_never_opens_is_told(stranger):
    sentence = stranger(HASTY_TIMERS, SILENT_STORAGE).alert()
    assert "storage for this page does not open" in sentence
    assert "Nothing was lost" in sentence


def test_a_worker_that_does_not_start_is_told(new_phone):
    phone = new_phone()

    def spoil(path: str, body: bytes) -> bytes:
        return b"throw new Error('spoilt');" if path.startswith("/join/assets/worker-") else body

    phone.recorder.tamper = spoil
    phone.tab.do("open", url=phone.place.link(phone.population))
    assert "has not started" in phone.tab.alert()


def test_a_coordinator_that_never_answers_is_told(new_phone):
    phone = new_phone()
    phone.tab.do("before", code=HASTY_ANSWERS)

    def stall(path: str, body: bytes) -> bytes:
        if path == "/v1/tasks":
            time.sleep(6)
        return body

    phone.recorder.tamper = stall
    phone.tab.do("open", url=phone.place.link(phone.population))
    assert "can't be reached" in phone.tab.alert()


def test_the_second_tab_takes_over_when_the_first_is_closed(new_phone):
    phone = new_phone()
    tab = phone.tab
    tab.join(phone.place.link(phone.population))
    tab.do("beside", url=f"{phone.place.url}/join/")
    tab.do("waitFor", code="() => /another tab/.test(document.querySelector('#status').textContent)")
    tab.do("shut_first")
    tab.do("wait", selector="#leave")
    assert tab.do("text", selector="#status") == ""


def test_a_model_that_the_page_has_no_data_for_is_refused_before_joining(new_phone):
    phone = new_phone()

    def two_inputs(path: str, body: bytes) -> bytes:
        if path != "/v1/tasks":
            return body
        answer = json.loads(body)
        for task in answer["tasks"]:
            manifest = json.loads(task["manifest"])
            for program in ("train_step", "predict"):
                (x,) = [item for item in manifest[program]["inputs"] if item["role"] == "x"]
                manifest[program]["inputs"].append(x | {"name": "age"})
            task["manifest"] = json.dumps(manifest)
            weights_sha256, manifest_sha256 = task["seal"]["weights_sha256"], signing.sha256(task["manifest"].encode())
            sealed = seals.seal(PUBLISHER_KEY, manifest_sha256=manifest_sha256, weights_sha256=weights_sha256)
            task["seal"] = vars(sealed)
        return json.dumps(answer).encode()

    phone.recorder.tamper = two_inputs
    phone.tab.do("open", url=phone.place.link(phone.population))
    phone.tab.do("wait", selector="#offer h3")
    assert "each of its examples has 2 parts (x, age)" in phone.tab.do("text", selector="#offer")
    assert "nothing to join" in phone.tab.do("text", selector="#status")
    assert phone.tab.do("eval", code="() => document.querySelector('#join').hidden")
    assert {seen.method for seen in phone.recorder.seen} == {"GET"}


@pytest.mark.parametrize(
    ("rounds", "words"),
    [
        (Rounds(goal=3, smallest_cohort=1), "the changes of a single device (usual: 5 or more)"),
        (Rounds(goal=3, smallest_cohort=3), "the changes of only 3 devices (usual: 5 or more)"),
        (Rounds(goal=5), ""),
    ],
)
def test_an_owner_is_told_of_a_task_that_mixes_few_devices_before_anything_is_sent(new_phone, rounds, words):
    phone = new_phone(replace(TASK, round=rounds))
    phone.tab.do("open", url=phone.place.link(phone.population))
    phone.tab.do("wait", selector="#join")
    offer = phone.tab.do("text", selector="#offer")
    assert ("usual: 5" in offer, words in offer) == (bool(words), True)
    assert {seen.method for seen in phone.recorder.seen} == {"GET"}
