"""Somebody on the way answers for the coordinator, or sends again what it once said: nothing of it is looked into."""

from typing import Any

import httpx
import pytest

from fedrela.core import signing
from fedrela.core.bundle import Bundle
from fedrela.core.errors import IntegrityError, InvalidInput
from fedrela.core.protocol import key_chain, links, statements
from fedrela.core.task import Relabel, Rounds
from fedrela.core.wire import Assignment
from fedrela.edge.client import Outcome, enroll
from fedrela.edge.network.api import CoordinatorApi
from fedrela.edge.storage import trust
from fedrela.edge.storage.store import MemoryStore
from tests.edge.conftest import some_examples
from tests.edge.live import SIGNING_KEY, LiveCoordinator, device, small_task
from tests.edge.network.between import Between, Rewrite

FORGER = "11" * 32
DROPPED = ("dropped", "integrity-failed")
ONE: dict[str, Any] = {
    "relabel": Relabel(enabled=False),
    "round": Rounds(goal=1, smallest_cohort=1, retry_after_seconds=0.05),
}


def ended(outcome: Outcome) -> tuple[str, str]:
    """How an assignment ended."""
    return outcome.kind, outcome.reason


def of(answer: dict[str, Any]) -> Assignment:
    """The assignment in an answer."""
    return Assignment(**answer["assignment"])


def resigned(answer: dict[str, Any], key: str, device_id: str, nonce: str, **changes: Any) -> dict[str, Any]:
    """The answer with a changed assignment, signed by `key`."""
    values = answer["assignment"] | changes
    text = statements.assignment(Assignment(**values), device_id, "default", nonce)
    return answer | {"assignment": values | {"signature": signing.sign(key, text)}}


def test_another_key_in_the_answer_to_an_enrollment_is_refused_and_nothing_kept(live: LiveCoordinator) -> None:
    """He has a certificate, or the network is plain: he answers with a key of his own, and a chain that he made."""
    mine = signing.public_key(FORGER)
    forged = key_chain.rotate(FORGER, mine)
    chains: list[list[dict[str, str]]] = [
        [],
        [vars(forged)],
        [vars(forged) | {"former_key": signing.public_key(SIGNING_KEY)}],
    ]
    for chain in chains:

        def rewrite(path: str, answer: dict[str, Any], chain: list[dict[str, str]] = chain) -> dict[str, Any]:
            return {"rotations": chain} if path == "/v1/keys" else answer | {"coordinator_public_key": mine}

        store = MemoryStore()
        api = CoordinatorApi(httpx.Client(transport=Between(rewrite)))
        with pytest.raises(IntegrityError, match=r"is not the link's.*nothing was kept"):
            enroll(api, store, links.parse(live.link()))
        kept = store.get("identity.json") or b""
        assert mine.encode() not in kept
        assert b'"device_token":""' in kept


def test_plain_http_to_another_machine_is_refused_before_anything_is_sent() -> None:
    sent: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(500)

    api = CoordinatorApi(httpx.Client(transport=httpx.MockTransport(answer)))
    with pytest.raises(InvalidInput, match=r"plain http.*--insecure"):
        enroll(api, MemoryStore(), links.Link("http://fl.example.org", "token", "0f" * 16))
    assert not sent


def test_an_assignment_for_another_device_is_refused(live: LiveCoordinator, small_bundle: Bundle) -> None:
    """He hands one device what the coordinator said to another."""
    live.publish(
        small_bundle, small_task(rounds=1, relabel=Relabel(enabled=False), round=Rounds(goal=2, smallest_cohort=2))
    )
    watched = Between()
    one = device(live, 1, some_examples(), http=httpx.Client(transport=watched))
    one.check_in()
    stolen = watched.seen[-1][1]
    assert stolen["assignment"]

    def swap(path: str, answer: dict[str, Any]) -> dict[str, Any]:
        return stolen if path == "/v1/check-ins" else answer

    two = device(live, 2, some_examples(), http=httpx.Client(transport=Between(swap)))
    assert ended(two.run_once()) == DROPPED
    assert not two.store.keys("blobs/")


def test_an_old_answer_is_refused_though_it_was_this_device_s_own(live: LiveCoordinator, small_bundle: Bundle) -> None:
    live.publish(small_bundle, small_task(rounds=3, **ONE))
    recorded = Between()
    client = device(live, 1, some_examples(), http=httpx.Client(transport=recorded))
    assert client.run_once().kind == "uploaded"
    old = next(answer for request, answer in recorded.seen if request.url.path == "/v1/check-ins")
    recorded.rewrite = lambda path, answer: old if path == "/v1/check-ins" else answer
    assert ended(client.run_once()) == DROPPED


