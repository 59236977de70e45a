"""Kill a device with SIGKILL at random instants, again and again: every update must equal the undisturbed one.

    python -m benchmarks.device_kills --kills 200
    python -m benchmarks.device_kills --kills 200 --client kotlin        after `make android`

One device (`fedrela device run --once`) works against a real coordinator, in a new process each time. It is killed at a
random instant and started anew until its round is done; the body that it uploaded is compared, byte for byte, with that
of a device that nobody disturbed, and so is the model that the coordinator made of it. Rounds follow each other until
the wanted number of kills is reached. So that the instants are spread over a whole round, and not over its longest
part, each is drawn within one of seven places, the one hit least so far. For the place "start" the process is a new
interpreter; for the others it is forked from one that has imported everything, which takes milliseconds. A JVM can't be
forked: there the check-in begins with the start. Prints a table and writes benchmarks/results/device_kills.json, or
device_kills_kotlin.json. May import every package.
"""

import argparse
import itertools
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.processes.device_victim import CHECKPOINT_STEPS, Victim, new_link
from benchmarks.processes.kotlin_victim import VICTIMS
from fedrela.coordinator.admin_client import AdminClient
from fedrela.core.task import LocalTraining, Relabel, Rounds, Task

RESULTS = Path(__file__).parent / "results"
PLACES = ("start", "check-in", "download", "opening and re-labeling", "training", "checkpoint", "upload")
BEGINS = {"download": "assigned", "opening and re-labeling": "ready"}  # with this event


@dataclass
class Kills:
    """What happened. `places`: kills by the part of the client round that they fell into."""

    kills: int = 0
    rounds: int = 0
    identical_updates: int = 0
    identical_models: int = 0
    resumed_from_a_checkpoint: int = 0
    places: dict[str, int] = field(default_factory=lambda: dict.fromkeys(PLACES, 0))
    seconds: float = 0.0


@dataclass(frozen=True)
class Durations:
    """How long each place takes a device that nobody disturbs, in seconds; and how many steps its client round has."""

    seconds: dict[str, float]
    steps: int


def task() -> Task:
    """One round of some two hundred steps, on re-labeled data."""
    return Task(
        "kills",
        rounds=1,
        local=LocalTraining(epochs=8, batch_size=8),
        relabel=Relabel(start=1, threshold_percent=20.0),
        round=Rounds(goal=1, smallest_cohort=1, compute_lease_seconds=600, deadline_seconds=600),
    )


def measure(victim: Victim) -> Durations:
    """Run one client round to its end and learn how long its parts take."""
    begun = time.monotonic()
    running = victim.start(fresh=True)
    running.wait_for(lambda event: event.get("event") == "assigned")
    start_seconds = time.monotonic() - begun
    at: dict[str, float] = {}
    steps: list[float] = [time.monotonic()]
    while (event := running.next()) is not None:
        at[event.get("event") or event.get("outcome") or ""] = time.monotonic()
        steps += [time.monotonic()] * (event.get("event") == "step")
    if "uploaded" not in at:
        raise AssertionError("the undisturbed device did not upload")
    begun = time.monotonic()
    victim.start(fresh=False).finish()  # there is nothing to do any more, so this is a check-in alone
    check_in_seconds = time.monotonic() - begun
    gaps = [later - earlier for earlier, later in itertools.pairwise(steps[1:])]
    saving = gaps[CHECKPOINT_STEPS - 1 :: CHECKPOINT_STEPS]
    seconds = {
        "start": start_seconds,
        "check-in": check_in_seconds,
        "download": at["ready"] - steps[0],
        "opening and re-labeling": steps[1] - at["ready"],
        "training": statistics.median(gaps),
        "checkpoint": statistics.median(saving),
        "upload": at["uploaded"] - at["trained"],
    }
    return Durations(seconds, len(gaps) + 1)


