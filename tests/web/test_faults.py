"""What goes wrong is said in a sentence that a layperson understands; nothing is sent, and nothing is lost."""

import json
import time
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from fedrela.core.task import LocalTraining
from tests.web.phone import TASK, Phone


@pytest.fixture
def phone(new_phone) -> Phone:
    """A phone that has agreed to join, and taken a shard."""
    phone = new_phone()
    phone.tab.join(phone.place.link(phone.population))
    phone.tab.use_demo(0)
    return phone


def test_a_forged_signature(phone):
    def forge(path, body):
        answer = json.loads(body) if path == "/v1/check-ins" else {}
        if not answer.get("assignment"):
            return body
        assignment = answer["assignment"]
        return json.dumps(answer | {"assignment": assignment | {"signature": "00" + assignment["signature"]}}).encode()

    phone.recorder.tamper = forge
    phone.tab.start()
    sentence = phone.tab.alert()
    assert "not signed by the operator" in sentence
    assert "nothing of it was run" in sentence
    assert not any("/v1/blobs/" in seen.url for seen in phone.recorder.seen)
    assert phone.updates() == 0
    phone.tab.do("waitFor", code="() => document.querySelector('#pause').textContent === 'Start'")


def test_a_flipped_byte(phone):
    def flip(path, body):
        return body[:-1] + bytes([body[-1] ^ 1]) if path.startswith("/v1/blobs/") else body

    phone.recorder.tamper = flip
    phone.tab.start()
    assert "damaged or changed on its way" in phone.tab.alert()
    assert phone.updates() == 0


def test_an_expired_link(new_phone):
    phone = new_phone()
    link = phone.place.link(phone.population, valid_seconds=0.05)
    time.sleep(0.2)
    phone.tab.do("open", url=link)
    assert "expired" in phone.tab.alert()
    assert {seen.method for seen in phone.recorder.seen} == {"GET"}


def test_a_revoked_device(phone):
    phone.place.admin.request("DELETE", f"/devices/{phone.tab.stored('identity')['device_id']}")
    phone.tab.start()
    assert "operator has removed this device" in phone.tab.alert()
    assert phone.updates() == 0


def test_a_full_disk(new_phone):
    """The browser's own refusal: Chromium does not apply a quota from its debugger to IndexedDB."""
    phone = new_phone()
    phone.tab.join(phone.place.link(phone.population))
    refuse = "() => { window.kept = IDBObjectStore.prototype.put; IDBObjectStore.prototype.put = () => {"
    phone.tab.do("eval", code=refuse + " throw new DOMException('', 'QuotaExceededError'); }; }")
    phone.tab.do("click", selector="#demo-add")
    assert "no more room" in phone.tab.alert()
    assert phone.tab.do("eval", code="() => document.querySelectorAll('.picture').length") == 0
    phone.tab.do("eval", code="() => { IDBObjectStore.prototype.put = window.kept; }")
    phone.tab.use_demo(0)
    phone.tab.start()
    assert phone.finished()


def test_a_lost_network(phone):
    phone.recorder.down = True
    phone.tab.start()
    assert "can't be reached" in phone.tab.alert()
    phone.recorder.down = False
    assert phone.finished()


def test_the_page_opens_without_a_network(phone):
    phone.tab.do("eval", code="() => navigator.serviceWorker.ready.then(() => undefined)")
    phone.recorder.down = True
    phone.tab.do("shut")
    phone.tab.do("open", url=f"{phone.place.url}/join/")
    phone.tab.do("wait", selector="#leave")
    assert "can't be reached" in phone.tab.alert()
    phone.recorder.down = False
    assert phone.finished()


def test_a_second_tab_leaves_the_work_to_the_first(phone):
    phone.tab.do("open", url=f"{phone.place.url}/join/")
    phone.tab.do("waitFor", code="() => /another tab/.test(document.querySelector('#status').textContent)")


def test_leaving_deletes_everything_and_is_told(phone):
    device_id = phone.tab.stored("identity")["device_id"]
    phone.tab.do("click", selector="#leave")
    phone.tab.do("waitFor", code="() => /Everything was deleted/.test(document.querySelector('#status').textContent)")
    assert device_id not in [item["device_id"] for item in phone.place.admin.get("/devices")]


def test_pausing_keeps_what_is_done(new_phone):
    local = LocalTraining(epochs=2000, batch_size=4, hyperparameters={"lr": 0.001})
    phone = new_phone(replace(TASK, rounds=1, local=local))
    tab = phone.tab
    tab.join(phone.place.link(phone.population))
    tab.use_demo(2)
    tab.start()
    tab.do("waitFor", code="() => /step [1-9]\\d+ of/.test(document.querySelector('#doing').textContent)")
    tab.start()
    tab.do("waitFor", code="() => /^Paused/.test(document.querySelector('#doing').textContent)")
    assignment = tab.stored("assignment/assignment")
    assert assignment is not None
    tab.do("eval", code="() => { document.querySelector('#doing').textContent = ''; }")
    tab.start()
    tab.do("waitFor", code="() => /step [1-9]\\d+ of/.test(document.querySelector('#doing').textContent)")
    assert tab.stored("assignment/assignment") == assignment
    assert sum(seen.url.endswith("/check-ins") for seen in phone.recorder.seen) == 1
    assert phone.updates() == 0


