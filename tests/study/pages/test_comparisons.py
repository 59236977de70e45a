"""Rows become comparisons and tables; worked by hand."""

import copy
import math

import numpy as np
import pytest
from scipy import stats

from fedrela.core.errors import InvalidInput
from fedrela.study.pages import report, tables
from fedrela.study.pages.comparison import Difference, Spread, detectable, paired, pool, spread, standard_error

NAN = float("nan")
VARIANT = {"name": "FedReLa", "threshold_percent": 5.0, "passes": 5, "lr_scale": 0.1, "period": 0}
MOVED = {"samples": 100, "relabeled": 8, "to_rarer": 6, "many_to_few": 2}


def row(arm, seed, value, **other):
    """A finished cell in which every share is `value`."""
    known = {"data": "toy", "data_sha256": "d", "model": {}, "setting": {"name": "A"}, "training": {"rounds": 10}}
    measured = dict.fromkeys(report.METRICS, value) | {"per_class": [value, value]}
    known |= {"method": "fedavg", "arm": arm, "start": 8, "variant": None, "seed": seed, "measured": measured}
    known |= {"moved": MOVED, "bytes_up": 1_500_000, "bytes_down": 500_000, "classes_absent_per_device": 0.5}
    known |= {"groups": [[0], [], [1]], "class_counts": [9, 1]}
    if arm in ("kept", "relabeled"):
        known["variant"] = VARIANT
    return copy.deepcopy(known | other)


def rows(*seeds, **other):
    values = {"trunk": 0.4, "kept": 0.5, "relabeled": 0.6}
    return [row(arm, seed, value + 0.01 * seed, **other) for seed in seeds for arm, value in values.items()]


def test_spread_of_two_values():
    average = spread([1.0, 3.0])  # deviations -1 and 1, n - 1 = 1: the square root of 2
    assert (average.mean, average.count) == (2.0, 2)
    assert average.deviation == pytest.approx(2**0.5)
    with pytest.raises(InvalidInput, match="no value"):
        spread([])


def test_interval_changes_sign_with_the_order_and_grows_with_confidence():
    first, second = [0.1, 0.4, 0.2], [0.3, 0.5, 0.1]
    there, back, wide = paired(first, second), paired(second, first), paired(first, second, 0.99)
    assert (back.mean, back.low, back.high) == pytest.approx((-there.mean, -there.high, -there.low))
    assert wide.low < there.low < there.mean < there.high < wide.high


def test_settings_are_pooled_with_the_variance_of_each():
    one, two = paired([0.0, 0.0, 0.0], [0.1, 0.2, 0.3]), paired([0.0, 0.0], [0.4, 0.6])
    errors = 0.1 / 3**0.5, 0.02**0.5 / 2**0.5  # s / sqrt(n): 0.1 of three, 0.1414 of two
    assert [standard_error(item) for item in (one, two)] == pytest.approx(errors)
    both = pool([one, two, paired([0.0], [0.9])])  # one pair has no variance
    variance = (errors[0] ** 2 + errors[1] ** 2) / 4
    freedom = variance**2 / ((errors[0] ** 2 / 4) ** 2 / 2 + (errors[1] ** 2 / 4) ** 2 / 1)
    half = stats.t.ppf(0.975, freedom) * variance**0.5
    assert (both.mean, both.low, both.high, both.count) == pytest.approx((0.35, 0.35 - half, 0.35 + half, 2))
    alone = pool([paired([0.0], [0.9])])
    assert alone.mean == pytest.approx(0.9)
    assert math.isnan(alone.low)


def test_what_could_have_been_seen_is_seen_in_four_of_five_studies():
    difference = paired([0.0] * 4, [0.1, 0.2, 0.3, 0.4])
    smallest = detectable(difference)
    draws = np.random.default_rng(0).normal(smallest, difference_deviation(difference), (20_000, 4))
    t = draws.mean(axis=1) / (draws.std(axis=1, ddof=1) / 2)
    assert (np.abs(t) > stats.t.ppf(0.975, 3)).mean() == pytest.approx(0.8, abs=0.01)
    assert math.isnan(detectable(paired([0.0], [0.1])))
    assert detectable(paired([0.0, 0.0], [0.1, 0.1])) == 0


