"""Shared by the tests of secure rounds on a device: a task whose groups have six members, and a coordinator of it."""

from collections.abc import Iterator
from typing import Any

import pytest

from fedrela.core.bundle import Bundle
from fedrela.core.privacy import Privacy
from fedrela.core.task import Aggregation, LocalTraining, Relabel, Rounds, Task
from tests.edge.live import small_task
from tests.edge.secure.group_coordinator import GroupCoordinator

MEMBERS = 6


def secure_task(**changes: Any) -> Task:
    """Two rounds of groups of six."""
    settings: dict[str, Any] = {
        "rounds": 2,
        "local": LocalTraining(epochs=1, batch_size=8),
        "relabel": Relabel(enabled=False),
        "round": Rounds(goal=MEMBERS),
        "aggregation": Aggregation(weight_by_examples=False),
        "privacy": Privacy("peers", group_target=MEMBERS, group_minimum=MEMBERS),
    }
    return small_task(**(settings | changes))


@pytest.fixture
def coordinator(small_bundle: Bundle) -> Iterator[GroupCoordinator]:
    """A coordinator of one device and five that are played."""
    with GroupCoordinator(small_bundle, secure_task()) as running:
        yield running
