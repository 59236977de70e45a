"""What a browser may send to the forms: another site's origin, a host that is none, numbers beyond every bound."""

import pytest
from fastapi.testclient import TestClient

from tests.coordinator.conftest import KEY, House

NUMBERS = ["-1", str(2**31), "9" * 15, "9" * 5000, "1e3", "1_0", "²", "", " 1"]
ORIGINS = ["http://[", "https://]", "http://[::1", "//", "http://", "x", "", "http://testserver:99999", "http://a/\x01"]


@pytest.mark.parametrize("origin", ORIGINS)
def test_an_origin_that_can_t_be_read_is_another_site_s(house: House, origin: str) -> None:
    for host in ({}, {"Host": ""}):
        answer = house.http.post("/login", data={"admin_key": KEY}, headers={"Origin": origin} | host)
        assert answer.status_code == 403, answer.text


@pytest.mark.parametrize("host", ["[", "http://[", "a b", "x:99999", ""])
def test_a_host_that_can_t_be_read_is_never_a_mistake_of_ours(house: House, host: str) -> None:
    headers = {"Host": host}
    assert house.http.get("/v1/admin/tasks", headers=headers | {"Authorization": "Bearer x"}).status_code == 401
    cookies = house.http.post("/login", data={"admin_key": KEY}, follow_redirects=False).cookies
    with TestClient(house.http.app, cookies=dict(cookies), raise_server_exceptions=False) as browser:
        house.publish(1, goal=1)
        answer = browser.post("/dashboard/tokens", data={"uses": "1"}, headers=headers)
        assert answer.status_code == 400
        assert "/join#" not in answer.text
    assert house.operator.call("GET", "/tokens") == []  # nothing was made that nobody was shown


@pytest.mark.parametrize("number", NUMBERS)
def test_a_number_beyond_its_bounds_is_refused_with_a_clear_text(house: House, number: str) -> None:
    task_id = house.publish(1, goal=1)
    house.http.post("/login", data={"admin_key": KEY}, follow_redirects=False)
    for path, field in ((f"/dashboard/tasks/{task_id}/rollback", "to_round"), ("/dashboard/tokens", "uses")):
        if field == "uses" and not number:
            continue  # a field that is left empty isn't sent
        answer = house.http.post(path, data={field: number})
        assert answer.status_code == 400, answer.text
        assert "<h1>That was not done</h1>" in answer.text
        assert len(answer.text) < 5000
    for hours in ("nan", "inf", "1e308", "-1", "9" * 5000, "x"):
        assert house.http.post("/dashboard/tokens", data={"hours": hours}).status_code == 400


def test_a_length_of_thousands_of_digits_is_refused(house: House) -> None:
    headers = house.operator.headers | {"Content-Length": "1" * 5000}
    answer = house.http.put("/v1/admin/blobs/" + "0" * 64, content=b"", headers=headers)
    assert answer.status_code == 400