def difference_deviation(difference):
    return standard_error(difference) * difference.count**0.5


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (tables.share(Spread(NAN, NAN, 2)), "–"),
        (tables.share(Spread(0.5, NAN, 1)), "50.0"),
        (tables.share(Spread(0.5, 0.0, 2)), "50.0 ± 0.0"),
        (tables.points(Difference(NAN, NAN, NAN, 2)), "–"),
        (tables.points(Difference(-0.012, NAN, NAN, 1)), "-1.2"),
        (tables.points(Difference(0.0, -0.1, 0.1, 2)), "+0.0 [-10.0, +10.0]"),
    ],
)
def test_what_is_missing_is_a_dash_and_never_a_number(cell, text):
    assert cell == text


def test_a_comparison_takes_the_seeds_that_have_all_arms():
    compared = report.compare([*rows(1, 2), row("trunk", 3, 0.9), row("kept", 3, 0.9)])
    assert [item.seeds for item in compared] == [(1, 2)]
    assert compared[0].kept["overall"].mean == pytest.approx(0.515)
    assert compared[0].difference["few"].mean == pytest.approx(0.1)
    assert report.compare([row("trunk", 1, 0.4), row("relabeled", 1, 0.6)]) == []


def test_settings_and_methods_are_compared_apart():
    compared = report.compare([*rows(1), *rows(1, method="focal"), *rows(1, setting={"name": "B"})])
    assert sorted((item.setting, item.method) for item in compared) == [
        ("A", "fedavg"),
        ("A", "focal"),
        ("B", "fedavg"),
    ]


def test_a_gap_is_over_common_seeds_only():
    item = report.compare(rows(1, 2))[0]
    top = {2: {"overall": 0.9}, 3: {"overall": 0.1}}
    seeds, kept, relabeled = report.gap(item, top, "overall")
    assert seeds == (2,)
    assert (kept, relabeled) == pytest.approx((0.9 - 0.52, 0.9 - 0.62))
    assert report.gap(item, {3: {"overall": 0.1}}, "overall") is None


def test_tables_by_hand():
    compared = report.compare(rows(1))
    references = report.references([row("reference", 1, 0.8, method="centralised")])
    arms = tables.arms(compared[0])
    assert [line[1] for line in arms.rows] == ["41.0", "51.0", "61.0", "+10.0"]
    assert arms.rows[2][0] == "round 10, re-labeled (8 of 100)"
    assert tables.movements(compared).rows == (("A", "FedAvg", "FedReLa", "1", "8 of 100", "75 %", "2", "0.5", "2.0"),)
    ends = tables.levels(compared, references).rows
    assert [(line[1], line[3]) for line in ends] == [
        ("FedAvg", "51.0"),
        ("FedAvg + FedReLa", "61.0"),
        (report.REFERENCES["centralised"], "80.0"),
    ]


def test_no_label_moved_is_no_share():
    still = [item | {"moved": MOVED | {"relabeled": 0, "to_rarer": 0}} for item in rows(1)]
    assert tables.movements(report.compare(still)).rows[0][4:6] == ("0 of 100", "–")


def test_every_table_is_rectangular_and_a_group_without_samples_is_a_dash():
    holes = rows(1, 2)
    for item in holes:
        item["measured"]["medium"] = None
    compared = report.compare(holes)
    shown = (tables.arms(compared[0]), tables.differences(compared), tables.levels(compared, []))
    for table in (*shown, tables.movements(compared)):
        assert {len(line) for line in table.rows} == {len(table.heading)}
        assert "nan" not in table.markdown().lower()
        assert len(table.rich().columns) == len(table.heading)
    assert all(line[3] == "–" for line in shown[0].rows)
