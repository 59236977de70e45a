"""SIGKILL at each message of a group's session; `python -m benchmarks.secure_device_kills` does it a hundred times."""

from pathlib import Path

from benchmarks.secure_device_kills import Tally, every_instant, survive
from fedrela.core.bundle import Bundle
from tests.edge.conftest import some_examples
from tests.edge.secure.conftest import secure_task


def test_a_device_that_is_killed_at_each_message_sends_the_same_bytes(small_bundle: Bundle, tmp_path: Path) -> None:
    tally = Tally()
    survive(small_bundle, secure_task(rounds=1), tmp_path / "victim", some_examples(40), every_instant(), tally)
    assert tally.kills == len(every_instant()) == 10
    assert (tally.turns, tally.sessions, tally.identical_sums) == (1, 1, 1)
    assert tally.repeated_messages >= 5  # each was lost once at least
    assert tally.changed_messages == 0
