"""The Kotlin client plays every case of the conformance server."""

from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from fedrela.conformance.server.cases import Case, load
from fedrela.conformance.server.http_server import ConformanceServer
from fedrela.conformance.server.runner import command, run_case
from tests.android.device import line

pytestmark = pytest.mark.android

HURRY = 20.0
CASES = load()
COMMAND = command(line("run", link="{link}", state="{state}", data="{data}", secret="{secret}", hurry="{hurry}"))


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[Mapping[str, Any]]]]:
    """Case -> what the server says of the device, sooner or later."""
    server, folder = ConformanceServer(hurry=HURRY), tmp_path_factory.mktemp("devices")

    def play(case: Case) -> Mapping[str, Any]:
        if case.update.startswith("same as "):
            plays[case.update.removeprefix("same as ")].result()
        return run_case(server, case.name, COMMAND, Path(folder))

    plays: dict[str, Future[Mapping[str, Any]]] = {}
    with ThreadPoolExecutor(3) as pool:
        for name, case in CASES.items():
            plays[name] = pool.submit(play, case)
        yield plays
    server.close()


@pytest.mark.parametrize("name", CASES)
def test_the_kotlin_client_does_what_is_right(verdicts: dict[str, Future[Mapping[str, Any]]], name: str) -> None:
    verdict = verdicts[name].result()
    assert verdict["state"] == "passed", verdict
