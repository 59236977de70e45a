"""The emulated network: time, bytes, loss, and what malicious devices send."""

import httpx
import numpy as np
import pytest

from fedrela.core import signing, tensors
from fedrela.core.streams import derive, uniforms
from fedrela.emulator.devices.malicious import Attacker, labels
from fedrela.emulator.devices.network import Clock, EmulatedNetwork, kind_of
from fedrela.emulator.devices.storage import DeviceBlobs, SharedBlobs
from fedrela.emulator.fleet.profiles import DeviceProfiles
from fedrela.emulator.scenario import MaliciousClass, from_toml

BODY = tensors.to_bytes({"w": np.array([1, -2], np.float32)}, {"protocol": "1", "examples": "3", "encoding": "float32"})


class Server(httpx.BaseTransport):
    """Answers 200 and keeps what it got."""

    def __init__(self, content=b"ok"):
        self.content, self.requests = content, []

    def handle_request(self, request):
        self.requests.append((request.method, request.url.path, request.read(), request.headers))
        return httpx.Response(200, content=self.content)


def network(faults="", server=None, **options):
    scenario = from_toml(
        'name = "a"\ndevices = 1\n[[device]]\nname = "a"\nlatency_seconds = 1\n'
        f"upload_mbit_per_second = 8\ndownload_mbit_per_second = 8\n[faults]\n{faults}"
    )
    gates = []
    way = EmulatedNetwork(
        device=DeviceProfiles(scenario).of(0), wake_up=0, seed=0, faults=scenario.faults, clock=Clock(100.0),
        send=(server or Server()).handle_request, gate=lambda kind, size_bytes: gates.append(kind),
        assigned=lambda assignment: None, **options,
    )  # fmt: skip
    return way, gates


def put(way, body=BODY):
    return httpx.Client(transport=way, trust_env=False).put("http://c/v1/assignments/a1/update", content=body)


def test_latency_and_bandwidth_move_the_clock_and_bytes_are_counted():
    way, gates = network(server=Server(b"x" * 1_000_000))
    put(way, b"y" * 500_000)
    assert way.clock.now == pytest.approx(100 + 1 + 0.5 + 1.0, abs=0.01)  # latency, 0.5 MB up, 1 MB down at 1 MB/s
    assert (way.bytes_up, way.bytes_down) == (500_300, 1_000_300)
    assert gates == ["update"]


def test_a_lost_request_reaches_nobody_and_a_lost_answer_somebody():
    server = Server()
    with pytest.raises(httpx.ConnectError):
        put(network("request_lost = 1", server)[0])
    assert not server.requests
    with pytest.raises(httpx.ReadError):
        put(network("response_lost = 1", server)[0])
    assert len(server.requests) == 1


def test_duplicates_arrive_twice_and_a_cut_answer_is_noticed():
    server = Server(b"0123456789")
    put(network("duplicated = 1", server)[0])
    assert len(server.requests) == 2
    with pytest.raises(httpx.RemoteProtocolError):
        put(network("truncated = 1", server)[0])


def test_an_unavailable_coordinator_is_never_asked():
    server = Server()
    assert put(network("unavailable = 1", server)[0]).status_code == 503
    assert not server.requests


def test_a_blob_passes_no_gate_and_travels_once_per_process():
    body = b"program"
    server, shared = Server(body), SharedBlobs()
    for _ in range(2):
        way, gates = network(server=server, shared=shared)
        url = f"http://c/v1/blobs/{signing.sha256(body)}"
        assert httpx.Client(transport=way, trust_env=False).get(url).content == body
        assert way.bytes_down == len(body) + 300
        assert gates == []
    assert len(server.requests) == 1


def test_a_device_has_only_the_blobs_that_it_downloaded_itself():
    shared = SharedBlobs(limit_bytes=10)
    one, other = DeviceBlobs(shared), DeviceBlobs(shared)
    one.put("blobs/aa", b"12345")
    assert (one.get("blobs/aa"), other.get("blobs/aa")) == (b"12345", None)
    one.put("blobs/bb", b"123456")  # over the limit: the older one goes
    assert one.get("blobs/aa") is None


def test_kinds_of_requests():
    assert kind_of("POST", "/v1/check-ins") == "check-in"
    assert kind_of("POST", "/v1/devices") == "enrol"
    assert kind_of("GET", "/v1/blobs/" + "0" * 64) == "blob"
    assert kind_of("POST", "/v1/assignments/a/failure") == "failure"


@pytest.mark.parametrize(("attack", "factor", "expected"), [("sign-flip", 2, [-2, 4]), ("scale", 10, [10, -20])])
def test_attacks_on_the_weights(attack, factor, expected):
    sent = Attacker(MaliciousClass(attack, 1.0, factor), seed=0, device=0).tamper(BODY)
    assert tensors.read(sent)["w"].tolist() == expected
    assert tensors.read_metadata(sent)["examples"] == "3"


def test_nan_garbage_replay_and_lies():
    assert np.isnan(tensors.read(Attacker(MaliciousClass("nan", 1.0), 0, 0).tamper(BODY))["w"]).all()
    garbage = Attacker(MaliciousClass("garbage", 1.0), 0, 0).tamper(BODY)
    assert len(garbage) == len(BODY)
    assert garbage != BODY
    replay = Attacker(MaliciousClass("replay", 1.0), 0, 0)
    assert [replay.tamper(BODY), replay.tamper(b"another")] == [BODY, BODY]
    lie = Attacker(MaliciousClass("lie-about-examples", 1.0, 1000), 0, 0).tamper(BODY)
    assert tensors.read_metadata(lie)["examples"] == "3000"


def test_a_tampered_update_is_sent_with_its_own_digest():
    server = Server()
    attacker = Attacker(MaliciousClass("sign-flip", 1.0, 1), seed=0, device=0)
    way, _ = network(server=server, attacker=attacker)
    url = "http://c/v1/assignments/a1/update"
    httpx.Client(transport=way, trust_env=False).put(url, content=BODY, headers={"Content-Digest": "sha-256=:AAAA:"})
    _, _, body, headers = server.requests[0]
    assert body != BODY
    assert headers["content-length"] == str(len(body))
    assert headers["content-digest"] != "sha-256=:AAAA:"
    assert way.update_sha256 == signing.sha256(body)


def test_label_flip_is_done_to_the_data():
    y = np.array([0, 1, 9])
    assert labels(y, MaliciousClass("label-flip", 1.0), 10).tolist() == [9, 8, 0]
    assert labels(y, None, 10).tolist() == [0, 1, 9]


def test_luck_depends_on_device_wake_up_and_request_alone():
    way, _ = network("delayed = 0.5")
    first = [way._draws()["delayed"] for _ in range(3)]
    again, _ = network("delayed = 0.5")
    assert first == [again._draws()["delayed"] for _ in range(3)]
    assert first[0] == pytest.approx(float(uniforms(derive(b"fedrela emulator", 0, "request", 0, 0, 0), (6,))[0]))
