"""A phone at a task of its own, for browser tests."""

import time
from dataclasses import dataclass

from fedrela.core.task import LocalTraining, Relabel, Rounds, Task
from tests.patience import PATIENCE_SECONDS
from tests.web.browser import Recorder, Tab
from tests.web.place import Place

TASK = Task(
    "digits",
    2,
    local=LocalTraining(epochs=3, batch_size=8, hyperparameters={"lr": 0.02}),
    relabel=Relabel(enabled=False),
    round=Rounds(goal=1, smallest_cohort=1, retry_after_seconds=0.2),
)


@dataclass
class Phone:
    """A phone at a task of its own population."""

    tab: Tab
    place: Place
    recorder: Recorder
    population: str
    task_id: str

    def updates(self) -> int:
        """How many updates left the browser."""
        return sum(seen.method == "PUT" for seen in self.recorder.seen)

    def finished(self) -> bool:
        """Whether the task is done soon."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            if self.place.task(self.task_id)["status"] == "finished":
                return True
            time.sleep(0.1)
        return False
