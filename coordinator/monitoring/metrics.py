"""Prometheus metrics: what an operator watches. Never a token, a device or anything of its data in a label.

With several workers set PROMETHEUS_MULTIPROC_DIR (`fedrela serve --workers` does), so that any of them can answer for
all.
"""

import os
from collections.abc import Iterator

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Histogram,
    Metric,
    generate_latest,
    multiprocess,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from fedrela.coordinator.context import Coordinator
from fedrela.coordinator.monitoring import history

REQUESTS = Counter("fedrela_requests_total", "HTTP requests", ["method", "route", "status"])
REQUEST_SECONDS = Histogram(
    "fedrela_request_seconds",
    "Time to answer a request",
    ["route"],
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 60),
)
CHECK_INS = Counter("fedrela_check_ins_total", "Check-ins by answer: assignment, or the reason to wait", ["answer"])
UPDATES_ACCEPTED = Counter("fedrela_updates_accepted_total", "Updates stored and counted")
UPDATES_REPEATED = Counter("fedrela_updates_repeated_total", "Updates that had been accepted before")
UPDATES_REFUSED = Counter("fedrela_updates_refused_total", "Updates refused, by problem code", ["code"])
FAILURES = Counter("fedrela_assignment_failures_total", "Assignments given back by devices, by failure code", ["code"])
BYTES_RECEIVED = Counter("fedrela_update_bytes_total", "Bytes of updates received")
BYTES_SENT = Counter("fedrela_blob_bytes_total", "Bytes of blobs sent")
ROUNDS_COMMITTED = Counter("fedrela_rounds_committed_total", "Rounds committed by this coordinator")
AGGREGATION_SECONDS = Histogram(
    "fedrela_aggregation_seconds", "Time to aggregate a round", buckets=(0.01, 0.05, 0.1, 0.5, 1, 2, 5, 10, 30, 60, 300)
)


class Standing(Collector):
    """Gauges made from the database for one answer: nothing that a worker saw earlier stays beside them."""

    def __init__(self, coordinator: Coordinator) -> None:
        self._coordinator = coordinator

    def collect(self) -> Iterator[Metric]:
        """How every task stands, and this worker's clock."""
        yield GaugeMetricFamily(
            "fedrela_clock_skew_seconds",
            "How far the clock of the worker that answers is ahead of the coordinator's time",
            self._coordinator.store.clock.skew_seconds,
        )
        round_ = GaugeMetricFamily("fedrela_task_round", "Number of the open round, or of the last", labels=["task"])
        open_ = GaugeMetricFamily("fedrela_task_open_assignments", "Devices at work", labels=["task"])
        reported = GaugeMetricFamily("fedrela_task_reported", "Updates in the open round", labels=["task"])
        phase = GaugeMetricFamily(
            "fedrela_task_phase",
            "1 for the phase of the task's open round, or for its status where it is not running",
            labels=["task", "phase"],
        )
        unchanged = GaugeMetricFamily(
            "fedrela_task_unchanged_rounds",
            "Rounds in a row that left the model as it was, once they are three or more; else 0",
            labels=["task"],
        )
        for record in history.tasks(self._coordinator):
            task, since = record["task_id"], record["unchanged_since"]
            round_.add_metric([task], record["round"])
            open_.add_metric([task], record.get("open", 0))
            reported.add_metric([task], record.get("reported", 0))
            unchanged.add_metric([task], 0 if since is None else record["committed_rounds"] - since)
            phase.add_metric([task, record["phase"] if record["status"] == "running" else record["status"]], 1)
        yield from (round_, open_, reported, phase, unchanged)


def exposition(coordinator: Coordinator) -> tuple[bytes, str]:
    """The metrics page and its content type: what all processes have counted, and how the tasks stand now."""
    counted = REGISTRY
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        counted = CollectorRegistry()
        multiprocess.MultiProcessCollector(counted)  # type: ignore[no-untyped-call]
    standing = CollectorRegistry()
    standing.register(Standing(coordinator))
    return generate_latest(counted) + generate_latest(standing), CONTENT_TYPE_LATEST
