"""What an owner sees and can do: with examples of a finished task, after a stop, and on the way out."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fedrela.core.task import Eligibility
from tests.web.browser import Tab
from tests.web.phone import TASK, Phone

COUNT = """() => new Promise((resolve) => {
  const opening = indexedDB.open("fedrela");
  opening.onsuccess = () => {
    const asked = opening.result.transaction("samples").objectStore("samples").count();
    asked.onsuccess = () => { opening.result.close(); resolve(asked.result); };
  };
})"""
ADD_COLORED = """() => new Promise((resolve) => {
  const opening = indexedDB.open("fedrela");
  opening.onsuccess = () => {
    const tx = opening.result.transaction("samples", "readwrite");
    tx.objectStore("samples").add({ words: ["cat"], form: "uint8 3x4x4", data: new Uint8Array(48).fill(200) });
    tx.oncomplete = () => { opening.result.close(); resolve(); };
  };
})"""
LEFT_BEHIND = """async () => ({
  caches: await caches.keys(),
  registrations: (await navigator.serviceWorker.getRegistrations()).length,
  databases: (await indexedDB.databases()).map(({ name }) => name),
})"""
HOLD = """() => new Promise((done) => {
  indexedDB.open("fedrela").onsuccess = ({ target }) => { window.held = target.result; done(); };
})"""
HELD = """() => new Promise((done) => {
  const names = ["bytes", "samples"], tx = window.held.transaction(names);
  const asked = names.map((name) => tx.objectStore(name).count());
  tx.oncomplete = () => done(asked.map(({ result }) => result));
})"""
NOTHING = {"caches": [], "registrations": 0, "databases": []}


def contains(tab: Tab, selector: str, text: str) -> None:
    """Wait until an element's text, folded away or not, has this in it."""
    found = f"document.querySelector({selector!r}).textContent.includes({text!r})"
    tab.do("waitFor", code=f"() => {found}")


def text_of(tab: Tab, selector: str) -> str:
    """An element's text, folded away or not."""
    return str(tab.do("eval", code="(selector) => document.querySelector(selector).textContent", argument=selector))


def counts(tab: Tab, selector: str) -> int:
    """How many such elements there are."""
    return int(tab.do("eval", code="(selector) => document.querySelectorAll(selector).length", argument=selector))


@pytest.fixture
def after_the_task(new_phone) -> Phone:
    """A phone whose task is finished; the page was opened anew."""
    phone = new_phone(replace(TASK, rounds=1))
    phone.tab.join(phone.place.link(phone.population))
    phone.tab.use_demo(0)
    phone.tab.start()
    assert phone.finished()
    contains(phone.tab, "#doing", "The task is finished")
    phone.tab.do("shut")
    phone.tab.do("open", url=f"{phone.place.url}/join/")
    phone.tab.do("wait", selector="#leave")
    return phone


def test_examples_are_shown_and_go_although_no_task_is_open(after_the_task):
    tab = after_the_task.tab
    tab.do("wait", selector="#kept .picture img")
    kept = tab.do("eval", code=COUNT)
    assert kept == 30
    groups = tab.do("eval", code="() => [...document.querySelectorAll('#kept h3')].map((title) => title.textContent)")
    assert sum(int(title.rsplit(": ", 1)[1]) for title in groups) == kept
    assert all("of the model “smooth-digits”" in title for title in groups)
    assert text_of(tab, "#data-note").endswith("When a task begins, you can add examples here.")
    assert counts(tab, "#data input") == 0
    tab.do("click", selector="#kept .picture")
    contains(tab, "#status", "Removed one example of")
    assert tab.do("eval", code=COUNT) == kept - 1
    while counts(tab, "#kept h3"):
        groups = text_of(tab, "#kept h3")
        tab.do("click", selector="#kept > div button:not(.picture)")
        tab.do("waitFor", code=f"() => document.querySelector('#kept h3')?.textContent !== {groups!r}")
    assert tab.do("eval", code=COUNT) == 0
    assert text_of(tab, "#data-note") == "When a task begins, you can add examples here."


