"""Every route with a part of its path to fill, filled with what no file system or database likes: none gives a 500."""

import logging
from pathlib import Path

import pytest

from fedrela.coordinator.pages import join_page
from tests.coordinator.conftest import KEY, House

NAMES = (
    "a" * 256, "a" * 5000, "x/" * 1500, "a%00b", "%ff", "%ed%a0%80", "%F0%9F%92%A9", "..", "%2e%2e/%2e%2e/etc/passwd",
    "%5c..%5c", "con", "index.html/x", "/etc/passwd", "%0a%0d", ".", "~", "%25%32%65", "assets/" + "a" * 300,
)  # fmt: skip


def paths(house: House) -> set[tuple[str, str]]:
    """Method and path of every route that has a parameter in its path."""
    document = house.http.get("/openapi.json").json()
    documented = {(verb.upper(), path) for path, verbs in document["paths"].items() for verb in verbs}
    pages = {("GET", "/join/{path}"), ("GET", "/dashboard/static/{name}"), ("GET", "/dashboard/tasks/{task}")}
    pages |= {("GET", "/dashboard/tasks/{task}/{kind}.svg"), ("POST", "/dashboard/tasks/{task}/pause")}
    pages |= {("POST", "/dashboard/tokens/{token}/revoke"), ("POST", "/dashboard/devices/{device}/revoke")}
    return {(verb, path) for verb, path in documented | pages if "{" in path}


@pytest.mark.parametrize("name", NAMES, ids=lambda name: name[:24])
def test_an_odd_name_is_no_mistake_of_ours_and_a_line_of_log_at_most(
    any_house: House, name: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("fedrela"), "propagate", True)
    (device,) = any_house.devices(1)
    any_house.http.post("/login", data={"admin_key": KEY})
    for verb, path in sorted(paths(any_house)):
        filled = path
        while "{" in filled:
            filled = filled[: filled.index("{")] + name + filled[filled.index("}") + 1 :]
        admin = "/admin/" in path
        caller = {"headers": any_house.operator.headers} if admin else {"auth": device.auth}
        caplog.clear()
        answer = any_house.http.request(verb, filled, **caller, follow_redirects=False)
        assert answer.status_code < 500, (verb, path, answer.text)
        if path.startswith("/join") and name not in (".", ".."):  # clients take those away
            assert answer.status_code == 404, (filled[:60], answer.text[:100])
        records = list({id(record): record for record in caplog.records if record.name.startswith("fedrela")}.values())
        assert len(records) <= 1
        assert not any(record.exc_info for record in records)


@pytest.fixture(autouse=True)
def built_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page to look for files in, whether the real one was built or not."""
    (tmp_path / "join" / "assets").mkdir(parents=True)
    (tmp_path / "join" / "index.html").write_text("<!doctype html>")
    (tmp_path / "join" / "assets" / "page-1a2B.js").write_text("1")
    monkeypatch.setattr(join_page, "PAGE", tmp_path / "join")


def test_the_page_s_own_files_are_there(house: House) -> None:
    assert house.http.get("/join/").status_code == 200
    answer = house.http.get("/join/assets/page-1a2B.js")
    assert (answer.status_code, answer.text) == (200, "1")
    assert "immutable" in answer.headers["cache-control"]


def test_a_file_that_is_there_compressed_alone_goes_to_whoever_takes_it(house: House, tmp_path: Path) -> None:
    (tmp_path / "join" / "assets" / "runtime-3c4D.wasm.br").write_bytes(b"small")
    path = "/join/assets/runtime-3c4D.wasm"
    del house.http.headers["accept-encoding"]  # as where a proxy takes it away
    for headers in ({}, {"accept-encoding": "gzip, deflate, br, zstd"}):
        with house.http.stream("GET", path, headers=headers) as answer:
            assert (answer.status_code, b"".join(answer.iter_raw())) == (200, b"small")
            assert (answer.headers["content-encoding"], answer.headers["content-type"]) == ("br", "application/wasm")
            assert answer.headers["vary"] == "Accept-Encoding"
    refusal = house.http.get(path, headers={"accept-encoding": "gzip, deflate"})  # a browser without https
    assert (refusal.status_code, refusal.json()["remedy"]) == (404, "open the page by https")
    assert house.http.get(f"{path}.br").status_code == 404
