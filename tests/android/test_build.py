"""What Maven ran as it built: every module's tests, those of Android's own parts on two Androids."""

from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.android.device import KOTLIN

pytestmark = KOTLIN

ANDROID = Path(__file__).parents[2] / "android"
# The fewest tests that a module has: a build that finds none would pass, too.
FEWEST = {"client": 400, "android": 20, "workmanager": 2, "sample": 30}
ON_ANDROID = ["android", "workmanager", "sample"]
SDKS = {"34", "35"}


def reports(module: str) -> list[ElementTree.Element]:
    """What Maven wrote of a module's tests: a suite for each class."""
    return [ElementTree.parse(path).getroot() for path in (ANDROID / module / "target/surefire-reports").glob("*.xml")]


@pytest.mark.parametrize("module", FEWEST)
def test_a_module_s_tests_ran_and_none_was_left_out(module: str) -> None:
    counts = {name: sum(int(suite.attrib[name]) for suite in reports(module)) for name in ("tests", "skipped")}
    assert counts["tests"] >= FEWEST[module]
    assert counts["skipped"] == 0


@pytest.mark.parametrize("module", ON_ANDROID)
def test_what_needs_android_ran_on_each(module: str) -> None:
    """A test's name says the older Android that it ran on, and none where it is the newest."""
    for suite in reports(module):
        names = {case.attrib["name"] for case in suite.iter("testcase")}
        if not any("[" in name for name in names):
            continue
        assert names == {name + mark for name in {name.split("[")[0] for name in names} for mark in ("", "[34]")}
