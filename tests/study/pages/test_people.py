"""Recalls are pooled over people, and whom the model serves worst is named with counts."""

import numpy as np

from fedrela.study.pages import people


def row(seed, arm="kept", **right):
    samples = {"1": [8, 2], "2": [10, 0]}
    persons = [{"owner": int(name[1:]), "samples": samples[name[1:]], "right": own} for name, own in right.items()]
    return {
        "setting": {"people_fold": 1},
        "arm": arm,
        "method": "fedavg",
        "variant": {"name": "FedReLa"},
        "seed": seed,
        "people": persons,
    }


ROWS = [row(1, p1=[8, 0], p2=[5, 0]), row(2, p1=[6, 1], p2=[7, 0])]


def test_a_persons_seeds_are_summed_and_people_pooled():
    samples, right = people.by_person(ROWS)
    assert samples.tolist() == [[16, 4], [20, 0]]
    assert right.tolist() == [[14, 1], [12, 0]]
    assert people.recall(samples, right).tolist() == [26 / 36, 1 / 4]


def test_a_class_that_nobody_has_is_not_measured():
    assert np.isnan(people.recall(np.array([[3.0, 0.0]]), np.array([[2.0, 0.0]]))[1])


def test_a_line_holds_recalls_with_intervals_and_the_worst_with_their_counts():
    table = people.table([*ROWS, row(1, "trunk", p1=[0, 0]), row(1, "relabeled", p1=[8, 2], p2=[10, 0])])
    assert [line[0] for line in table.rows] == ["FedAvg", "FedAvg + FedReLa"]
    first, second = table.rows
    assert first[1] == "2"
    assert first[2].startswith("48.6 [")  # the mean of 26/36 and 1/4
    assert first[3].startswith("25.0 [")
    assert first[4:] == ("60.0", "12 of 20")
    assert second[2:] == ("100.0 [100.0, 100.0]", "100.0 [100.0, 100.0]", "100.0", "10 of 10")


def test_without_people_there_is_no_table():
    assert people.table([{"arm": "kept"}]) is None