CHANGES: tuple[tuple[str, Any], ...] = (
    ("assignment_id", "a-other"), ("task_id", "t-other"), ("round", 2), ("task_sha256", "0" * 64),
    ("manifest_sha256", "0" * 64), ("checkpoint_sha256", "0" * 64), ("checkpoint_bytes", 1),
    ("compute_lease_seconds", 1e6), ("upload_lease_seconds", 1e6), ("epoch", 7), ("signature", ""),
)  # fmt: skip


@pytest.mark.parametrize(("name", "value"), CHANGES, ids=[name for name, _ in CHANGES])
def test_no_member_of_an_assignment_can_be_changed_on_the_way(
    live: LiveCoordinator, small_bundle: Bundle, name: str, value: Any
) -> None:
    live.publish(small_bundle, small_task(rounds=1, **ONE))

    def change(path: str, answer: dict[str, Any]) -> dict[str, Any]:
        if path == "/v1/check-ins" and answer.get("assignment"):
            return answer | {"assignment": answer["assignment"] | {name: value}}
        return answer

    client = device(live, 1, some_examples(), http=httpx.Client(transport=Between(change)))
    assert ended(client.run_once()) == DROPPED
    assert not client.store.keys("blobs/")
    assert trust.load(client.store).epoch == 0


def test_a_stranger_who_signs_with_his_own_key_and_shows_a_chain_is_refused(
    live: LiveCoordinator, small_bundle: Bundle
) -> None:
    live.publish(small_bundle, small_task(rounds=1, **ONE))
    pinned, mine = signing.public_key(SIGNING_KEY), signing.public_key(FORGER)
    between = Between()
    client = device(live, 1, some_examples(), http=httpx.Client(transport=between))

    def rewrite(path: str, answer: dict[str, Any]) -> dict[str, Any]:
        if path == "/v1/keys":
            forged = signing.sign(FORGER, statements.key_rotation(pinned, mine))
            return {"rotations": [{"former_key": pinned, "public_key": mine, "signature": forged}]}
        if path == "/v1/check-ins" and answer.get("assignment"):
            nonce = httpx.Response(200, content=between.seen[-1][0].content).json()["nonce"]
            return resigned(answer, FORGER, client.identity.device_id, nonce)
        return answer

    between.rewrite = rewrite
    assert ended(client.run_once()) == DROPPED
    assert client.identity.coordinator_public_key == pinned


def coordinator_that(client: Any, between: Between, **changes: Any) -> Rewrite:
    """The real coordinator's key signs an assignment with these values instead."""

    def rewrite(path: str, answer: dict[str, Any]) -> dict[str, Any]:
        if path != "/v1/check-ins" or not answer.get("assignment"):
            return answer
        nonce = httpx.Response(200, content=between.seen[-1][0].content).json()["nonce"]
        return resigned(answer, SIGNING_KEY, client.identity.device_id, nonce, **changes)

    return rewrite


@pytest.mark.parametrize(
    ("first", "second", "accepted"),
    [
        ({"round": 3}, {"round": 2}, False),
        ({"round": 3}, {"round": 3, "checkpoint_sha256": "0" * 64}, False),
        ({"round": 3, "epoch": 2}, {"round": 4, "epoch": 1}, False),
        ({"round": 3, "epoch": 1}, {"round": 1, "epoch": 2}, True),
        ({"round": 3}, {"round": 3}, True),
    ],
)
def test_rounds_and_epochs_never_go_back(
    live: LiveCoordinator, small_bundle: Bundle, first: dict[str, int], second: dict[str, int], accepted: bool
) -> None:
    live.publish(
        small_bundle, small_task(rounds=5, relabel=Relabel(enabled=False), round=Rounds(goal=2, smallest_cohort=2))
    )
    between = Between()
    client = device(live, 1, some_examples(), http=httpx.Client(transport=between))
    between.rewrite = coordinator_that(client, between, **first)
    assert not isinstance(client.check_in(), Outcome)
    between.rewrite = coordinator_that(client, between, **second)
    outcome = client.check_in()
    if accepted:
        assert not isinstance(outcome, Outcome)
        assert outcome.assignment.round == second["round"]
    else:
        assert isinstance(outcome, Outcome)
        assert ended(outcome) == DROPPED
