"""Prometheus metrics: what an operator watches. Never a token, a device or anything of its data in a label.

With several workers set PROMETHEUS_MULTIPROC_DIR (`fedrela serve --workers` does), so that any of them can answer for
all.
"""

import os

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    multiprocess,
)

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
TASK_ROUND = Gauge("fedrela_task_round", "Number of the open round", ["task"], multiprocess_mode="mostrecent")
TASK_OPEN = Gauge("fedrela_task_open_assignments", "Devices at work", ["task"], multiprocess_mode="mostrecent")
TASK_REPORTED = Gauge("fedrela_task_reported", "Updates in the open round", ["task"], multiprocess_mode="mostrecent")
TASK_PHASE = Gauge(
    "fedrela_task_phase",
    "1 for the phase of the task's open round, or for its status where it is not running",
    ["task", "phase"],
    multiprocess_mode="mostrecent",
)
TASK_UNCHANGED = Gauge(
    "fedrela_task_unchanged_rounds",
    "Rounds in a row that left the model as it was, once they are three or more; else 0",
    ["task"],
    multiprocess_mode="mostrecent",
)
CLOCK_SKEW = Gauge(
    "fedrela_clock_skew_seconds",
    "How far the clock of the worker that answers is ahead of the coordinator's time",
    multiprocess_mode="mostrecent",
)


def exposition() -> tuple[bytes, str]:
    """The metrics page and its content type."""
    registry = REGISTRY
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry), CONTENT_TYPE_LATEST


def observe_tasks(coordinator: Coordinator) -> None:
    """Set the gauges from the database."""
    TASK_PHASE.clear()
    CLOCK_SKEW.set(coordinator.store.clock.skew_seconds)
    for record in history.tasks(coordinator):
        name = record["task_id"]
        TASK_ROUND.labels(name).set(record["round"])
        TASK_OPEN.labels(name).set(record.get("open", 0))
        TASK_REPORTED.labels(name).set(record.get("reported", 0))
        since = record["unchanged_since"]
        TASK_UNCHANGED.labels(name).set(0 if since is None else record["committed_rounds"] - since)
        running = record["status"] == "running"
        TASK_PHASE.labels(name, record["phase"] if running else record["status"]).set(1)
