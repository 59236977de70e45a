"""What browsers are told with every answer, how sessions end, who guesses keys, and an API page that loads nothing."""

import logging
import re
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from fedrela.coordinator.access import session
from fedrela.coordinator.api import operators
from fedrela.core.wire import FEATURES
from tests.coordinator.api.test_bad_input import check_problem
from tests.coordinator.conftest import KEY, House, house_with, settings_for

HASH = "0" * 64


def log_in(house: House) -> str:
    """The cookie of a new session."""
    answer = house.http.post("/login", data={"admin_key": KEY}, follow_redirects=False)
    assert answer.status_code == 303
    return str(answer.cookies[session.COOKIE])


def test_a_session_that_was_logged_out_is_over_for_every_copy_of_its_cookie(any_house: House) -> None:
    mine, other = log_in(any_house), log_in(any_house)
    any_house.http.cookies.clear()

    def pages(cookie: str) -> int:
        header = {"Cookie": f"{session.COOKIE}={cookie}"}
        return any_house.http.get("/dashboard/overview/live", headers=header).status_code

    assert (pages(mine), pages(other)) == (200, 200)
    for _ in range(2):
        ended = any_house.http.post("/logout", headers={"Cookie": f"{session.COOKIE}={mine}"}, follow_redirects=False)
        assert ended.status_code == 303
    assert (pages(mine), pages(other)) == (401, 200)


def test_sessions_that_ended_are_kept_until_they_would_have_expired(house: House) -> None:
    old, new = session.issue(KEY, now=1000.0), session.issue(KEY, now=2000.0)
    session.end(house.coordinator.store, old, 1500.0)
    session.end(house.coordinator.store, new, 1000.0 + session.SECONDS)
    assert not session.has_ended(house.coordinator.store, old)  # it has expired, so `valid` refuses it
    assert session.has_ended(house.coordinator.store, new)


def test_wrong_keys_are_logged_without_the_key_and_slowed_down_by_address(
    house: House, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("fedrela"), "propagate", True)
    wrong = "w" * 32
    half = int(operators.WRONG_KEYS_AT_ONCE) // 2
    for _ in range(half):
        assert house.http.post("/login", data={"admin_key": wrong}).status_code == 401
        refused = house.http.get("/v1/admin/tasks", headers={"Authorization": f"Bearer {wrong}"})
        check_problem(refused, 401, "unauthenticated")
    assert said(caplog) == 2 * half
    assert wrong not in caplog.text + str([vars(record) for record in caplog.records])
    # From now on not even the right key helps: an answer would tell which guess was right.
    answer = house.http.get("/v1/admin/tasks", headers={"Authorization": f"Bearer {KEY}"})
    assert check_problem(answer, 429, "too-many-requests")["retry_after_seconds"] > 0
    for key in (wrong, KEY):
        page = house.http.post("/login", data={"admin_key": key})
        assert page.status_code == 429
        assert int(page.headers["retry-after"]) > 0
        assert "<h1>That was not done</h1>" in page.text
    elsewhere = TestClient(house.http.app, client=("192.0.2.7", 1000))
    assert elsewhere.get("/v1/admin/tasks", headers=house.operator.headers).status_code == 200


def said(caplog: pytest.LogCaptureFixture) -> int:
    """How many wrong keys the log has."""
    return len({id(record) for record in caplog.records if record.getMessage() == "wrong admin key"})


def test_the_admin_key_can_t_be_guessed_by_blobs_either_and_devices_go_on_downloading(
    house: House, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("fedrela"), "propagate", True)
    house.publish(1, goal=1)
    (device,) = house.devices(1)
    path = f"/v1/blobs/{device.join()['checkpoint_sha256']}"
    for _ in range(int(operators.WRONG_KEYS_AT_ONCE)):
        assert house.http.get(path, auth=device.auth).status_code == 200  # and it is never counted
        check_problem(house.http.get(path, headers={"Authorization": "Bearer " + "w" * 32}), 401, "unauthenticated")
    assert said(caplog) == operators.WRONG_KEYS_AT_ONCE
    for asked in (path, "/v1/admin/tasks", "/metrics"):
        check_problem(house.http.get(asked, headers=house.operator.headers), 429, "too-many-requests")
    assert house.http.get(path, auth=device.auth).status_code == 200
    unsigned = house.http.get(path, headers={"Authorization": f"Bearer {device.token}"})
    assert unsigned.status_code == 401  # a device's own token without its signature is no wrong key
    assert said(caplog) == operators.WRONG_KEYS_AT_ONCE


