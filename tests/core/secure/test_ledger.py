"""Once for a round, twice from one checkpoint, each task by itself."""

import pytest

from fedrela.core.errors import IntegrityError
from fedrela.core.secure.ledger import MOST_REMEMBERED, Ledger, enter

ONE, TWO = "01" * 32, "02" * 32


def test_a_round_is_masked_for_once():
    ledger = enter(Ledger(), "a", 3, ONE)
    for number in (1, 2, 3):
        with pytest.raises(IntegrityError, match="already"):
            enter(ledger, "a", number, TWO)
    assert enter(enter(ledger, "a", 4, TWO), "b", 1, "03" * 32).rounds == {"a": 4, "b": 1}


def test_a_skipped_round_s_weights_are_trained_from_once_more_and_not_again():
    ledger = enter(enter(Ledger(), "a", 3, ONE), "a", 4, ONE)
    with pytest.raises(IntegrityError, match="two updates"):
        enter(ledger, "a", 5, ONE)
    with pytest.raises(IntegrityError, match="two updates"):
        enter(ledger, "b", 1, ONE)  # whatever the task is called


def test_what_was_there_is_not_changed():
    before = Ledger()
    enter(before, "a", 1, ONE)
    assert before == Ledger({}, {})


def test_what_came_up_longest_ago_is_forgotten_first():
    checkpoints = {f"{number:064x}": 1 for number in range(MOST_REMEMBERED)}
    oldest, second = list(checkpoints)[:2]
    ledger = enter(Ledger({}, checkpoints), "a", 1, oldest)
    assert len(ledger.checkpoints) == MOST_REMEMBERED
    ledger = enter(ledger, "a", 2, ONE)
    assert (len(ledger.checkpoints), second in ledger.checkpoints, ledger.checkpoints[oldest]) == (
        MOST_REMEMBERED, False, 2
    )  # fmt: skip
