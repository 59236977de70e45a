"""The thread beside the requests: ends leases and deadlines, aggregates rounds.

One per process; any number of processes may run. Under the virtual clock nothing happens by itself:
`POST /v1/admin/clock` and the request that completes a round do the work at once, so that a run is exact.
"""

import logging
import threading

from fedrela.coordinator.aggregation import global_model
from fedrela.coordinator.context import Coordinator
from fedrela.coordinator.rounds import closing
from fedrela.core.errors import FedRelaError

INTERVAL_SECONDS = 0.5
log = logging.getLogger("fedrela.coordinator")


class HousekeepingThread:
    """Owns the thread. `stop` lets an aggregation that is under way finish."""

    def __init__(self, coordinator: Coordinator) -> None:
        self._coordinator = coordinator
        self._stopping = threading.Event()
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
            try:
                run_housekeeping(self._coordinator)
            except FedRelaError as error:
                log.error("housekeeping failed; it is tried again", extra={"problem": str(error)})
            except Exception:
                log.exception("housekeeping failed unexpectedly; it is tried again")
            self._coordinator.wake.wait(INTERVAL_SECONDS)


def run_housekeeping(coordinator: Coordinator) -> None:
    """Do everything that is due now."""
    closing.expire(coordinator, coordinator.store.now())
    while global_model.run_due(coordinator):
        pass
