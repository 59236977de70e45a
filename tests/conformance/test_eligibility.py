"""A Python device trains exactly where the vectors say that nothing stands in the way."""

import pytest

from fedrela.conformance.files import read_json
from fedrela.core import strict
from fedrela.core.errors import InvalidTask
from fedrela.core.task import Eligibility
from fedrela.edge.conditions.eligibility import Conditions, reasons

DOCUMENT = read_json("eligibility.json")


@pytest.mark.parametrize("case", DOCUMENT["cases"], ids=lambda case: case["name"])
def test_conditions(case):
    rule = strict.build(Eligibility, case["rule"], InvalidTask)
    assert len(reasons(Conditions(**case["conditions"]), rule)) == len(case["obstacles"])


@pytest.mark.parametrize("case", DOCUMENT["cases"], ids=lambda case: case["name"])
def test_a_sensor_that_is_not_there_is_no_obstacle(case):
    rule = strict.build(Eligibility, case["rule"], InvalidTask)
    for sensor in case["conditions"]:
        seen = {name: value for name, value in case["conditions"].items() if name != sensor}
        left = [field for field in case["obstacles"] if sensor not in DOCUMENT["sensors"][field]]
        if sensor != "on_mains":  # without a word of the mains, the battery alone decides
            assert len(reasons(Conditions(**seen), rule)) == len(left)


def test_every_field_of_the_rule_has_a_case_that_allows_and_one_that_forbids():
    for field in DOCUMENT["sensors"]:
        asked = [case for case in DOCUMENT["cases"] if case["rule"].get(field)]
        assert {field in case["obstacles"] for case in asked} == {True, False}
