"""Who may do what: credentials, other people's assignments, secrets, limits, logs."""

import logging
from dataclasses import replace
from pathlib import Path

import pytest

from fedrela.coordinator.settings import Settings
from fedrela.core import signing
from fedrela.core.errors import InvalidInput
from tests.coordinator import fleet
from tests.coordinator.api.test_bad_input import check_problem
from tests.coordinator.conftest import KEY, House, house_with, settings_for

ONE = fleet.body(fleet.change(1.0))
NOBODY = {"Authorization": "Bearer nobody"}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/check-ins"),
        ("GET", "/v1/blobs/" + "0" * 64),
        ("PUT", "/v1/assignments/a-1/update"),
        ("POST", "/v1/assignments/a-1/failure"),
        ("POST", "/v1/assignments/a-1/evaluation"),
        ("DELETE", "/v1/devices/self"),
        ("GET", "/v1/admin/tasks"),
        ("POST", "/v1/admin/tokens"),
        ("GET", "/v1/admin/devices"),
        ("POST", "/v1/admin/clock"),
        ("GET", "/metrics"),
    ],
)
def test_nobody_gets_in_without_credentials(house: House, method: str, path: str) -> None:
    bodies = {
        "/v1/check-ins": {"population": "default", "client": "python 1", "runtimes": [], "nonce": fleet.NONCE},
        "/v1/assignments/a-1/failure": {"code": "timed-out"},
        "/v1/assignments/a-1/evaluation": {"loss_sum": 1.0, "correct": 1, "examples": 1},
    }
    for headers in ({}, NOBODY, {"Authorization": "Basic eDp5"}, {"Authorization": "Bearer "}):
        answer = house.http.request(method, path, json=bodies.get(path), headers=headers)
        check_problem(answer, 401, "unauthenticated")
        assert answer.headers["www-authenticate"].startswith("Bearer")


def test_a_device_token_opens_no_admin_route_and_the_admin_key_is_no_device(house: House) -> None:
    (device,) = house.devices(1)
    check_problem(house.http.get("/v1/admin/tasks", auth=device.auth), 401, "unauthenticated")
    message = {"population": "default", "client": "python 1", "runtimes": [], "nonce": fleet.NONCE}
    answer = house.http.post("/v1/check-ins", json=message, headers=house.operator.headers)
    check_problem(answer, 401, "unauthenticated")


def test_a_device_can_neither_read_nor_write_for_another(house: House) -> None:
    task_id = house.publish(1, goal=2)
    one, two = house.devices(2)
    assignment, _ = one.join(), two.join()
    check_problem(two.upload(assignment, ONE), 404, "unknown-assignment")
    check_problem(two.fail(assignment), 404, "unknown-assignment")
    assert one.upload(assignment, ONE).status_code == 200
    # Stored updates are no blobs that anybody could fetch, not even their own device or the operator.
    as_operator = {"headers": house.operator.headers}
    for shown in ({"auth": one.auth}, {"auth": two.auth}, as_operator):
        answer = house.http.get(f"/v1/blobs/{signing.sha256(ONE)}", **shown)
        check_problem(answer, 404, "unknown-blob")
    assert house.operator.task(task_id)["reported"] == 1


def test_an_upload_needs_the_token_of_its_assignment(house: House) -> None:
    house.publish(1, goal=2)
    one, two = house.devices(2)
    assignment, other = one.join(), two.join()
    for token in ("", "wrong", other["upload_token"]):
        check_problem(one.upload(assignment | {"upload_token": token}, ONE), 403, "bad-upload-token")
    assert one.upload(assignment, ONE).status_code == 200


def test_updates_are_deleted_once_their_round_is_committed(house: House) -> None:
    house.publish(2, goal=1)
    (device,) = house.devices(1)
    device.upload(device.join(), ONE)
    assert not [blob for blob in house.coordinator.blobs.listing() if blob.name.startswith("private/")]


def test_secrets_are_stored_as_hashes_only(house: House) -> None:
    import sqlalchemy as sa

    token = house.operator.link(1)
    device = fleet.enroll(house.http, token)
    house.publish(1, goal=1)
    assignment = device.join()
    with house.coordinator.store.read() as view:
        names = view.scalars(sa.text("SELECT name FROM sqlite_master WHERE type = 'table'")).all()
        dump = "".join(str(view.execute(sa.text(f"SELECT * FROM {name}")).all()) for name in names)
    assert device.device_id in dump
    for secret in (token, device.token, assignment["upload_token"], KEY, house.settings.signing_key):
        assert secret not in dump
    assert KEY not in repr(house.settings)


