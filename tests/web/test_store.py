"""What an earlier version of the page has stored is taken over."""

FORMER = """() => new Promise((resolve, reject) => {
  const opening = indexedDB.open("fedrela", 1);
  opening.onerror = () => reject(opening.error);
  opening.onupgradeneeded = () => {
    opening.result.createObjectStore("bytes");
    opening.result.createObjectStore("samples", { keyPath: "id", autoIncrement: true }).createIndex("form", "form");
  };
  opening.onsuccess = () => {
    const tx = opening.result.transaction("bytes", "readwrite");
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
