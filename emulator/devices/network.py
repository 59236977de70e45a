"""What happens to a device's requests on their way: time passes, things get lost, and malicious devices lie.

`EmulatedNetwork` is the httpx transport that a device's own client is given; behind it is the real way. Requests whose
order the coordinator can notice wait at a *gate* until their place in virtual time comes; downloads of immutable blobs
don't need to.

    network = EmulatedNetwork(device, send=transport.handle_request, clock=Clock(0.0), gate=hub.wait, ...)
    client = httpx.Client(transport=network)
"""

import base64
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import httpx

from fedrela.core import signing
from fedrela.core.errors import InvalidInput
from fedrela.core.protocol import signed_requests
from fedrela.core.streams import derive, uniforms
from fedrela.core.strict import from_json, to_json
from fedrela.core.wire import Assignment, CheckIn, CheckInResponse
from fedrela.emulator.devices import malicious
from fedrela.emulator.devices.storage import SharedBlobs
from fedrela.emulator.fleet.profiles import DeviceProfile
from fedrela.emulator.scenario import Faults

_SECRET = b"fedrela emulator"
_HEADER_BYTES = 300  # of a request or an answer, about


@dataclass
class Clock:
    """A device's virtual time in seconds. Only what is emulated moves it."""

    now: float
    skew_seconds: float = 0.0

    def elapse(self, seconds: float) -> None:
        """Let time pass."""
        self.now += max(seconds, 0.0)

    def device_time(self) -> float:
        """What the device itself believes the time is."""
        return self.now + self.skew_seconds