def test_the_end_of_a_task_is_seen_without_a_reload(new_phone):
    phone = new_phone(replace(TASK, rounds=1))
    phone.tab.join(phone.place.link(phone.population))
    phone.tab.use_demo(0)
    phone.tab.start()
    phone.tab.do("wait", selector="#kept .picture")
    assert counts(phone.tab, "#classes li") == 0
    contains(phone.tab, "#consent-again", "There is no task right now")


def test_examples_that_the_open_task_can_t_take_are_shown_and_go(new_phone):
    tab = (phone := new_phone()).tab
    tab.join(phone.place.link(phone.population))
    tab.do("wait", selector="#classes li")
    tab.do("eval", code=ADD_COLORED)
    tab.do("shut")
    tab.do("open", url=f"{phone.place.url}/join/")
    tab.do("wait", selector="#kept .picture img")
    assert "The model of this one can't take them" in text_of(tab, "#kept")
    assert text_of(tab, "#kept h3") == "“cat”: 1"
    assert tab.do("eval", code="() => document.querySelector('#pause').disabled"), "nothing of it can be trained on"
    tab.do("click", selector="#kept .picture")
    tab.do("waitFor", code="() => !document.querySelector('#kept').textContent")
    assert tab.do("eval", code=COUNT) == 0


def test_who_has_joined_is_told_of_what_was_sent_and_not_asked_to_join(after_the_task):
    phone, tab = after_the_task, after_the_task.tab
    contains(tab, "#consent-again", "There is no task right now, so nothing of your examples leaves this device")
    assert "You can join" not in text_of(tab, "#consent-again")
    assert "asks for this device's help" not in text_of(tab, "#consent-again")
    (update,) = [seen for seen in phone.recorder.seen if seen.method == "PUT"]
    path = update.url.split(phone.place.host)[1]
    requests = tab.stored("sent")
    assert [item["bytes"] for item in requests if item["path"] == path] == [len(update.body)]
    own = [seen for seen in phone.recorder.seen if "/v1/" in seen.url and seen.body]
    assert {item["path"] for item in requests if item["bytes"]} == {seen.url.split(phone.place.host)[1] for seen in own}
    contains(tab, "#sent", f"PUT {path}, ")
    contains(tab, "#sent", "in one round")
    assert tab.stored("totals")["sentBytes"] >= sum(len(seen.body) for seen in own)


def test_after_leaving_the_browser_holds_nothing(new_phone):
    phone = new_phone()
    phone.tab.join(phone.place.link(phone.population))
    phone.tab.use_demo(0)
    phone.tab.do("eval", code="() => navigator.serviceWorker.ready.then(() => undefined)")
    held = phone.tab.do("eval", code=LEFT_BEHIND)
    assert held == {"caches": ["fedrela-page"], "registrations": 1, "databases": ["fedrela"]}
    phone.tab.do("click", selector="#leave")
    contains(phone.tab, "#status", "Everything was deleted from this browser. The operator's server has forgotten")
    assert phone.tab.do("eval", code=LEFT_BEHIND) == NOTHING


def test_leaving_in_the_middle_of_a_round_leaves_nothing(new_phone):
    phone = new_phone(replace(TASK, local=replace(TASK.local, epochs=2000)))
    phone.tab.join(phone.place.link(phone.population))
    phone.tab.use_demo(2)
    phone.tab.start()
    contains(phone.tab, "#doing", "step ")
    phone.tab.do("click", selector="#leave")
    contains(phone.tab, "#status", "Everything was deleted from this browser.")
    assert phone.tab.do("eval", code=LEFT_BEHIND) == NOTHING
    assert text_of(phone.tab, "#alert") == ""


