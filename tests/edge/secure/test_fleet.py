"""A device of a fleet: certified by its own link, known to the others, and to no coordinator that invents devices."""

from dataclasses import replace

import pytest

from fedrela.core import signing
from fedrela.core.bundle import Bundle
from fedrela.core.errors import IntegrityError
from fedrela.core.secure import fleet
from fedrela.edge.client import enroll
from fedrela.edge.conditions.eligibility import Conditions
from fedrela.edge.owner.membership import notes
from fedrela.edge.owner.status import describe, render
from fedrela.edge.storage import state
from fedrela.edge.storage.store import MemoryStore
from tests.edge.conftest import some_examples
from tests.edge.secure import lies
from tests.edge.secure.conftest import secure_task
from tests.edge.secure.group_coordinator import FLEET_KEY, TOKEN_SEED, GroupCoordinator
from tests.edge.secure.test_lies import refused

PINNED = signing.fingerprint(signing.public_key(FLEET_KEY))


def test_a_device_certifies_itself_and_finds_its_fleet(small_bundle: Bundle) -> None:
    with GroupCoordinator(small_bundle, secure_task(), fleet_key=FLEET_KEY) as coordinator:
        client = coordinator.device(some_examples(30))
        assert client.identity.fleet == PINNED
        assert coordinator.enrolled is not None
        fleet.check(coordinator.enrolled.certificate, coordinator.enrolled.public_key, "default", PINNED)
        assert client.run_once().kind == "uploaded"
    sent = b"".join(body for _, _, body in coordinator.requests)
    assert TOKEN_SEED.encode() not in sent
    status = describe(client.store, "/s", Conditions())
    assert status["fleet"] == PINNED
    assert "secure. The coordinator learns the sum over a group of at least 6" in render(status)
    assert "invents devices" not in render(status)


@pytest.mark.parametrize("vouched", lies.CERTIFICATES)
def test_a_member_that_the_fleet_does_not_know_is_refused(small_bundle: Bundle, vouched: str) -> None:
    lie, reason = lies.CERTIFICATES[vouched]
    with GroupCoordinator(small_bundle, secure_task(), fleet_key=FLEET_KEY) as coordinator:
        coordinator.lie = lambda step: lie(step, coordinator)
        refused(coordinator, reason, 1)


def test_a_device_without_a_fleet_takes_part_with_whoever_is_there(coordinator: GroupCoordinator) -> None:
    client = coordinator.device(some_examples(30))
    assert client.identity.fleet == ""
    assert coordinator.enrolled is not None
    assert coordinator.enrolled.certificate is None


def test_an_answer_that_names_another_population_is_not_kept(small_bundle: Bundle) -> None:
    with GroupCoordinator(small_bundle, secure_task(), fleet_key=FLEET_KEY) as coordinator:
        endorsed = fleet.endorse(FLEET_KEY, signing.public_key(TOKEN_SEED), "others")
        link = replace(coordinator.link(), fleet=fleet.link_part(endorsed, TOKEN_SEED, "others"))
        store, api = MemoryStore(), coordinator.device(some_examples(5)).api
        api.token = ""
        with pytest.raises(IntegrityError, match="population 'others'"):
            enroll(api, store, link)
        identity = state.load_identity(store)
        assert identity is not None
        assert identity.device_id == ""


def test_a_part_that_the_fleet_has_not_signed_sends_nothing(small_bundle: Bundle) -> None:
    with GroupCoordinator(small_bundle, secure_task(), fleet_key=FLEET_KEY) as coordinator:
        api, before = coordinator.device(some_examples(5)).api, len(coordinator.requests)
        link = replace(coordinator.link(), fleet=coordinator.link().fleet.replace("-default", "-another"))
        with pytest.raises(IntegrityError):
            enroll(api, MemoryStore(), link)
        assert len(coordinator.requests) == before


def test_an_owner_is_told_what_the_coordinator_can_read_before_enrolling(small_bundle: Bundle) -> None:
    secure = secure_task()
    for task, fleet_key, words in (
        (secure, FLEET_KEY, "no update of one unless a third of the group helps it"),
        (secure, "", "one that invents devices can read an update"),
        (
            replace(secure, privacy=replace(secure.privacy, secure="none")),
            "",
            "can read from it which classes this device has",
        ),
    ):
        with GroupCoordinator(small_bundle, task, fleet_key=fleet_key) as coordinator:
            api = coordinator.device(some_examples(5)).api
            api.token = ""
            (note,) = notes(api, coordinator.link())
            assert note.endswith(words)
