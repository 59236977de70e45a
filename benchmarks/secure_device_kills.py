"""Kill a device with SIGKILL in every phase of a group's session, again and again: one session, the same sum.

    python -m benchmarks.secure_device_kills --kills 100

A device (`fedrela device run --once`) is one of six in a group; the other five and the coordinator are played by the
pure functions, over HTTP. It is killed at its messages, or a random while after one, and started anew until its turn is
over. Every message that it repeated must be the same bytes, and what the sum holds of it that of a device that nobody
disturbed. Prints a table and writes benchmarks/results/secure_device_kills.json. May import every package.
"""

import argparse
import json
import random
import signal
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from benchmarks.processes.device_victim import Victim
from fedrela.core.bundle import Bundle
from fedrela.core.task import Task
from fedrela.edge.training.examples import Examples
from tests.edge.secure.group_coordinator import GroupCoordinator

RESULTS = Path(__file__).parent / "results" / "secure_device_kills.json"
MESSAGES = ("secure/keys", "secure/shares", "update", "secure/agreement", "secure/reveal")
LONGEST_DELAY_SECONDS = 0.03


@dataclass(frozen=True)
class Instant:
    """A message that comes, "before" it is carried out (it is lost then) or "after"; and how long after that."""

    message: str
    when: str
    delay_seconds: float = 0.0


@dataclass
class Tally:
    """What happened. `sessions`: with how many keys the turns were begun, one each if all is well. `places`: kills by
    the message that came.
    """

    kills: int = 0
    turns: int = 0
    sessions: int = 0
    identical_sums: int = 0
    repeated_messages: int = 0
    changed_messages: int = 0
    places: dict[str, int] = field(default_factory=lambda: dict.fromkeys(MESSAGES, 0))
    seconds: float = 0.0


def every_instant() -> list[Instant]:
    """Each message, lost and carried out."""
    return [Instant(message, when) for message in MESSAGES for when in ("before", "after")]


def random_instants(rng: random.Random) -> list[Instant]:
    """The same, in the order of a turn, each a random while later."""
    return [Instant(one.message, one.when, rng.uniform(0, LONGEST_DELAY_SECONDS)) for one in every_instant()]


def survive(
    bundle: Bundle, task: Task, folder: Path, examples: Examples, instants: Iterable[Instant], tally: Tally
) -> None:
    """One turn of a device that is killed at these instants, which are in the order of a turn; counted in `tally`."""
    began = time.monotonic()
    with GroupCoordinator(bundle, task) as calm:
        assert calm.device(examples).run_once().kind == "uploaded"
    with GroupCoordinator(bundle, task) as coordinator:
        victim = Victim(folder, coordinator.link(), examples.x["x"], examples.y)
        _run(coordinator, victim, deque(instants), tally)
    sent = [coordinator.sent("/" + message) for message in MESSAGES]
    tally.turns += 1
    tally.sessions += len(set(sent[0]))
    tally.repeated_messages += sum(len(bodies) - 1 for bodies in sent)
    tally.changed_messages += sum(len(set(bodies)) - 1 for bodies in sent)
    tally.identical_sums += [own.tolist() for own in coordinator.own_vectors] == [calm.own_vectors[0].tolist()]
    tally.seconds = round(tally.seconds + time.monotonic() - began, 1)


def _run(coordinator: GroupCoordinator, victim: Victim, ahead: deque[Instant], tally: Tally) -> None:
    starting = threading.Lock()  # a process may be heard of before whoever started it knows it

    def kill(message: str, when: str) -> None:
        if not ahead or (ahead[0].message, ahead[0].when) != (message, when):
            return
        instant = ahead.popleft()
        with starting:
            doomed = running
        if instant.delay_seconds:
            threading.Timer(instant.delay_seconds, doomed.kill_meanwhile).start()
        else:
            doomed.kill_meanwhile()
        tally.places[message] += 1
        if when == "before":
            raise ConnectionAbortedError

    coordinator.on_request = kill
    with starting:
        running = victim.start(fresh=False)
    while True:
        tally.kills += running.ended() == -signal.SIGKILL
        if not victim.progress()[2]:
            return
        with starting:
            running = victim.start(fresh=False)


def main() -> None:
    """Kill as often as was asked for, and report."""
    from tests.edge import softmax_bundle
    from tests.edge.conftest import some_examples
    from tests.edge.secure.conftest import secure_task

    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rng, tally = random.Random(arguments.seed), Tally()
    with tempfile.TemporaryDirectory() as name:
        bundle = softmax_bundle.write(Path(name) / "bundle")
        while tally.kills < arguments.kills:
            folder = Path(name) / f"victim-{tally.turns}"
            survive(bundle, secure_task(rounds=1), folder, some_examples(40), random_instants(rng), tally)
    for key, value in asdict(tally).items():
        print(f"{key:20} {value}")
    RESULTS.write_text(json.dumps(asdict(tally), indent=1) + "\n")
    sys.exit(tally.identical_sums != tally.turns or tally.sessions != tally.turns or tally.changed_messages != 0)


if __name__ == "__main__":
    main()