def test_another_tab_of_the_page_does_not_keep_its_store(new_phone):
    phone = new_phone()
    phone.tab.join(phone.place.link(phone.population))
    phone.tab.do("beside", url=f"{phone.place.url}/join/")
    contains(phone.tab, "#status", "another tab")
    phone.tab.do("eval", code="() => { document.body.id = 'former'; }")
    phone.tab.do("swap")
    phone.tab.do("click", selector="#leave")
    contains(phone.tab, "#status", "Everything was deleted from this browser. The operator's")
    phone.tab.do("swap")
    phone.tab.do("wait", selector="body:not(#former)")  # it was loaded anew, and holds nothing of the former store


def test_a_store_that_can_t_be_deleted_is_empty_and_called_so(new_phone):
    phone = new_phone()
    phone.tab.join(phone.place.link(phone.population))
    phone.tab.use_demo(0)
    phone.tab.do("eval", code=HOLD)
    phone.tab.do("click", selector="#leave")
    contains(phone.tab, "#status", "Only an empty store is left, with nothing in it")
    assert phone.tab.do("eval", code=HELD) == [0, 0]


def test_after_a_no_the_browser_holds_nothing(new_phone):
    phone = new_phone()
    phone.tab.do("open", url=phone.place.link(phone.population))
    phone.tab.do("wait", selector="#decline")
    assert phone.tab.do("eval", code=LEFT_BEHIND)["caches"] == [], "nobody has agreed to anything yet"
    phone.tab.do("click", selector="#decline")
    contains(phone.tab, "#status", "You have not joined, and this page keeps nothing in this browser. If you")
    assert phone.tab.do("eval", code=LEFT_BEHIND) == NOTHING


def test_a_stop_says_what_it_is_and_a_new_choice_ends_its_notice(new_phone):
    tab = (phone := new_phone(replace(TASK, eligibility=Eligibility(min_separation_seconds=600)))).tab
    tab.join(phone.place.link(phone.population))
    contains(tab, "#doing", "Add some examples, then press Start.")
    tab.use_demo(0)
    contains(tab, "#doing", "Press Start to train.")
    tab.do("click", selector="#only-hidden")
    tab.start()
    contains(tab, "#doing", "Stopped. Press Start to go on.")
    assert text_of(tab, "#pause") == "Start"
    assert "allow it under “When to train”, or wait for another task; then press Start" in tab.alert()
    tab.do("click", selector="#only-hidden")
    tab.do("waitFor", code="() => document.querySelector('#alert').hidden")
    assert text_of(tab, "#doing") == "Stopped. Press Start to go on."
    tab.start()
    contains(
        tab,
        "#doing",
        "Your device was given work lately, and is left alone for a while. The page asks again in about 1",
    )
    assert tab.stored("totals")["rounds"] == 0


def test_a_picture_that_is_there_is_not_added_again(new_phone, tmp_path):
    tab = (phone := new_phone()).tab
    tab.join(phone.place.link(phone.population))
    first, second = picture(tmp_path / "a.png", 0), picture(tmp_path / "b.png", 1)
    again = str(tmp_path / "another-name.png")
    Path(again).write_bytes(Path(first).read_bytes())
    added: dict[str, Any] = {"selector": "#classes li:nth-child(4) input:not([capture])"}
    tab.do("wait", selector="#classes li:nth-child(4)")
    tab.do("upload", files=[first, again], **added)
    contains(tab, "#status", "Added one example. One is in this class already, and was not added again.")
    tab.do("upload", files=[again], **added)
    tab.do("waitFor", code="() => /^One is in this class/.test(document.querySelector('#status').textContent)")
    tab.do("upload", files=[second], **added)
    tab.do("waitFor", code="() => document.querySelector('#status').textContent === 'Added one example.'")
    assert text_of(tab, "#classes li:nth-child(4) h3") == "Class 3: 2"
    tab.do("upload", selector="#classes li:nth-child(5) input:not([capture])", files=[first])
    contains(tab, "#status", "Added one example. The same picture is in another class, too")
    assert text_of(tab, "#classes li:nth-child(5) h3") == "Class 4: 1"


def picture(path: Path, seed: int) -> str:
    """A file of noise."""
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (20, 20), dtype=np.uint8)).save(path)
    return str(path)
