"""The dashboard prints the API's own numbers, only to who knows the admin key, and does what its buttons say."""

import re

import pytest

from fedrela.conformance.files import PUBLISHER
from fedrela.coordinator.access import session
from fedrela.core import signing
from fedrela.core.errors import Refused
from fedrela.core.task import Relabel, Rounds, Task
from tests.coordinator.conftest import KEY, SIGNING_KEY, fleet


@pytest.fixture
def pages(house):
    """The coordinator's HTTP client with an operator's session, and a finished task of two rounds."""
    task_id = house.publish(2, goal=2)
    devices = house.devices(2)
    for _ in range(2):
        for device in devices:
            device.upload(device.join(), fleet.body(fleet.change(1.0)))
    answer = house.http.post("/login", data={"admin_key": KEY}, follow_redirects=False)
    assert answer.status_code == 303
    house.task_id = task_id
    return house


def test_nothing_is_shown_before_the_login(house):
    task_id = house.publish(1)
    for path in (f"/dashboard/tasks/{task_id}", "/dashboard/overview/live", "/dashboard/events",
                 f"/dashboard/tasks/{task_id}/traffic.svg"):  # fmt: skip
        assert house.http.get(path).status_code == 401
    for path in (f"/dashboard/tasks/{task_id}/cancel", "/dashboard/tokens", "/dashboard/tasks"):
        assert house.http.post(path).status_code == 401
    home = house.http.get("/")
    assert "Admin key" in home.text
    assert task_id not in home.text


def test_a_task_of_the_usual_settings_says_what_its_round_wants(pages):
    task_id = pages.publish(1, goal=10, smallest_cohort=1)  # all of them what a client takes where nothing is said
    page = pages.http.get(f"/dashboard/tasks/{task_id}")
    assert page.status_code == 200
    assert "0 of 10 updates" in page.text
    assert "goal = 10" in page.text


def test_a_wrong_key_opens_nothing(house):
    answer = house.http.post("/login", data={"admin_key": "x" * 32}, follow_redirects=False)
    assert answer.status_code == 401
    assert session.COOKIE not in answer.cookies


def test_a_session_ends_and_can_not_be_made_up():
    cookie = session.issue(KEY, now=1000.0)
    assert session.valid(cookie, KEY, now=1000.0 + session.SECONDS - 1)
    assert not session.valid(cookie, KEY, now=1000.0 + session.SECONDS)
    later = "9" + cookie
    for forged in ("", ".", later, cookie[:-1], cookie + "0", "²." + cookie.split(".")[1]):
        assert not session.valid(forged, KEY, now=1000.0)


def test_the_cookie_is_kept_from_scripts_and_other_sites(house):
    answer = house.http.post("/login", data={"admin_key": KEY}, follow_redirects=False)
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert KEY not in cookie


def test_a_form_from_another_site_is_refused(pages):
    answer = pages.http.post(f"/dashboard/tasks/{pages.task_id}/pause", headers={"Origin": "https://evil.example"})
    assert answer.status_code == 403
    with pytest.raises(Refused):
        session.check_origin("null", "testserver")


def test_the_pages_print_the_numbers_of_the_api(pages):
    operator = pages.operator
    task = operator.call("GET", f"/tasks/{pages.task_id}")
    rounds = operator.call("GET", f"/tasks/{pages.task_id}/rounds")
    text = pages.http.get(f"/dashboard/tasks/{pages.task_id}").text
    assert f"{task['committed_rounds']} of {task['rounds']}" in text
    rows = re.findall(r"<tr><th scope=\"row\">(\d+)</th><td>(\w+)</td><td>(\d+)</td><td>(\d+)</td>", text)
    assert sorted((int(a), b, int(c), int(d)) for a, b, c, d in rows) == [
        (item["round"], item["phase"], item["updates"], item["assignments"]) for item in rounds
    ]
    for item in rounds:
        assert f"<td>{item['update_bytes']}</td>" in text
    assert task["name"] in pages.http.get("/").text


def test_charts_are_svg_without_scripts(pages):
    for kind in ("accuracy", "participation", "traffic"):
        answer = pages.http.get(f"/dashboard/tasks/{pages.task_id}/{kind}.svg")
        assert answer.headers["content-type"].startswith("image/svg+xml")
        assert b"<svg" in answer.content
        assert b"<script" not in answer.content
    assert pages.http.get(f"/dashboard/tasks/{pages.task_id}/secrets.svg").status_code == 404


def test_buttons_pause_resume_and_cancel(pages):
    task_id = pages.publish(3, name="more")

    def status():
        return pages.operator.call("GET", f"/tasks/{task_id}")["status"]

    for verb, expected in (("pause", "paused"), ("resume", "running"), ("cancel", "cancelled")):
        assert pages.http.post(f"/dashboard/tasks/{task_id}/{verb}", follow_redirects=False).status_code == 303
        assert status() == expected


def test_a_link_comes_with_its_code_and_enrolls(pages):
    rounds, plain = Rounds(goal=1, smallest_cohort=1), Relabel(enabled=False)
    pages.operator.publish(pages.bundle, Task("theirs", 1, population="p", round=rounds, relabel=plain))
    text = pages.http.post("/dashboard/tokens", data={"uses": "1", "hours": "1", "population": "p"}).text
    token, coordinator, publisher = re.search(r"/join#([\w-]+)\.([0-9a-f]{32})\.([0-9a-f]{32})\b", text).groups()
    assert coordinator == signing.fingerprint(signing.public_key(SIGNING_KEY))
    assert publisher == PUBLISHER
    assert "data:image/svg+xml" in text
    assert "No phone can use this link" in text  # http://
    answer = pages.http.post("/v1/devices", json=fleet.enrollment(token, "ab" * 32))
    assert answer.json()["population"] == "p"
    assert token not in pages.http.get("/").text


@pytest.mark.parametrize(("button", "fields", "words"), [
    ("tokens", {"uses": "1", "population": "nobody-s"}, "publish a task first"),
    ("tokens", {"uses": "many"}, "write whole numbers"),
    ("tasks/t-0/pause", {}, "there is no such task"),
])  # fmt: skip
def test_what_a_button_can_t_do_is_a_page_with_a_way_back(pages, button, fields, words):
    answer = pages.http.post(f"/dashboard/{button}", data=fields)
    assert answer.status_code in (400, 404)
    assert answer.headers["content-type"].startswith("text/html")
    assert words in answer.text
    assert '<a href="/">Back</a>' in answer.text


def test_a_task_is_created_on_the_programs_of_another(pages):
    fields = {"like": pages.task_id, "weights": "newest", "toml": 'name = "again"\nrounds = 3'}
    answer = pages.http.post("/dashboard/tasks", data=fields, follow_redirects=False)
    made = pages.operator.call("GET", f"/tasks/{answer.headers['location'].rsplit('/', 1)[1]}")
    before = pages.operator.call("GET", f"/tasks/{pages.task_id}")
    assert made["name"] == "again"
    assert made["initial_checkpoint_sha256"] == before["checkpoint_sha256"]
    wrong = pages.http.post("/dashboard/tasks", data=fields | {"toml": "rounds = 0"})
    assert wrong.status_code == 400
    assert "name" in wrong.text


def test_text_from_outside_is_escaped(pages):
    fields = {"like": pages.task_id, "toml": 'name = "<script>alert(1)</script>"\nrounds = 3'}
    answer = pages.http.post("/dashboard/tasks", data=fields)
    assert "<script>alert" not in answer.text
