"""Devices that take part whatever happens to their coordinator: each repeats a request until it is answered.

device = Device(url, 0, enroll(http, enrollment_token), pause_seconds=0.1)
device.start()
"""

import random
import threading
import time
from typing import Any

import httpx
import numpy as np

from benchmarks.serving.signed_requests import CHECK_IN, Signed
from fedrela.core import tensors
from fedrela.core.wire import UpdateMetadata

PARAMETERS = 20_000


def patiently(client: httpx.Client, method: str, url: str, **arguments: Any) -> httpx.Response:
    """Repeat a request until the coordinator answers it."""
    until = time.monotonic() + 120
    while time.monotonic() < until:
        try:
            answer = client.request(method, url, **arguments)
            if answer.status_code < 500:
                return answer
        except httpx.TransportError:
            pass
        time.sleep(0.01)
    raise RuntimeError(f"{method} {url} was not answered for two minutes")


def update(index: int, number: int) -> bytes:
    """What device `index` sends in round `number`; always the same."""
    rng = np.random.default_rng([index, number])
    change = {"w": rng.normal(size=PARAMETERS).astype(np.float32)}
    return tensors.to_bytes(change, UpdateMetadata(index + 1).as_strings())


class Device(threading.Thread):
    """Takes part until the task is finished."""

    check_in = CHECK_IN
    places = ("check-in", "update")  # what it may be at

    def __init__(self, url: str, index: int, credentials: Signed, pause_seconds: float) -> None:
        super().__init__(daemon=True)
        self.url, self.index, self.pause_seconds = url, index, pause_seconds
        self.credentials = credentials
        self.acknowledged: list[int] = []
        self.repeated = 0
        self.doing = "check-in"
        self.failure: BaseException | None = None
        self._random = random.Random(index)

    def run(self) -> None:
        """Check in, upload, again and again."""
        try:
            with httpx.Client(timeout=10) as client:
                while self._assignment(client):
                    pass
        except BaseException as failure:
            self.failure = failure

    def _assignment(self, client: httpx.Client) -> bool:
        self.doing = "check-in"
        asked = patiently(client, "POST", f"{self.url}/v1/check-ins", json=self.check_in, auth=self.credentials)
        answer = asked.json()
        if answer["wait"]:
            time.sleep(0.02)
            return bool(answer["wait"]["reason"] != "finished")
        assignment = answer["assignment"]
        time.sleep(self._random.uniform(0, self.pause_seconds))
        self.send(client, assignment)
        return True

    def send(self, client: httpx.Client, assignment: dict[str, Any]) -> None:
        """What the device gives for its assignment."""
        self.upload(client, assignment, update(self.index, assignment["round"]))

    def upload(self, client: httpx.Client, assignment: dict[str, Any], body: bytes) -> None:
        """PUT an update until there is a receipt."""
        self.doing = "update"
        receipt = patiently(
            client,
            "PUT",
            f"{self.url}/v1/assignments/{assignment['assignment_id']}/update",
            content=body,
            headers={"Fedrela-Upload-Token": assignment["upload_token"]},
            auth=self.credentials,
        )
        if receipt.status_code != 200:
            raise RuntimeError(f"round {assignment['round']}: {receipt.text}")
        self.repeated += receipt.json()["duplicate"]
        self.acknowledged.append(assignment["round"])
