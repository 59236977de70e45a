"""What else a branch does: the share of the distance and the change beside FedReLa's, worked by hand."""

from fedrela.study.pages import closing
from fedrela.study.pages.evidence import Evidence
from tests.study.pages.test_comparisons import VARIANT, row

SOFT = VARIANT | {"name": "soft", "treatment": {"relabels": "soft"}}
PLAIN = VARIANT | {"name": "FedReLa, own loop", "treatment": {}}
LATE = VARIANT | {"name": "late", "treatment": {"after": 1, "relabels": "soft"}}


def evidence(*variants, pooled=True):
    """Trunk 40, kept 50 by the fleet and 52 by the own loop, then 60, 61, ... as the variants come; pooled 72."""
    rows = [row("trunk", 1, 0.4), row("kept", 1, 0.5)]
    for after in {variant.get("treatment", {}).get("after", 0) for variant in variants if "treatment" in variant}:
        rows.append(row("kept", 1, 0.52, variant=VARIANT | {"treatment": {"after": after}}))
    for place, variant in enumerate(variants):
        rows.append(row("relabeled", 1, 0.6 + place / 100, variant=variant))
    if pooled:
        rows.append(row("reference", 1, 0.72, method="centralised", start=0))
    return Evidence("e", "t", "c", tuple(rows), 9)


def lines(*variants, **other):
    return {line[1]: line[3:] for line in closing.table(evidence(*variants, **other)).rows}


def test_each_is_compared_with_the_branch_of_its_own_loop():
    shown = lines(VARIANT, PLAIN, SOFT)
    assert shown["FedReLa"][0] == "+10.0"
    assert shown["FedReLa, own loop"][0] == "+9.0"
    assert shown["soft"][0] == "+10.0"


def test_the_share_of_the_distance_to_the_pooled_data():
    shown = lines(VARIANT, SOFT)
    assert shown["FedReLa"][4] == "45 %"  # 10 of 22 points
    assert shown["soft"][4] == "45 %"  # 9 of 20
    assert lines(VARIANT, pooled=False)["FedReLa"][4] == "–"


def test_beside_fedrela_of_the_same_loop_and_start_alone():
    shown = lines(VARIANT, PLAIN, SOFT, LATE)
    assert shown["soft"][5] == "+1.0"
    assert shown["FedReLa"][5] == shown["FedReLa, own loop"][5] == "–"
    assert shown["late"][5] == "–"  # FedReLa has not run with its start


def test_again_and_again_is_not_plain():
    again = VARIANT | {"name": "again", "period": 3}
    assert lines(VARIANT, again)["again"][5] == "+1.0"
