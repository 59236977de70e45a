"""The Python device plays every case of the conformance server; each case judges it by itself."""

import sys
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from fedrela.conformance.server import python_client
from fedrela.conformance.server.cases import Case, load
from fedrela.conformance.server.runner import command
from fedrela.core.errors import FedRelaError
from tests.conformance.server.plays import Verdicts, all_cases
from tests.patience import PATIENCE_SECONDS

HURRY = 50.0
CASES = load()
COMMAND = command(
    f"{sys.executable} -m fedrela.conformance.server.python_client "
    "--link {link} --state {state} --data {data} --secret {secret} --hurry {hurry}"
)


class InThread:
    """The device in a thread of this process, where nothing has to be killed: to start Python takes a second."""

    steps = 0

    def __init__(self, places: Mapping[str, Any]) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(places,), daemon=True)
        self._thread.start()

    def _run(self, places: Mapping[str, Any]) -> None:
        secret = bytes.fromhex(places["secret"])
        try:
            python_client.run(places["link"], places["state"], places["data"], secret, places["hurry"], self._stop)
        except FedRelaError:
            return  # an enrollment that is gone; the command prints it and ends

    def ended(self) -> bool:
        return not self._thread.is_alive()

    def kill(self) -> None:
        self._stop.set()
        self._thread.join(PATIENCE_SECONDS)
        assert self.ended()


def is_killed(case: Case) -> bool:
    return case.kill_after_steps > 0 or any("killed" in entry for entry in case.right[0].log)


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Verdicts]:
    """What the server says of the device, by case."""
    folder = tmp_path_factory.mktemp("devices")
    with all_cases(lambda case: COMMAND if is_killed(case) else InThread, folder, hurry=HURRY, at_once=4) as plays:
        yield plays


@pytest.mark.parametrize("name", CASES)
def test_the_python_device_does_what_is_right(verdicts: Verdicts, name: str) -> None:
    verdict = verdicts[name].result()
    assert verdict["state"] == "passed", verdict