def test_nothing_but_the_one_check_compares_the_admin_key() -> None:
    root = Path(operators.__file__).parents[1]
    sources = {path.name: path.read_text() for path in root.rglob("*.py")}
    comparing = [
        name
        for name, text in sources.items()
        if re.search(r"\bsame\(.*admin_key|admin_key *[!=]=|[!=]= *\S*admin_key", text)
    ]
    assert comparing == ["operators.py"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 200), ("GET", "/docs", 200), ("GET", "/openapi.json", 200), ("GET", "/healthz", 200),
        ("GET", "/dashboard/static/dashboard.css", 200), ("GET", "/nowhere", 404), ("GET", "/join", 308),
        ("GET", f"/v1/blobs/{HASH}", 401), ("POST", "/v1/check-ins", 401), ("GET", "/metrics", 401),
        ("POST", "/v1/devices", 400), ("GET", "/v1/admin/tasks?x=" + "a" * 20_000, 431),
    ],
)  # fmt: skip
def test_every_answer_tells_browsers_not_to_guess_frame_or_leave_tls(
    house: House, method: str, path: str, status: int
) -> None:
    answer = house.http.request(method, path, follow_redirects=False)
    assert answer.status_code == status
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert "strict-transport-security" not in answer.headers
    with_tls = TestClient(house.http.app, base_url="https://testserver", raise_server_exceptions=False)
    answer = with_tls.request(method, path, follow_redirects=False)
    assert answer.headers["strict-transport-security"] == "max-age=31536000"


def test_a_form_that_a_proxy_hid_the_host_of_is_refused_with_the_setting_and_taken_with_it(
    house: House, tmp_path: Path
) -> None:
    outside = {"Origin": "https://fl.example.org"}
    refused = house.http.post("/login", data={"admin_key": KEY}, headers=outside)
    assert refused.status_code == 403
    assert "https://fl.example.org" in refused.text
    assert "FEDRELA_PUBLIC_URL" in refused.text
    settings = settings_for(tmp_path / "behind", public_url="https://fl.example.org")
    with house_with(settings, house.bundle) as behind:
        answer = behind.http.post("/login", data={"admin_key": KEY}, headers=outside, follow_redirects=False)
        assert answer.status_code == 303
        assert "Secure" in answer.headers["set-cookie"]
        behind.publish(1, goal=1)
        cookie = {"Cookie": f"{session.COOKIE}={answer.cookies[session.COOKIE]}"}
        made = behind.http.post("/dashboard/tokens", data={"uses": "1"}, headers=outside | cookie)
        assert "https://fl.example.org/join#" in made.text
        assert "No phone can use this link" not in made.text
        for other in ("https://evil.example", "null", "http://fl.example.org"):
            stranger = behind.http.post("/login", data={"admin_key": KEY}, headers={"Origin": other})
            assert stranger.status_code == 403
        assert behind.operator.call("GET", "/server") == {
            "dev": True, "public_url": "https://fl.example.org", "features": list(FEATURES),
        }  # fmt: skip


def test_a_mistake_of_ours_carries_the_headers_too(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr("fedrela.coordinator.monitoring.history.tasks", broken)
    answer = house.http.get("/v1/admin/tasks", headers=house.operator.headers)
    check_problem(answer, 500, "internal")
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_the_page_of_the_api_shows_every_operation_and_loads_nothing_from_elsewhere(house: House) -> None:
    answer = house.http.get("/docs")
    login = house.http.get("/")
    assert answer.headers["content-security-policy"] == login.headers["content-security-policy"]
    assert "script-src 'self'" in answer.headers["content-security-policy"]
    loaded = re.findall(r"(?:src|href|action)=\"([^\"]*)\"", answer.text)
    assert loaded
    assert [link for link in loaded if "//" in link] == []
    assert "<script>" not in answer.text
    document = house.http.get("/openapi.json").json()
    for path, verbs in document["paths"].items():
        for verb in verbs:
            assert f"<code>{verb.upper()} {path}</code>" in answer.text
    for name in document["components"]["schemas"]:
        assert f'id="message-{name}"' in answer.text
    assert house.http.get("/redoc").status_code == 404
