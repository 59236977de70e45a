"""A signal asks for an end, a second one demands it, and afterwards all is as before."""

import os
import signal
import threading

import pytest

from fedrela.edge.owner.signals import stopped_by_signals
from tests.patience import PATIENCE_SECONDS


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_stops_and_the_second_ends(number: int) -> None:
    stop, before = threading.Event(), signal.getsignal(number)
    with stopped_by_signals(stop) as received:
        assert not stop.is_set()
        os.kill(os.getpid(), number)
        assert stop.wait(PATIENCE_SECONDS)
        assert received == [number]
        with pytest.raises(SystemExit) as ended:
            os.kill(os.getpid(), number)
    assert ended.value.code == 128 + number
    assert signal.getsignal(number) is before
