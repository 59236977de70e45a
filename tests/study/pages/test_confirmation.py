"""The candidate and what is claimed of it, by the rule that was written before: worked by hand."""

import pytest

from fedrela.study.pages import confirmation, report
from tests.study.pages.test_comparisons import VARIANT, row

PLAIN = VARIANT | {"name": "FedReLa, own loop", "treatment": {}}
SOFT = VARIANT | {"name": "soft", "treatment": {"relabels": "soft"}}
CAP = VARIANT | {"name": "cap", "treatment": {"most_percent": 5.0}}
COUNTS = VARIANT | {"name": "counts", "treatment": {"counts": "fleet"}}
ORACLE = VARIANT | {"name": "oracle", "treatment": {"program": "oracle", "epsilon": 8.0}}
AGAIN = VARIANT | {"name": "again", "period": 3}


def compared(gains, seeds=(1, 2, 3), settings=("A", "B")):
    """Plain FedReLa at 50 everywhere, each variant as many points beside it; a gain may differ by metric and seed."""
    rows = []
    for setting in settings:
        for seed in seeds:
            of = {"setting": {"name": setting}}
            rows += [row("trunk", seed, 0.4, **of), row("kept", seed, 0.45, **of)]
            rows += [row("kept", seed, 0.45, variant=VARIANT | {"treatment": {"after": 0}}, **of)]
            rows += [row("relabeled", seed, 0.5, variant=variant, **of) for variant in (VARIANT, PLAIN)]
            for variant, gain in gains:
                found = gain(seed) if callable(gain) else gain
                one = row("relabeled", seed, 0.5, variant=variant, **of)
                by_metric = found if isinstance(found, dict) else dict.fromkeys(("balanced", "few", "many"), found)
                one["measured"] |= {name: 0.5 + points / 100 for name, points in by_metric.items()}
                rows.append(one)
    return report.compare(rows)


def test_the_candidate_gains_most_balanced_recall():
    assert confirmation.choose(compared([(SOFT, 1), (CAP, 2)])) == "cap"
    assert confirmation.choose(compared([(SOFT, 1), (AGAIN, 3)])) == "again"


def test_of_equals_the_better_one_for_the_few():
    soft, cap = ({"balanced": 1, "few": few, "many": 0} for few in (4, 3))
    assert confirmation.choose(compared([(CAP, cap), (SOFT, soft)])) == "soft"


@pytest.mark.parametrize("many", [-2.9, -3.1])
def test_who_takes_more_than_three_points_from_the_many_is_none(many):
    chosen = confirmation.choose(compared([(SOFT, {"balanced": 2, "few": 9, "many": many}), (CAP, 1)]))
    assert chosen == ("soft" if many > -3 else "cap")


def test_a_class_count_of_anybody_s_is_asked_for_by_none():
    assert confirmation.choose(compared([(COUNTS, 3), (ORACLE, 4), (SOFT, 1)])) == "soft"


def test_no_gain_or_nothing_run_is_no_candidate():
    assert confirmation.choose(compared([(SOFT, -1)])) is None
    assert confirmation.choose([]) is None


def test_who_did_not_run_wherever_plain_fedrela_ran_is_none():
    rest = compared([(SOFT, 1)], settings=("A",)) + compared([(CAP, 0.5)], settings=("B",))
    assert confirmation.choose(rest) is None
    assert confirmation.choose(compared([(SOFT, 1)], seeds=(1, 2)) + compared([], seeds=(3,))) is None


@pytest.mark.parametrize(
    ("balanced", "few", "many", "claims"),
    [
        (lambda seed: 1 + seed / 10, lambda seed: 2 + seed / 10, -2, (True, True)),
        (lambda seed: 1 + seed / 10, lambda seed: 5 * (-1) ** seed, -2, (True, False)),
        (lambda seed: 5 * (-1) ** seed, lambda seed: 2 + seed / 10, 0, (False, False)),
        (lambda seed: 1 + seed / 10, lambda seed: 2 + seed / 10, -4, (False, False)),
    ],
)
def test_what_is_claimed(balanced, few, many, claims):
    found = compared(
        [(SOFT, lambda seed: {"balanced": balanced(seed), "few": few(seed), "many": many})], seeds=(4, 5, 6, 7, 8)
    )
    claim = confirmation.confirm(found, "soft")
    assert claim is not None
    assert claim.balanced.count == 10
    assert (claim.balanced_claimed, claim.few_claimed) == claims


def test_what_has_not_run_claims_nothing():
    assert confirmation.confirm(compared([(CAP, 1)]), "soft") is None
