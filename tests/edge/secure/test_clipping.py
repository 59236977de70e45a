"""The clipping norm that an assignment names: used, signed with the keys, and refused where the task can't have it."""

import numpy as np
import pytest

from fedrela.core.bundle import Bundle
from fedrela.core.privacy import Privacy
from fedrela.core.secure.messages import SecureStep
from fedrela.edge.owner.settings import Event
from tests.edge.conftest import some_examples
from tests.edge.secure.conftest import MEMBERS, secure_task
from tests.edge.secure.group_coordinator import GroupCoordinator

LOWEST = 62_500


def adaptive(bundle: Bundle, clipped_share: float = 0.1) -> GroupCoordinator:
    """A coordinator of a task whose norm follows its devices, and begins at 64."""
    return GroupCoordinator(
        bundle, secure_task(privacy=Privacy("peers", MEMBERS, MEMBERS, clipped_share=clipped_share))
    )


def test_the_update_is_clipped_to_it_and_says_so(small_bundle: Bundle) -> None:
    clipped = []
    with adaptive(small_bundle) as coordinator:
        client = coordinator.device(some_examples(30))
        for clip_millionths in (LOWEST, 64_000_000):
            coordinator.assigned = {"clip_millionths": clip_millionths}
            assert client.run_once().kind == "uploaded"
            coordinator.next_round()
            own = coordinator.own_vectors[-1]
            parameters = sum(spec.size for spec in small_bundle.manifest.parameters)
            step = clip_millionths / 1e6 * 2.0 ** (4 - 30)  # of groups of at most eleven
            clipped.append((int(own[parameters + 1]), float(np.linalg.norm(own[:parameters] * step))))
    (was_clipped, norm), (was_not, other) = clipped
    assert (was_clipped, was_not) == (1, 0)
    assert abs(norm - 0.0625) < 1e-6
    assert other > 0.1


@pytest.mark.parametrize(
    ("clipped_share", "clip_millionths", "says"),
    [
        (0.1, 0, "beyond 62500 to 65536000000"),
        (0.1, LOWEST - 1, "clips to 62499 millionths"),
        (0.1, 65_536_000_001, "clips to 65536000001 millionths"),
        (0.0, 64_000_000, "the task says one for all rounds"),
    ],
)
def test_one_that_the_task_can_t_have_is_refused_before_anything_is_trained(
    small_bundle: Bundle, clipped_share: float, clip_millionths: int, says: str
) -> None:
    events: list[Event] = []
    with adaptive(small_bundle, clipped_share) as coordinator:
        coordinator.assigned = {"clip_millionths": clip_millionths}
        outcome = coordinator.device(some_examples(30), on_event=events.append).run_once()
        assert (outcome.kind, outcome.reason) == ("dropped", "integrity-failed")
        assert coordinator.told() == ["failure"]
    assert [event.kind for event in events] == ["assigned", "dropped"]
    assert says in events[-1].detail


def test_no_round_has_two_norms(small_bundle: Bundle) -> None:
    with adaptive(small_bundle) as coordinator:
        client = coordinator.device(some_examples(30))
        coordinator.assigned = {"clip_millionths": 64_000_000}
        coordinator.lie = lambda step: SecureStep("closed", reason="lost")
        assert client.run_once().reason == "group-closed"
        coordinator.attempt, coordinator.played = 1, None
        coordinator.assigned = {"clip_millionths": LOWEST}
        assert client.run_once().reason == "integrity-failed"
        assert coordinator.told() == ["secure/keys", "failure"]
