"""Check-ins and stored updates as the routes make them, for tests of batches."""

from typing import Any

from fedrela.coordinator.rounds import group_commit, service
from fedrela.coordinator.rounds.service import CheckInRequest
from fedrela.coordinator.rounds.uploads import StoredUpdate, Upload, UploadHeaders
from fedrela.core.wire import Assignment, CheckIn
from tests.coordinator import fleet
from tests.coordinator.conftest import House

ONE = fleet.body(fleet.change(1.0))


def caller(device: fleet.Device, **changes: Any) -> CheckInRequest:
    """A check-in as the route makes it."""
    offer: dict[str, Any] = {"population": "default", "client": "python 0.1.0", "runtimes": ("onnx 1.32.0",)}
    offer["nonce"] = fleet.NONCE
    return CheckInRequest(device.credentials, CheckIn(**(offer | changes)))


def delivered(house: House, device: fleet.Device, assignment: Assignment, body: bytes = ONE) -> StoredUpdate:
    """An update that is stored and not counted; its request has ended."""
    begun = begin(house, device, assignment, len(body))
    assert isinstance(begun, Upload)
    house.coordinator.uploading.pop(assignment.assignment_id, None)
    return service.store_update(house.coordinator, begun, body)


def begin(house: House, device: fleet.Device, assignment: Assignment, length: int = len(ONE), now: float = 0.0) -> Any:
    """The answer to an update's headers."""
    headers = UploadHeaders(device.credentials, assignment.assignment_id, assignment.upload_token, length)
    return group_commit.begin_uploads(house.coordinator, [headers], now)[0]


def keyed_devices(house: House, count: int) -> list[fleet.Device]:
    """Devices whose lots are the same in every run."""
    token = house.operator.link(count)
    return [fleet.enroll(house.http, token, private_key=f"{index:064x}") for index in range(count)]


def assignments(house: House, fleet_: list[fleet.Device], now: float = 0.0) -> list[Assignment]:
    """An assignment for each, from one batch."""
    answers = group_commit.check_ins(house.coordinator, [caller(device) for device in fleet_], now)
    return [answer for answer in answers if isinstance(answer, Assignment)]