@dataclass
class EmulatedNetwork(httpx.BaseTransport):
    """One device's way to the coordinator during one wake-up."""

    device: DeviceProfile
    wake_up: int  # its number, from 0
    seed: int
    faults: Faults
    clock: Clock
    send: Callable[[httpx.Request], httpx.Response]  # the real way; gives the whole answer
    gate: Callable[[str, int], None]  # told what kind of request waits, and its bytes; returns when it may go
    assigned: Callable[[Assignment], None]  # told of the assignment that a check-in brought
    shared: SharedBlobs | None = None  # a cache near the devices, as a content delivery network would be
    attacker: malicious.Attacker | None = None  # what the device is, if it is malicious
    private_key: Callable[[], str] = lambda: ""  # of the device, which signs the lies that it tells
    is_secure: bool = False  # whether updates go masked
    bytes_up: int = 0
    bytes_down: int = 0
    update_sha256: str = ""  # of the newest update that was sent
    _requests: int = 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request through the emulated world. Raises httpx.TransportError where it gets lost."""
        draws = self._draws()
        kind = kind_of(request.method, request.url.path)
        body = request.read()
        if self.is_secure:
            if self.attacker is not None:
                body = self.attacker.tamper_in_group(kind, body)
        elif kind == "update":
            if self.attacker is not None:
                body = self.attacker.tamper(body)
            self.update_sha256 = _sha256(request, body)  # of a masked one it would be another in every run
        if kind == "check-in" and self.device.kind.client_version:
            body = _with_version(body, self.device.kind.client_version)
        self._travel(len(body), up=True)
        if draws["delayed"] < self.faults.delayed:
            self.clock.elapse(self.faults.delay_seconds)
        if draws["request_lost"] < self.faults.request_lost:
            raise httpx.ConnectError("emulated: the request was lost", request=request)
        if draws["unavailable"] < self.faults.unavailable:
            return httpx.Response(503, headers={"retry-after": "1"}, request=request)
        status, headers, content = self._send(request, kind, body)
        if draws["duplicated"] < self.faults.duplicated and kind != "blob":
            status, headers, content = self._send(request, kind, body)
        if draws["response_lost"] < self.faults.response_lost:
            raise httpx.ReadError("emulated: the answer was lost", request=request)
        if draws["truncated"] < self.faults.truncated:
            half = content[: len(content) // 2]
            self._travel(len(half), up=False)
            return httpx.Response(status, headers=headers, stream=_Broken(half), request=request)
        self._travel(len(content), up=False)
        if kind == "check-in" and status == 200:
            self._note_assignment(content)
        return httpx.Response(status, headers=headers, stream=httpx.ByteStream(content), request=request)

    def _send(self, request: httpx.Request, kind: str, body: bytes) -> tuple[int, Mapping[str, str], bytes]:
        """The real request, when its time has come; blobs may come from the cache near the device."""
        if kind == "blob":
            return self._blob(request)
        self.gate(kind, len(body))
        if body is not request.content:
            request = httpx.Request(request.method, request.url, headers=self._headers(request, body), content=body)
        response = self.send(request)
        return response.status_code, response.headers, response.read()

    def _headers(self, request: httpx.Request, body: bytes) -> dict[str, str]:
        """The request's headers, with the length, the digest and the signature of the body that is sent."""
        headers = {name: value for name, value in request.headers.items() if name.lower() != "content-length"}
        if "signature" in headers:
            path = request.url.path
            signed = signed_requests.headers(self.private_key(), request.method, path, body)
            return headers | {name.lower(): value for name, value in signed.items()}
        if "content-digest" in headers:
            headers["content-digest"] = signed_requests.content_digest(body)
        return headers

    def _blob(self, request: httpx.Request) -> tuple[int, Mapping[str, str], bytes]:
        """A whole blob once per process, or the part of it that was asked for."""
        sha256 = request.url.path.rsplit("/", 1)[-1]
        body = self.shared.get(sha256) if self.shared is not None else None
        if body is None or "range" in request.headers:
            response = self.send(request)
            body = response.read()
            if self.shared is None or response.status_code != 200:
                return response.status_code, response.headers, body
            self.shared.put(sha256, body)
        return 200, {"content-length": str(len(body))}, body

    def _travel(self, size: int, *, up: bool) -> None:
        """Time and bytes of one message."""
        kind, size = self.device.kind, size + _HEADER_BYTES
        rate = kind.upload_mbit_per_second if up else kind.download_mbit_per_second
        self.clock.elapse(kind.latency_seconds / 2 + size * 8 / (rate * 1e6))
        if up:
            self.bytes_up += size
        else:
            self.bytes_down += size

    def _note_assignment(self, content: bytes) -> None:
        try:
            answer = from_json(CheckInResponse, content)
        except InvalidInput:
            return  # the device's own client will say what is wrong with it
        if answer.assignment is not None:
            self.assigned(answer.assignment)

    def _draws(self) -> dict[str, float]:
        """This request's luck; the same whatever the number of workers."""
        names = ("delayed", "request_lost", "unavailable", "duplicated", "response_lost", "truncated")
        if not self.faults.lossy:
            return dict.fromkeys(names, 1.0)
        stream = derive(_SECRET, self.seed, "request", self.device.index, self.wake_up, self._requests)
        self._requests += 1
        return dict(zip(names, uniforms(stream, (len(names),)).tolist(), strict=True))


class _Broken(httpx.SyncByteStream):
    """A body that breaks off."""

    def __init__(self, half: bytes) -> None:
        self._half = half

    def __iter__(self) -> Iterator[bytes]:
        yield self._half
        raise httpx.RemoteProtocolError("emulated: the answer broke off")


def _sha256(request: httpx.Request, body: bytes) -> str:
    """The hash of the body that is sent; an honest device's request says it already."""
    header = request.headers.get("content-digest", "")
    if body is request.content and header.startswith("sha-256=:"):
        return base64.b64decode(header.removeprefix("sha-256=:").removesuffix(":")).hex()
    return signing.sha256(body)


def _with_version(body: bytes, version: str) -> bytes:
    """A check-in as an older client would send it."""
    return to_json(replace(from_json(CheckIn, body), client=f"python {version}"))


def kind_of(method: str, path: str) -> str:
    """A request's name in the event log: "check-in", "blob", "update", "failure", "evaluation", "enrol" or "leave";
    of a group "keys", "secure" (a question), "shares", "agreement" or "reveal".
    """
    last = path.rstrip("/").rsplit("/", 1)[-1]
    if method == "GET" and "/blobs/" in path:
        return "blob"
    names = {"check-ins": "check-in", "devices": "enrol", "self": "leave"}
    return names.get(last, last)
