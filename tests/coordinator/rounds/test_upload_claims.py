"""One update of an assignment is received at a time, across workers; a worker that dies holds nothing."""

import os
import socket
import time

import pytest
import sqlalchemy as sa

from fedrela.coordinator.rounds.uploads import Upload
from fedrela.coordinator.rounds.workers import HOST
from fedrela.coordinator.storage import schema
from fedrela.core.errors import Refused
from fedrela.core.protocol import signed_requests
from fedrela.core.task import Relabel, Rounds, Task
from tests.coordinator import fleet
from tests.coordinator.conftest import KEY, House, Server
from tests.coordinator.rounds.batches import ONE, assignments, begin
from tests.patience import PATIENCE_SECONDS

DEAD = f"{HOST}/{2**22 + 1}"  # no process has this number


def claimed_by(house: House, worker: str, until: float) -> None:
    """Another worker receives every assignment's update."""
    house.coordinator.uploading.clear()
    with house.coordinator.store.write() as tx:
        tx.execute(sa.update(schema.assignments).values(upload_worker=worker, upload_until=until))


def test_a_second_upload_is_told_to_wait_and_the_end_of_the_first_lets_it_in(any_house: House) -> None:
    house = any_house
    house.publish(1, goal=2)
    (device,) = house.devices(1)
    (assignment,) = assignments(house, [device])
    assert isinstance(begin(house, device, assignment), Upload)
    second = begin(house, device, assignment)
    assert isinstance(second, Refused)
    assert (second.status, second.code) == (429, "upload-under-way")  # a device tries a 429 again, and gives up on 409
    answer = device.upload(assignment.__dict__, ONE)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "2")
    house.coordinator.uploading.pop(assignment.assignment_id, None)
    assert device.upload(assignment.__dict__, ONE).status_code == 200
    assert device.upload(assignment.__dict__, ONE).json()["duplicate"] is True


@pytest.mark.parametrize(
    ("worker", "until", "free"),
    [
        (DEAD, 1e9, True),
        (f"{HOST}/{os.getppid()}", 1e9, False),
        (f"{HOST}/{os.getppid()}", 0.0, True),
        ("elsewhere/1", 1e9, False),
        ("elsewhere/1", 0.0, True),
    ],
)
def test_what_another_worker_receives_is_its_own_while_it_lives_and_its_time_lasts(
    house: House, worker: str, until: float, free: bool
) -> None:
    house.publish(1, goal=2)
    (device,) = house.devices(1)
    (assignment,) = assignments(house, [device])
    claimed_by(house, worker, until)
    assert isinstance(begin(house, device, assignment), Upload) is free


def test_a_request_that_ended_without_a_word_holds_nothing_for_ever(house: House) -> None:
    house.publish(1, goal=2, compute_lease_seconds=10_000, upload_lease_seconds=60)
    (device,) = house.devices(1)
    (assignment,) = assignments(house, [device])
    assert isinstance(begin(house, device, assignment), Upload)
    assert isinstance(begin(house, device, assignment, now=60.0), Refused)
    assert isinstance(begin(house, device, assignment, now=100.0), Upload)


def test_two_of_one_batch_are_one(house: House) -> None:
    from fedrela.coordinator.rounds import group_commit
    from fedrela.coordinator.rounds.uploads import UploadHeaders

    house.publish(1, goal=2)
    (device,) = house.devices(1)
    (assignment,) = assignments(house, [device])
    headers = UploadHeaders(device.credentials, assignment.assignment_id, assignment.upload_token, len(ONE))
    answers = group_commit.begin_uploads(house.coordinator, [headers] * 3, 0.0)
    assert [type(answer) for answer in answers] == [Upload, Refused, Refused]


def test_a_body_that_is_refused_or_cut_off_lets_the_next_one_in(house: House) -> None:
    house.publish(1, goal=2)
    (device,) = house.devices(1)
    assignment = device.join()
    assert device.upload(assignment, ONE[:-3]).status_code == 400
    assert house.coordinator.uploading == {}
    assert device.upload(assignment, ONE).status_code == 200


def test_twenty_bodies_of_one_assignment_that_end_at_the_same_moment_are_one_update(
    server: Server, bundle_folder: os.PathLike[str]
) -> None:
    """Case 04, A and C: each of them was stored, and all but one stayed."""
    server.workers = 4
    server.start()
    with server.http() as http:
        operator = fleet.Operator(http, KEY)
        rounds = Rounds(goal=3, smallest_cohort=1)
        operator.publish(bundle_folder, Task("hog", 5, round=rounds, relabel=Relabel(enabled=False)))  # type: ignore[arg-type]
        device = fleet.enroll(http, operator.link())
        assignment = device.join()
        bodies = [fleet.body(fleet.change(float(value))) for value in range(20)]
        lines = [half_sent(server.port, device, assignment, body) for body in bodies]
        time.sleep(0.5)
        for line, body in zip(lines, bodies, strict=True):
            line.sendall(body[-10:])
        statuses = sorted(status_of(line) for line in lines)
        files = list((server.folder / "blobs" / "private").iterdir())
        assert statuses.count(200) == 1
        assert set(statuses) <= {200, 429, 409}  # 409: it began when the first one counted already
        assert len(files) == 1


def half_sent(port: int, device: fleet.Device, assignment: dict[str, str], body: bytes) -> socket.socket:
    """An upload but for its last ten bytes."""
    line = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS)
    path = f"/v1/assignments/{assignment['assignment_id']}/update"
    headers = signed_requests.headers(device.private_key, "PUT", path, body) | {
        "Host": "x",
        "Authorization": f"Bearer {device.token}",
        "Fedrela-Upload-Token": assignment["upload_token"],
        "Content-Length": str(len(body)),
    }
    lines = [f"PUT {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    head = "\r\n".join(lines)
    line.sendall(head.encode() + body[:-10])
    return line


def status_of(line: socket.socket) -> int:
    """Of the answer."""
    with line:
        return int(line.recv(4000).split()[1])
