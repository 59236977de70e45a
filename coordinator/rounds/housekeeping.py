"""The thread beside the requests: ends leases, phases and deadlines, sums groups, aggregates, folds, forgets, sweeps.

One per process; any number of processes may run. Under the virtual clock nothing happens by itself:
`POST /v1/admin/clock` and the request that completes a round do the work at once, so that a run is exact.
"""

import logging
import threading
from collections.abc import Callable
from functools import partial

from fedrela.coordinator.aggregation import due_rounds
from fedrela.coordinator.context import Coordinator
from fedrela.coordinator.rounds import closing, retention
from fedrela.coordinator.secure import phases, summing
from fedrela.coordinator.storage.sweeping import Sweep
from fedrela.core.errors import FedRelaError

INTERVAL_SECONDS = 0.5
log = logging.getLogger("fedrela.coordinator")


class HousekeepingThread:
    """Owns the thread. `stop` lets an aggregation that is under way finish."""

    def __init__(self, coordinator: Coordinator) -> None:
        self._coordinator = coordinator
        self._stopping = threading.Event()
        self._sweep = Sweep(coordinator)
        self._thread = threading.Thread(target=self._run, name="aggregation", daemon=True)

    def start(self) -> None:
        """Begin; a round that a crash left behind is taken up at once."""
        self._thread.start()

    def stop(self) -> None:
        """End and wait."""
        self._stopping.set()
        self._coordinator.wake.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._coordinator.wake.clear()
            works = [partial(work, self._coordinator) for work in (_expire, _gather, _sum, _aggregate, _retain)]
            steps: list[Callable[[], object]] = [self._beat, *works, self._sweep.go_on]
            for step in steps:
                try:
                    step()
                except FedRelaError as error:
                    log.error("housekeeping failed; it is tried again", extra={"problem": str(error)})
                except Exception:
                    log.exception("housekeeping failed unexpectedly; it is tried again")
            self._coordinator.wake.wait(INTERVAL_SECONDS)

    def _beat(self) -> None:
        self._coordinator.store.clock.beat(self._coordinator.store.write)


def run_housekeeping(coordinator: Coordinator) -> None:
    """Do everything that is due now."""
    for work in (_expire, _gather, _retain, _sum, _expire, _aggregate):
        work(coordinator)


def _expire(coordinator: Coordinator) -> None:
    closing.expire(coordinator, coordinator.store.now())


def _gather(coordinator: Coordinator) -> None:
    phases.tick(coordinator, coordinator.store.now())


def _sum(coordinator: Coordinator) -> None:
    while summing.run_due(coordinator):
        pass


def _retain(coordinator: Coordinator) -> None:
    retention.retain(coordinator, coordinator.store.now())
    coordinator.store.scrub()


def _aggregate(coordinator: Coordinator) -> None:
    while due_rounds.run_due(coordinator):
        pass
