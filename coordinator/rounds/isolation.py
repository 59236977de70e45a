"""An error of one task stays within it: it is logged, shown at the task and tried again, and the others go on.

isolation.attempt(coordinator, task_id, "round can't be aggregated", partial(aggregate, coordinator, task_id))
"""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import sqlalchemy as sa

from fedrela.coordinator.context import Coordinator, Retry
from fedrela.coordinator.storage import schema
from fedrela.core.errors import FedRelaError

FIRST_PAUSE_SECONDS = 3.0  # twice as long after each further failure
LONGEST_PAUSE_SECONDS = 60.0
T = TypeVar("T")
log = logging.getLogger("fedrela.coordinator")


def is_due(coordinator: Coordinator, task_id: str, event: str) -> bool:
    """Whether a task's work may be tried: it has not failed with `event`, or its pause is over."""
    retry = coordinator.retries.get((task_id, event))
    return retry is None or time.monotonic() >= retry.at


def attempt(coordinator: Coordinator, task_id: str, event: str, work: Callable[[], T]) -> T | None:
    """What a piece of a task's work gave; None where it failed, or failed before and its pause isn't over."""
    if is_due(coordinator, task_id, event):
        with of_task(coordinator, task_id, event):
            return work()
    return None


@contextmanager
def of_task(coordinator: Coordinator, task_id: str, event: str) -> Iterator[None]:
    """Keep whatever is raised inside from the caller; `event` says what can't be done. What worked is forgotten."""
    key = (task_id, event)
    try:
        yield
    except Exception as error:
        ours = isinstance(error, FedRelaError)
        problem = str(error) if ours else f"nobody foresaw this error ({type(error).__name__}: {str(error)[:200]})"
        log.error(event, extra={"task": task_id, "problem": problem}, exc_info=not ours)
        failures = coordinator.retries[key].failures + 1 if key in coordinator.retries else 1
        pause = min(FIRST_PAUSE_SECONDS * 2.0 ** min(failures - 1, 16), LONGEST_PAUSE_SECONDS)
        coordinator.retries[key] = Retry(time.monotonic() + pause, failures)
        _show(coordinator, task_id, event, f"{event}: {problem}")
    else:
        if coordinator.retries.pop(key, None):
            _show(coordinator, task_id, event, "")


def forget(coordinator: Coordinator, task_id: str) -> None:
    """An operator has changed a task: what failed is tried at once."""
    for key in [key for key in coordinator.retries if key[0] == task_id]:
        coordinator.retries.pop(key, None)


def _show(coordinator: Coordinator, task_id: str, event: str, problem: str) -> None:
    """Write a problem to the task's row, or take it away. A database that can't do even that is in the log already."""
    table = schema.tasks
    shown = sa.update(table).where(table.c.id == task_id, table.c.status.in_(("running", "paused")))
    if not problem:
        shown = shown.where(table.c.problem.startswith(event, autoescape=True))
    try:
        with coordinator.store.write() as tx:
            tx.execute(shown.values(problem=problem))
    except FedRelaError as error:
        log.error("a task's problem can't be stored", extra={"task": task_id, "problem": str(error)})
