"""Assignment after assignment, ever less often while nobody answers or all of them fail."""

from collections.abc import Callable
from dataclasses import replace
from threading import Event as StopEvent
from typing import Any

from fedrela.core.errors import FedRelaError
from fedrela.edge.owner.settings import Outcome
from fedrela.edge.training.faults import is_away

LONGEST_PAUSE_SECONDS = 300.0  # between two attempts


def repeat(
    run_once: Callable[[], Outcome],
    on_outcome: Callable[[Outcome], None],
    *,
    stop: StopEvent,
    sleep: Callable[[float], Any],
    uniform: Callable[[], float],
) -> None:
    """Call `run_once` until `stop` is set; `uniform` in [0, 1) is the jitter. Raises what `run_once` does of a fault
    that isn't the coordinator's being away.
    """
    away = failed = 0
    while not stop.is_set():
        try:
            outcome, away = run_once(), 0
        except FedRelaError as fault:
            if not is_away(fault):
                raise
            away += 1
            outcome = Outcome("waiting", fault.problem, pause_seconds(away, uniform()))
        if outcome.kind == "dropped":
            failed += 1
            outcome = replace(outcome, retry_after_seconds=pause_seconds(failed, uniform()))
        elif outcome.kind == "uploaded":
            failed = 0
        on_outcome(outcome)
        if outcome.retry_after_seconds and not stop.is_set():
            sleep(outcome.retry_after_seconds)


def pause_seconds(attempts: int, uniform: float) -> float:
    """The pause before the next attempt after so many that failed."""
    return min(LONGEST_PAUSE_SECONDS, 2.0 ** min(attempts, 16)) * (0.5 + 0.5 * uniform)