@dataclass
class Tormentor:
    """Kills a victim until the limit is reached."""

    rng: random.Random
    limit: int
    durations: Durations
    tally: Kills = field(default_factory=Kills)

    def run(self, victim: Victim, done: Callable[[], bool]) -> None:
        """Start and kill until the round is done."""
        victim.forget_downloads()
        while not done():
            if self.tally.kills < self.limit:
                self.kill(victim)
            else:
                victim.start(fresh=False).finish()
        self.tally.rounds += 1

    def kill(self, victim: Victim) -> None:
        """Kill once, in the place that was hit least of those that lie ahead."""
        done, trained, assigned = victim.progress()
        possible = ["start", "upload"] if trained else ["start", "opening and re-labeling", *PLACES[4:]]
        possible += [] if assigned else ["check-in", "download"]
        least = min(self.tally.places[place] for place in possible)
        place = self.rng.choice([place for place in possible if self.tally.places[place] == least])
        before = victim.uploads()
        running = victim.start(fresh=place == "start")
        if place == "upload":
            while running.alive() and victim.uploads() == before:
                time.sleep(0.002)
        elif place not in ("start", "check-in"):
            running.wait_for(self.beginning(place, done))
        time.sleep(self.rng.uniform(0, self.durations.seconds[place]))
        if running.kill():
            self.tally.kills += 1
            self.tally.places[place] += 1
            self.tally.resumed_from_a_checkpoint += victim.progress()[0] > 0
            if sys.stderr.isatty():
                print(f"\r{self.tally.kills} of {self.limit} kills", end="", file=sys.stderr, flush=True)

    def beginning(self, place: str, done: int) -> Callable[[dict], bool]:
        """Which event begins a place; for training and checkpoints, that of a random step among those ahead."""
        if place in BEGINS:
            return lambda event: event.get("event") == BEGINS[place]
        every = CHECKPOINT_STEPS if place == "checkpoint" else 1
        ahead = range(every * (done // every + 1), self.durations.steps, every)
        step = self.rng.choice(ahead) if ahead else self.durations.steps
        return lambda event: event.get("event") == "step" and event["step"] >= step


def survive(
    bundle: Path,
    admin: AdminClient,
    folder: Path,
    x: np.ndarray,
    y: np.ndarray,
    *,
    kills: int,
    seed: int,
    client: str = "python",
) -> Kills:
    """Kill `kills` times over as many rounds as that takes; compare what was uploaded, and what became of it."""
    started = time.monotonic()
    device = VICTIMS[client]
    calm = device(folder / "calm", new_link(admin, bundle), x, y)
    expected_model = admin.publish(bundle, task())
    tormentor = Tormentor(random.Random(seed), kills, measure(calm))
    tally = tormentor.tally
    expected, model = calm.uploaded(), _model(admin, expected_model)
    victim = device(folder / "victim", new_link(admin, bundle), x, y)
    while tally.kills < kills:
        task_id = admin.publish(bundle, task())
        tormentor.run(victim, lambda i=task_id: _committed(admin, i))
        tally.identical_updates += victim.uploaded() == expected
        tally.identical_models += _model(admin, task_id) == model
    tally.seconds = round(time.monotonic() - started, 1)
    return tally


def _committed(admin: AdminClient, task_id: str) -> bool:
    time.sleep(0.05)
    return bool(admin.get(f"/tasks/{task_id}")["committed_rounds"])


def _model(admin: AdminClient, task_id: str) -> tuple[str, int]:
    """The hash of the task's newest model and the number of updates in it."""
    while not _committed(admin, task_id):
        pass
    record = next(one for one in admin.get(f"/tasks/{task_id}/rounds") if one["updates"])
    return record["checkpoint_sha256"], record["updates"]


def main() -> None:
    """Export the small CNN, serve, kill, and report."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--client", choices=VICTIMS, default="python")
    arguments = parser.parse_args()
    from sklearn.datasets import load_digits

    from benchmarks.serving.fixture import Server
    from fedrela.export.classifier import export_classifier
    from fedrela.export.models import small_cnn

    digits = load_digits()
    x, y = (digits.images[:200] * 15.9).astype(np.uint8)[:, None], digits.target[:200]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        export_classifier(small_cnn(), input="uint8:1x8x8", classes=10, out=folder / "bundle", augment="crop,flip")
        server = Server(folder / "coordinator")
        server.start()
        try:
            bundle = folder / "bundle"
            chosen = {"kills": arguments.kills, "seed": arguments.seed, "client": arguments.client}
            tally = survive(bundle, server.operator(), folder, x, y, **chosen)
        finally:
            server.stop()
    for key, value in asdict(tally).items():
        print(f"{key:28} {value}")
    RESULTS.mkdir(exist_ok=True)
    suffix = "" if arguments.client == "python" else f"_{arguments.client}"
    (RESULTS / f"device_kills{suffix}.json").write_text(json.dumps(asdict(tally), indent=1) + "\n")
    sys.exit(tally.identical_updates != tally.rounds or tally.identical_models != tally.rounds)


if __name__ == "__main__":
    main()
