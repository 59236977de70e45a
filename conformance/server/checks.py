"""What must hold of every request, whatever the case: headers, bodies, the update's numbers. Faults are sentences."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from fedrela.conformance.server.world import DEVICE_TOKEN, ENROLLMENT_TOKEN, PUBLIC_KEY, UPLOAD_TOKEN, World
from fedrela.core import golden, signing, strict, tensors
from fedrela.core.errors import FedRelaError, Refused
from fedrela.core.protocol import signed_requests, statements
from fedrela.core.wire import (
    TENSORS_TYPE,
    UPLOAD_TOKEN_HEADER,
    CheckIn,
    EnrollRequest,
    EvaluationReport,
    FailureReport,
    read_update_metadata,
)

OF_WEIGHTS, OF_UPDATE = 1e-5, 1e-4  # relative to the tensor's largest element, as README.md says
MESSAGES: dict[str, type[object]] = {
    "enroll": EnrollRequest,
    "check-in": CheckIn,
    "failure": FailureReport,
    "evaluation": EvaluationReport,
}


@dataclass(frozen=True)
class Request:
    """One request: `path` below the coordinator's address, `headers` in lower case, `at` in monotonic seconds."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    at: float = 0.0


def faults(kind: str, request: Request, public_key: str) -> list[str]:
    """What is wrong with a request of this kind, apart from its order. `public_key`: that of the enrollment."""
    wrong = []
    if kind not in ("enroll", "keys"):
        wrong += _signature(kind, request, public_key)
    if kind not in ("enroll", "keys") and request.headers.get("authorization") != f"Bearer {DEVICE_TOKEN}":
        wrong.append(f"{kind}: Authorization is not 'Bearer' and the device token")
    if kind in MESSAGES:
        wrong += _message(kind, request)
    if kind.startswith("blob:") and not re.fullmatch(r"bytes=[0-9]+-", request.headers.get("range", "bytes=0-")):
        wrong.append(f"{kind}: Range is {request.headers['range']!r}, not 'bytes=N-'")
    if kind == "update":
        wrong += _update_headers(request)
    return wrong


def _signature(kind: str, request: Request, public_key: str) -> list[str]:
    """Whether the device's key has signed the request, and the digest in it is the body's."""
    headers = {name: request.headers.get(name.lower(), "") for name in signed_requests.HEADERS}
    try:
        signer = signed_requests.signer(request.method, request.path, headers)
        if request.method in signed_requests.WITH_BODY:
            signed_requests.check_digest(headers[signed_requests.CONTENT_DIGEST], request.body)
    except Refused as fault:
        return [f"{kind}: {fault.problem}"]
    return [] if signer == public_key else [f"{kind}: it is signed by another key than that of the enrollment"]


def _message(kind: str, request: Request) -> list[str]:
    wrong = []
    if request.headers.get("content-type", "").partition(";")[0] != "application/json":
        wrong.append(f"{kind}: Content-Type is not application/json")
    try:
        message: object = strict.from_json(MESSAGES[kind], request.body)
    except FedRelaError as fault:
        return [*wrong, f"{kind}: {fault.problem}"]
    if isinstance(message, EnrollRequest) and message.enrollment_token != ENROLLMENT_TOKEN:
        wrong.append("enroll: enrollment_token is not what follows # in the link")
    if isinstance(message, EnrollRequest) and not re.fullmatch("[0-9a-f]{64}", message.public_key):
        wrong.append("enroll: public_key is not 64 lower-case hexadecimal digits")
    if isinstance(message, EnrollRequest):
        wrong += _proof(message)
    if isinstance(message, CheckIn) and (message.population != "default" or not message.runtimes):
        wrong.append("check-in: the population is not the one of the enrollment, or no runtime is named")
    return wrong


def _proof(message: EnrollRequest) -> list[str]:
    """Whether whoever enrolls holds the key, and meant this coordinator."""
    if message.coordinator != signing.fingerprint(PUBLIC_KEY):
        return ["enroll: coordinator is not the fingerprint in the link"]
    proof = statements.enrollment(message.enrollment_token, message.public_key, message.coordinator)
    try:
        signing.verify(message.public_key, proof, message.signature)
    except FedRelaError:
        return ["enroll: the signature is not that of public_key over this enrollment"]
    return []


def _update_headers(request: Request) -> list[str]:
    required = {
        "content-type": TENSORS_TYPE,
        "content-digest": signed_requests.content_digest(request.body),
        UPLOAD_TOKEN_HEADER.lower(): UPLOAD_TOKEN,
        "content-length": str(len(request.body)),
    }
    return [f"update: {name} is not {value}" for name, value in required.items() if request.headers.get(name) != value]


def update_faults(world: World, body: bytes, *, exact: bool) -> list[str]:
    """What is wrong with an update; `exact`: its numbers are compared with the vector's."""
    specs = tensors.specs_of(world.weights)
    try:
        update = tensors.from_bytes(body, specs)
        metadata = read_update_metadata(tensors.read_metadata(body))
    except FedRelaError as fault:
        return [f"update: {fault.problem}"]
    wrong = []
    if metadata.examples != world.examples:
        wrong.append(f"update: it says {metadata.examples} examples, the data hold {world.examples}")
    for name, want in world.expected.items() if exact else ():
        start, got = world.weights[name], update[name]
        off = golden.relative_error(start + want, start + got), golden.relative_error(want, got)
        if off[0] > OF_WEIGHTS or off[1] > OF_UPDATE:
            wrong.append(f"update: {name} is off by {off[1]:.2g} (weights by {off[0]:.2g}); was the given secret used?")
    return wrong
