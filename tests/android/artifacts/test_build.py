"""What Maven ran as it built: every module's tests, those of Android's own parts on two Androids."""

from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.android.device import KOTLIN

pytestmark = KOTLIN

ANDROID = Path(__file__).parents[3] / "android"
# The fewest tests that a module has: a build that finds none would pass, too.
FEWEST = {"client": 1_700, "android": 50, "workmanager": 6, "sample": 50}
ON_BOTH = {"android": 5, "workmanager": 1, "sample": 3}  # classes of tests; screens are drawn on the newest alone


def reports(module: str) -> list[ElementTree.Element]:
    """What Maven wrote of a module's tests: a suite for each class."""
    return [ElementTree.parse(path).getroot() for path in (ANDROID / module / "target/surefire-reports").glob("*.xml")]


@pytest.mark.parametrize("module", FEWEST)
def test_a_module_s_tests_ran_and_none_was_left_out(module: str) -> None:
    counts = {name: sum(int(suite.attrib[name]) for suite in reports(module)) for name in ("tests", "skipped")}
    assert counts["tests"] >= FEWEST[module]
    assert counts["skipped"] == 0


@pytest.mark.parametrize("module", ON_BOTH)
def test_what_needs_android_ran_on_each(module: str) -> None:
    """Twice: a test's name says the older Android that it ran on, SDK 34, and none where it is the newest, 35."""
    suites = [{case.attrib["name"] for case in suite.iter("testcase")} for suite in reports(module)]
    twice = [names for names in suites if any("[" in name for name in names)]
    assert len(twice) >= ON_BOTH[module]
    for names in twice:
        assert names == {name + mark for name in {name.split("[")[0] for name in names} for mark in ("", "[34]")}
