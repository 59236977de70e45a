"""How fast and in how much memory stored updates become the next global model.

    python -m benchmarks.aggregation --shape 1000x1000000 100x11000000

For each shape (updates x parameters) the updates are accepted by the coordinator's own service, as if devices had sent
them, and then aggregated in a fresh process: read from the store, checked for damage, reduced in float64, new weights
stored. The references are what numpy reaches on arrays of that size which are in memory already: the same weighted sum
(`total64 += weight * array`), a plain float64 sum (`total64 += array`) and a plain float32 sum. Peak memory is the
whole process's. The robust rules are measured on one shape.
"""

import argparse
import json
import multiprocessing
import resource
import shutil
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from benchmarks.serving.fixture import make_bundle, settings_of, update_body
from benchmarks.serving.signed_requests import CHECK_IN, enrollment
from fedrela.coordinator import context
from fedrela.coordinator.access import auth, devices, tokens
from fedrela.coordinator.access.devices import Credentials
from fedrela.coordinator.aggregation import global_model
from fedrela.coordinator.rounds import group_commit, service, tasks
from fedrela.coordinator.rounds.service import CheckInRequest
from fedrela.coordinator.rounds.uploads import Upload, UploadHeaders
from fedrela.coordinator.storage import blobs
from fedrela.core import bundle, signing
from fedrela.core.task import Aggregation, Relabel, Rounds, Task
from fedrela.core.wire import Assignment, CheckIn, EnrollRequest, UpdateReceipt

RESULTS = Path(__file__).parent / "results"
IN_MEMORY = 24  # arrays that the reference cycles through: more than a cache holds


@dataclass(frozen=True)
class Line:
    """One measured aggregation."""

    rule: str
    updates: int
    parameters: int
    seconds: float
    gb_per_second: float
    ratio_to_weighted: float  # throughput relative to numpy's `total64 += weight * array`
    ratio_to_float64: float  # to `total64 += array`
    ratio_to_float32: float  # and to `total32 += array`
    peak_mb: float
    models_plus_150_mb: float  # the bar: 4 models + 150 MB


def prepare(folder: Path, updates: int, parameters: int, rule: str) -> str:
    """Publish a task and have `updates` updates accepted for round 1; the task's id."""
    make_bundle(folder / "bundle", parameters)
    sealed = bundle.read(folder / "bundle")
    with context.connect(settings_of(folder)) as coordinator:
        for sha256, body in sealed.blobs().items():
            coordinator.blobs.put(blobs.public(sha256), body)
        rounds = Rounds(goal=updates, smallest_cohort=1, compute_lease_seconds=1e6, deadline_seconds=1e6)
        task = Task(
            "aggregation",
            1,
            round=rounds,
            relabel=Relabel(enabled=False),
            aggregation=Aggregation(rule=rule),  # type: ignore[arg-type]
        )
        seal = sealed.seal
        task_id = tasks.publish(coordinator, task, seal, seal.weights_sha256, 0.0)
        token = tokens.create_token(coordinator, "default", updates, 1e6, 0.0).enrollment_token
        offer = CheckIn(**CHECK_IN | {"runtimes": ("onnx 1.32.0",)})
        for index in range(updates):
            key = f"{index:064x}"
            enrolled = devices.enroll(coordinator, EnrollRequest(**enrollment(token, key)), 1.0)
            caller = Credentials(auth.hash_token(enrolled.device_token), signing.public_key(key))
            (assignment,) = group_commit.check_ins(coordinator, [CheckInRequest(caller, offer)], 1.0)
            assert isinstance(assignment, Assignment)
            body = update_body(parameters, index)
            headers = UploadHeaders(caller, assignment.assignment_id, assignment.upload_token, len(body))
            (upload,) = group_commit.begin_uploads(coordinator, [headers], 1.0)
            assert isinstance(upload, Upload)
            (receipt,) = group_commit.accept_updates(
                coordinator, [service.store_update(coordinator, upload, body)], 1.0
            )
            assert isinstance(receipt, UpdateReceipt)
    return task_id


def aggregate(folder: Path, task_id: str) -> tuple[float, float]:
    """Seconds and peak resident megabytes of the aggregation."""
    with context.connect(settings_of(folder)) as coordinator:
        started = time.perf_counter()
        global_model.aggregate(coordinator, task_id, 1)
        seconds = time.perf_counter() - started
    return seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


def reference(updates: int, parameters: int) -> tuple[float, float, float]:
    """Seconds that numpy takes to add as many arrays in memory: weighted float64, plain float64, plain float32."""
    arrays = [np.full(parameters, i, np.float32) for i in range(min(IN_MEMORY, updates))]
    found = []
    for dtype, weight in ((np.float64, np.float64(3.0)), (np.float64, None), (np.float32, None)):
        total = np.zeros(parameters, dtype)
        started = time.perf_counter()
        for index in range(updates):
            array = arrays[index % len(arrays)]
            total += array if weight is None else weight * array
        found.append(time.perf_counter() - started)
    return found[0], found[1], found[2]


def measure(updates: int, parameters: int, rule: str, repeats: int) -> Line:
    """One line of the table: the best of `repeats` runs of either, taken in turn."""
    folder = Path(tempfile.mkdtemp(prefix="aggregation-"))
    spawn = multiprocessing.get_context("spawn")
    try:
        with spawn.Pool(1) as pool:
            task_id = pool.apply(prepare, (folder, updates, parameters, rule))
        runs, references = [], []
        for _ in range(repeats):
            with spawn.Pool(1) as pool:
                runs.append(pool.apply(aggregate, (folder, task_id)))
            with spawn.Pool(1) as pool:
                references.append(pool.apply(reference, (updates, parameters)))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    seconds, peak = min(run[0] for run in runs), max(run[1] for run in runs)
    weighted, wide, narrow = (min(times) for times in zip(*references, strict=True))
    model_mb = 4 * parameters / 1e6
    return Line(
        rule,
        updates,
        parameters,
        round(seconds, 2),
        round(updates * model_mb / 1e3 / seconds, 2),
        round(weighted / seconds, 2),
        round(wide / seconds, 2),
        round(narrow / seconds, 2),
        round(peak),
        round(4 * model_mb + 150),
    )


def main() -> None:
    """Measure, print, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", nargs="+", default=["1000x1000000", "100x11000000"])
    parser.add_argument("--robust", default="100x1000000", help="shape for the robust rules; empty: none")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--output", type=Path, default=RESULTS / "global_model.json")
    arguments = parser.parse_args()
    jobs = [(shape, "mean") for shape in arguments.shape]
    jobs += [(arguments.robust, rule) for rule in ("median", "trimmed-mean", "multi-krum") if arguments.robust]
    print(
        f"{'rule':14}{'updates':>8}{'parameters':>12}{'s':>8}{'GB/s':>7}"
        f"{'/weighted':>10}{'/float64':>10}{'/float32':>10}{'peak MB':>9}{'bar MB':>8}"
    )
    lines = []
    for shape, rule in jobs:
        updates, parameters = map(int, shape.split("x"))
        line = measure(updates, parameters, rule, arguments.repeats)
        lines.append(line)
        print(
            f"{rule:14}{updates:8}{parameters:12}{line.seconds:8}{line.gb_per_second:7}"
            f"{line.ratio_to_weighted:10}{line.ratio_to_float64:10}{line.ratio_to_float32:10}{line.peak_mb:9}{line.models_plus_150_mb:8}",
            flush=True,
        )
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps([asdict(line) for line in lines], indent=2) + "\n")


if __name__ == "__main__":
    main()
