"""What a secure round needs is swept by nobody, and what a killed process left of one is swept as of any."""

import time

import pytest
import sqlalchemy as sa

from fedrela.coordinator.secure import summing
from fedrela.coordinator.storage import collection, secure_schema, sweeping
from tests.coordinator.conftest import House
from tests.coordinator.secure.players import begin, play, private_blobs


def swept(house: House) -> set[str]:
    """What a sweep would take of private blobs, however young."""
    listed = [blob for blob in house.coordinator.blobs.listing() if blob.name.startswith("private/")]
    return set(sweeping.unneeded(house.coordinator, listed, time.time() + 60))


def test_masked_updates_and_sums_are_needed_until_their_group_and_their_round_are_over(
    any_house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = any_house
    monkeypatch.setattr(collection, "discard", lambda coordinator, names: None)  # as if it was killed before
    _, players = begin(house, 10, goal=10)
    play(players[:5], until="agree")
    masked = set(private_blobs(house))
    assert len(masked) == 5
    assert swept(house) == set()
    play(players[:5])
    (total,) = set(private_blobs(house)) - masked
    assert total not in swept(house)
    assert total in collection.needed(house.coordinator)
    play(players)
    assert total in private_blobs(house)
    assert swept(house) == set(private_blobs(house))
    assert not collection.needed(house.coordinator) & set(private_blobs(house))


def test_a_device_that_leaves_while_it_waits_leaves_no_key(house: House) -> None:
    _, players = begin(house)
    play(players[:4])
    leaver = players[0].device
    assert house.http.delete("/v1/devices/self", auth=leaver.auth).status_code == 204
    with house.coordinator.store.read() as view:
        assert view.scalar(sa.select(sa.func.count()).select_from(secure_schema.members)) == 3


def test_two_workers_that_sum_one_group_count_it_once(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    task_id, players = begin(house, 10, goal=10)
    store = summing._store
    results = []

    def twice(*arguments: object) -> bool:
        results.append([store(*arguments), store(*arguments)])  # type: ignore[arg-type]
        return True

    monkeypatch.setattr(summing, "_store", twice)
    play(players[:5])
    assert results == [[True, False]]
    assert house.operator.task(task_id)["reported"] == 5