def test_unknown_ids_are_404(house: House) -> None:
    for method, path in (
        ("GET", "/tasks/t-0"),
        ("GET", "/tasks/t-0/rounds"),
        ("POST", "/tasks/t-0/pause"),
        ("DELETE", "/devices/d-0"),
        ("DELETE", "/tokens/e-0"),
    ):
        answer = house.http.request(method, f"/v1/admin{path}", headers=house.operator.headers)
        assert answer.status_code == 404, path


def test_a_device_that_asks_too_often_is_told_when_to_come_back(tmp_path: Path, bundle_folder: Path) -> None:
    settings = settings_for(tmp_path / "data", requests_per_device_per_second=0.01)
    with house_with(settings, bundle_folder) as house:
        one, two = house.devices(2)
        message = {"population": "default", "client": "python 1", "runtimes": [], "nonce": fleet.NONCE}
        answers = [house.http.post("/v1/check-ins", json=message, auth=one.auth) for _ in range(2)]
        assert answers[0].status_code == 200
        problem = check_problem(answers[-1], 429, "too-many-requests")
        assert 0 < problem["retry_after_seconds"] <= 100
        assert int(answers[-1].headers["retry-after"]) >= 1
        assert house.http.post("/v1/check-ins", json=message, auth=two.auth).status_code == 200


def test_an_address_that_asks_too_often_is_held_back(tmp_path: Path, bundle_folder: Path) -> None:
    settings = settings_for(tmp_path / "data", requests_per_address_per_second=0.01)
    with house_with(settings, bundle_folder) as house:
        codes = [house.http.get("/healthz").status_code for _ in range(2)]
        assert codes == [200, 429]


@pytest.mark.parametrize(
    ("environment", "word"),
    [
        ({}, "FEDRELA_ADMIN_KEY"),
        ({"FEDRELA_ADMIN_KEY": "short"}, "FEDRELA_ADMIN_KEY"),
        ({"FEDRELA_ADMIN_KEY": "k" * 32}, "FEDRELA_SIGNING_KEY"),
        ({"FEDRELA_ADMIN_KEY": "k" * 32, "FEDRELA_SIGNING_KEY": "xyz"}, "FEDRELA_SIGNING_KEY"),
        (
            {"FEDRELA_ADMIN_KEY": "k" * 32, "FEDRELA_SIGNING_KEY": "11" * 32, "FEDRELA_VIRTUAL_CLOCK": "1"},
            "FEDRELA_VIRTUAL_CLOCK",
        ),
        ({"FEDRELA_DEV": "yes"}, "FEDRELA_DEV"),
        ({"FEDRELA_ADMIN_KEY": "k" * 32, "FEDRELA_SIGNING_KEY": "11" * 32, "FEDRELA_RATE_PER_DEVICE": "x"}, "RATE"),
    ],
)
def test_it_refuses_to_start_without_real_secrets(environment: dict[str, str], word: str) -> None:
    with pytest.raises(InvalidInput, match=word):
        Settings.from_environment(environment)


def test_development_secrets_are_made_once_and_readable_by_their_owner_only(tmp_path: Path) -> None:
    environment = {"FEDRELA_DEV": "1", "FEDRELA_DATA": str(tmp_path)}
    first = Settings.from_environment(environment)
    assert Settings.from_environment(environment) == first
    assert (tmp_path / "admin.key").stat().st_mode & 0o777 == 0o600
    assert first.admin_key != first.signing_key


def test_logs_hold_no_token(house: House, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.getLogger("fedrela"), "propagate", True)
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, logger="fedrela")
    token = house.operator.link(1)
    device = fleet.enroll(house.http, token)
    house.publish(1, goal=1)
    assignment = device.join()
    device.upload(assignment, b"junk")
    device.upload(assignment, ONE)
    assert "round committed" in caplog.text
    for secret in (token, device.token, assignment["upload_token"], KEY):
        assert secret not in caplog.text


def test_settings_compare_by_value() -> None:
    base = settings_for(Path("/nowhere"))
    assert replace(base, dev=True) == base