def test_pictures_are_put_into_classes_and_stay(new_phone, tmp_path):
    phone = new_phone()
    tab = phone.tab
    tab.join(phone.place.link(phone.population))
    rng = np.random.default_rng(0)
    paths = []
    for number in range(5):
        path = tmp_path / f"holiday-{number}.png"
        Image.fromarray(rng.integers(0, 255, (60, 100, 3), dtype=np.uint8)).save(path)
        paths.append(str(path))
    tab.do("wait", selector="#classes li:nth-child(4)")  # the page has asked for the task, whose classes these are
    sent = len(phone.recorder.seen)
    title = "document.querySelector('#classes li:nth-child(4) h3').textContent"
    tab.do("upload", selector="#classes li:nth-child(4) input:not([capture])", files=paths[:3])
    tab.do("waitFor", code=f"() => {title} === 'Class 3: 3'")
    assert tab.do("text", selector="#status") == "Added 3 examples."
    tab.do("eval", code="() => document.querySelector('#classes li:nth-child(4) .picture:last-of-type').focus()")
    tab.do("press", key="Enter")
    tab.do("waitFor", code=f"() => {title} === 'Class 3: 2'")
    tab.do("waitFor", code="() => document.activeElement.matches('li:nth-child(4) .picture:last-of-type')")
    assert tab.do("text", selector="#status") == "Removed one example of Class 3."
    assert not [seen.url for seen in phone.recorder.seen[sent:] if "/v1/" in seen.url]
    (tmp_path / "note.txt").write_text("no picture")
    tab.do("upload", selector="#classes li:nth-child(4) input:not([capture])", files=[str(tmp_path / "note.txt")])
    assert "no picture that this browser can read" in tab.alert()
    unread = tmp_path / "IMG_7.heic"
    unread.write_bytes(b"\0\0\0\x18ftypheic" + bytes(40))
    several = [paths[3], str(unread), paths[4]]
    tab.do("upload", selector="#classes li:nth-child(4) input:not([capture])", files=several)
    tab.do("waitFor", code=f"() => {title} === 'Class 3: 4'")
    assert tab.alert().startswith("One picture was not added. The image IMG_7.heic can't be decoded")
    tab.start()
    assert phone.finished()
    tab.do("waitFor", code="() => !document.querySelector('#pause').classList.contains('main')")  # nothing to pause
    assert not any(b"holiday" in seen.body for seen in phone.recorder.seen)


def test_who_asks_is_said_and_a_no_joins_nothing(new_phone):
    phone = new_phone()
    tab = phone.tab
    tab.do("open", url=phone.place.link(phone.population))
    tab.do("wait", selector="#decline")
    assert f"The operator of {phone.place.url.removeprefix('http://')} asks" in tab.do("text", selector="#offer")
    tab.do("click", selector="#decline")
    tab.do("waitFor", code="() => document.querySelector('#status').textContent.startsWith('You have not joined')")
    assert tab.do("eval", code="() => [location.hash, document.querySelector('#welcome').hidden]") == ["", True]
    assert not [seen.url for seen in phone.recorder.seen if seen.method == "POST"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_accessibility_fault_and_no_sideways_scrolling_at_360_px(new_phone, scheme):
    phone = new_phone(colorScheme=scheme)
    tab = phone.tab
    tab.do("open", url=phone.place.link(phone.population))
    tab.do("wait", selector="#join")
    faults = tab.do("axe")
    for _ in range(4):  # by keyboard alone
        tab.do("press", key="Tab")
        if tab.do("eval", code="() => document.activeElement.id") == "join":
            break
    tab.do("press", key="Enter")
    tab.do("wait", selector="#leave")
    tab.use_demo(0)
    faults += tab.do("axe")
    assert not [fault for fault in faults if fault["impact"] in ("serious", "critical")]
    assert tab.do("eval", code="() => document.scrollingElement.scrollWidth") <= 360


def test_a_coordinator_without_the_page_says_how_to_build_it(tmp_path, monkeypatch):
    from fastapi import FastAPI
    from fastapi.testclient import TestClient

    from fedrela.coordinator.api import problems
    from fedrela.coordinator.pages import join_page

    monkeypatch.setattr(join_page, "PAGE", tmp_path)
    app = FastAPI()
    app.include_router(join_page.router)
    problems.install(app)
    answer = TestClient(app).get("/join/")
    assert answer.status_code == 501
    assert "make web" in answer.json()["remedy"]
