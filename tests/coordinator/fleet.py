"""A small published task and devices that speak the protocol without training: what the coordinator's tests need.

The programs of this bundle are placeholders, because a coordinator stores programs and never runs them.
"""

import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fedrela.conformance import placeholders
from fedrela.conformance.files import PUBLISHER, PUBLISHER_KEY
from fedrela.coordinator.access import auth
from fedrela.coordinator.access.devices import Credentials
from fedrela.core import bundle, encodings, signing, strict, tensors
from fedrela.core.bundle import Golden, Manifest, ProgramInput
from fedrela.core.protocol import signed_requests, statements
from fedrela.core.streams import derive
from fedrela.core.task import Task
from fedrela.core.tensors import Params
from fedrela.core.wire import CheckIn, UpdateMetadata

SIGNING_KEY = "11" * 32  # of every coordinator in these tests
SHAPES: dict[str, tuple[int, ...]] = {"w": (3, 2), "b": (2,)}


def make_bundle(
    folder: Path, shapes: dict[str, tuple[int, ...]] | None = None, statistics: dict[str, float | None] | None = None
) -> bundle.Seal:
    """Write a bundle whose model has tensors of these shapes; the start weights are all zero.

    `statistics`: those of them that are no parameters, and their lowest values where they have one; they start at one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    counted = statistics or {}
    weights = {name: np.full(shape, name in counted, np.float32) for name, shape in (shapes or SHAPES).items()}
    state = tuple(
        ProgramInput(name, "buffer" if name in counted else "parameter", array.shape) for name, array in weights.items()
    )
    golden = tensors.to_bytes({"train_step.0.loss_sum": np.zeros(1, np.float32)})
    (folder / "golden.safetensors").write_bytes(golden)
    lr = ProgramInput("lr", "hyperparameter", ())
    programs = placeholders.programs(state, ProgramInput("x", "x", ("B", 3)), 2, lr)
    for name in bundle.PROGRAMS:
        (folder / f"{name}.onnx").write_bytes(placeholders.body(name))
    manifest = Manifest(
        "tiny",
        2,
        **programs,
        golden=Golden("golden.safetensors", signing.sha256(golden), len(golden)),
        hyperparameters={"lr": 0.1},
        lowest_values={name: lowest for name, lowest in counted.items() if lowest is not None},
    )
    return bundle.write(folder, manifest, weights, private_key=PUBLISHER_KEY)


def change(value: float, shapes: dict[str, tuple[int, ...]] | None = None) -> Params:
    """An update whose elements are all `value`."""
    return {name: np.full(shape, value, np.float32) for name, shape in (shapes or SHAPES).items()}


def body(update: Params, examples: int = 10, encoding: str = "float32", statistics: Collection[str] = ()) -> bytes:
    """The bytes of an update."""
    metadata = UpdateMetadata(examples, encoding)  # type: ignore[arg-type]
    stream = derive(b"test", "encode")
    return encodings.encode(update, metadata, stream=stream, statistics=statistics, top_k_fraction=1.0)[0]


class Operator:
    """The admin API, through any httpx-like client."""

    def __init__(self, http: Any, key: str) -> None:
        self.http, self.key = http, key
        self.headers = {"Authorization": f"Bearer {key}"}

    def call(self, method: str, path: str, **arguments: Any) -> Any:
        """One request; the JSON of its answer. Fails the test where it is refused."""
        answer = self.http.request(method, f"/v1/admin{path}", headers=self.headers, **arguments)
        assert answer.status_code < 400, answer.text
        return answer.json() if answer.content else None

    def publish(self, folder: Path, task: Task) -> str:
        """Upload a bundle and begin a task."""
        read = bundle.read(folder)
        for sha256, content in read.blobs().items():
            self.call("PUT", f"/blobs/{sha256}", content=content)
        body = {
            "task": json.loads(strict.to_json(task)),
            "seal": vars(read.seal),
            "checkpoint_sha256": read.seal.weights_sha256,
        }
        return str(self.call("POST", "/tasks", json=body)["task_id"])

    def link(self, uses: int = 100, population: str = "default") -> str:
        """An enrollment token."""
        body = {"population": population, "max_uses": uses, "valid_seconds": 3600, "publishers": [PUBLISHER]}
        return str(self.call("POST", "/tokens", json=body)["enrollment_token"])

    def task(self, task_id: str) -> dict[str, Any]:
        """Where a task stands."""
        return dict(self.call("GET", f"/tasks/{task_id}"))

    def rounds(self, task_id: str) -> list[dict[str, Any]]:
        """Its history."""
        return list(self.call("GET", f"/tasks/{task_id}/rounds"))

    def weights(self, sha256: str) -> dict[str, Any]:
        """A checkpoint."""
        answer = self.http.get(f"/v1/blobs/{sha256}", headers=self.headers)
        assert signing.sha256(answer.content) == sha256
        return tensors.read(answer.content)


NONCE = "0f" * 16  # of check-ins whose answers nobody verifies


class Signed:
    """A device's token and key: an `auth` for httpx, and for the test client's relative of it."""

    def __init__(self, token: str, private_key: str) -> None:
        self.token, self.private_key = token, private_key

    def __call__(self, request: Any) -> Any:
        """Add the headers; what a test has set already stays."""
        path, body = request.url.path, request.read()
        path = path[path.find("/v1/") :]  # as the coordinator sees it behind a proxy
        added = signed_requests.headers(self.private_key, request.method, path, body)
        for name, value in {"Authorization": f"Bearer {self.token}", **added}.items():
            request.headers.setdefault(name, value)
        return request


@dataclass
class Device:
    """A device that is enrolled."""

    http: Any
    device_id: str
    token: str
    private_key: str
    population: str = "default"
    client: str = "python 0.1.0"

    @property
    def auth(self) -> Signed:
        """Its credentials."""
        return Signed(self.token, self.private_key)

    @property
    def credentials(self) -> Credentials:
        """The same as the coordinator sees them, once a signature is verified."""
        return Credentials(auth.hash_token(self.token), signing.public_key(self.private_key))

    def check_in(self, **changes: Any) -> dict[str, Any]:
        """The answer to a check-in."""
        offer = {"population": self.population, "client": self.client, "runtimes": ("onnx 1.32.0",), "nonce": NONCE}
        message = CheckIn(**(offer | changes))
        answer = self.http.post("/v1/check-ins", content=strict.to_json(message), auth=self.auth)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def join(self) -> dict[str, Any]:
        """An assignment; fails the test where there is none."""
        answer = self.check_in()
        assert answer["assignment"], answer
        return dict(answer["assignment"])

    def upload(self, assignment: dict[str, Any], content: bytes | bytearray, **headers: str) -> Any:
        """PUT an update; the HTTP answer."""
        token = {"Fedrela-Upload-Token": assignment["upload_token"]}
        return self.http.put(
            f"/v1/assignments/{assignment['assignment_id']}/update",
            content=bytes(content) if isinstance(content, bytearray) else content,
            headers=token | headers,
            auth=self.auth,
        )

    def fail(self, assignment: dict[str, Any], code: str = "training-failed") -> Any:
        """Give the slot back."""
        path = f"/v1/assignments/{assignment['assignment_id']}/failure"
        return self.http.post(path, json={"code": code}, auth=self.auth)


def enrollment(token: str, private_key: str) -> dict[str, str]:
    """What a device sends to enroll at a coordinator of these tests."""
    public_key, coordinator = signing.public_key(private_key), signing.fingerprint(signing.public_key(SIGNING_KEY))
    proof = signing.sign(private_key, statements.enrollment(token, public_key, coordinator))
    return {"enrollment_token": token, "public_key": public_key, "coordinator": coordinator, "signature": proof}


def enroll(http: Any, token: str, population: str = "default", *, private_key: str = "") -> Device:
    """A new device; its lots are drawn from its key."""
    key = private_key or signing.generate_key()
    answer = http.post("/v1/devices", json=enrollment(token, key))
    assert answer.status_code == 201, answer.text
    enrolled = answer.json()
    return Device(http, enrolled["device_id"], enrolled["device_token"], key, population)
