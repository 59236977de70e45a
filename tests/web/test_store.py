"""What an earlier version of the page has stored is taken over."""

FORMER = """() => new Promise((resolve, reject) => {
  const opening = indexedDB.open("fedrela", 1);
  opening.onerror = () => reject(opening.error);
  opening.onupgradeneeded = () => {
    opening.result.createObjectStore("bytes");
    opening.result.createObjectStore("samples", { keyPath: "id", autoIncrement: true }).createIndex("form", "form");
  };
  opening.onsuccess = () => {
    const tx = opening.result.transaction(["bytes", "samples"], "readwrite");
    const sample = { label: 3, form: "uint8 1x8x8", data: new Uint8Array(64) };
    for (let row = 0; row < 2; row++) tx.objectStore("samples").add(sample);
    const bytes = (value) => new TextEncoder().encode(JSON.stringify(value));
    tx.objectStore("bytes").put(bytes({ receivedAt: 1 }), "turn/assignment");
    tx.objectStore("bytes").put(bytes("trained"), "turn/update");
    tx.objectStore("bytes").put(bytes({ paused: true }), "settings");
    tx.oncomplete = () => { opening.result.close(); resolve(); };
  };
})"""


def test_the_assignment_under_way_keeps_its_state_under_its_new_name(new_phone):
    phone = new_phone()
    phone.tab.do("open", url=f"{phone.place.url}/join/files.json")  # the page's origin, without the page
    phone.tab.do("eval", code=FORMER)
    phone.tab.join(phone.place.link(phone.population))
    assert phone.tab.stored("assignment/assignment") == {"receivedAt": 1}
    assert phone.tab.stored("assignment/update") == "trained"
    assert phone.tab.stored("turn/assignment") is None
    assert phone.tab.stored("turn/update") is None
    assert phone.tab.stored("settings") == {"paused": True}
    phone.tab.use_demo(0)
    assert phone.tab.do("eval", code="() => document.querySelectorAll('.picture').length") > 0


def test_examples_that_were_kept_by_a_class_s_place_are_asked_about(new_phone):
    tab = (phone := new_phone()).tab
    tab.do("open", url=f"{phone.place.url}/join/files.json")
    tab.do("eval", code=FORMER)
    tab.join(phone.place.link(phone.population))
    tab.do("wait", selector="#unsorted select")
    assert "class 3 of an earlier task: 2" in tab.do("text", selector="#unsorted")
    assert tab.do("eval", code="() => document.querySelector('#pause').disabled"), "there is nothing to train on yet"
    tab.do("select", selector="#unsorted select", value="7")
    tab.do("click", selector="#unsorted button:not(.picture)")
    tab.do("waitFor", code="() => document.querySelectorAll('#classes > li:nth-child(8) .picture').length === 2")
    assert tab.do("text", selector="#unsorted") == ""
    assert not tab.do("eval", code="() => document.querySelector('#pause').disabled")
