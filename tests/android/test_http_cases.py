"""The Kotlin client plays every case of the conformance server."""

from collections.abc import Iterator

import pytest

from fedrela.conformance.server.cases import load
from fedrela.conformance.server.runner import command
from tests.android.device import KOTLIN, line
from tests.conformance.server.plays import Verdicts, all_cases

pytestmark = KOTLIN

HURRY = 20.0
CASES = load()
COMMAND = command(line("run", link="{link}", state="{state}", data="{data}", secret="{secret}", hurry="{hurry}"))


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Verdicts]:
    """What the server says of the device, by case."""
    folder = tmp_path_factory.mktemp("devices")
    with all_cases(lambda case: COMMAND, folder, hurry=HURRY, at_once=3) as plays:
        yield plays


@pytest.mark.parametrize("name", CASES)
def test_the_kotlin_client_does_what_is_right(verdicts: Verdicts, name: str) -> None:
    verdict = verdicts[name].result()
    assert verdict["state"] == "passed", verdict
