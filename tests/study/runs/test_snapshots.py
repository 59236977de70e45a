"""A task that is killed goes on from its last round, to the bit as if it had not been: weights, overlays and counts."""

import dataclasses
import json
import threading
import time

import pytest

from fedrela.conformance.files import ROUNDS_BUNDLE
from fedrela.core import bundle, signing, tensors
from fedrela.core.task import Aggregation, LocalTraining, Relabel, Rounds, Task
from fedrela.emulator.data.shards import deal
from fedrela.study.runs import fleet
from fedrela.study.runs.pause import LOOK_SECONDS, Pause
from fedrela.study.runs.snapshots import Progress, Snapshots
from tests.patience import PATIENCE_SECONDS
from tests.study.runs.test_fleet import TWO, digits_like

# Devices re-label in round 2 and keep those labels; the server remembers a momentum, and devices what top-k left out.
TASK = Task(
    "t",
    rounds=4,
    local=LocalTraining(epochs=1),
    relabel=Relabel(start=2, threshold_percent=40),
    round=Rounds(goal=2, minimum=2, smallest_cohort=2),
    aggregation=Aggregation(server_optimizer="fedavgm", encoding="top-k"),
)


class Killed(BaseException):
    """Stands in for the end of the process: nothing that runs may catch it."""


def trained(snapshots=None, *, killed_in=0, told=None):
    def committed(number):
        if told is not None:
            told.append(number)
        if number == killed_in:
            raise Killed

    opened = bundle.read(ROUNDS_BUNDLE)
    return fleet.train(opened, TASK, deal(TWO, digits_like()), digits_like(), frozenset({1, 4}), committed, snapshots)


def summary(result):
    hashes = {number: signing.sha256(tensors.to_bytes(weights)) for number, weights in result.weights.items()}
    return hashes, dataclasses.replace(result.progress, task_id="", seconds=0.0)


@pytest.fixture(scope="module")
def whole():
    return summary(trained())


def test_killed_in_every_round_it_ends_as_if_it_had_not_been(tmp_path, whole):
    snapshots = Snapshots(tmp_path / "running", every_seconds=0.0)
    told = []
    for number in (2, 3, 4):
        with pytest.raises(Killed):
            trained(snapshots, killed_in=number, told=told)
        assert snapshots.newest().round == number - 1
    assert summary(trained(snapshots, told=told)) == whole
    assert told == [1, 2, 2, 3, 3, 4, 4], "a round that was saved is not told again"


def test_a_snapshot_that_was_not_finished_counts_for_nothing(tmp_path, whole):
    snapshots = Snapshots(tmp_path / "running", every_seconds=0.0)
    with pytest.raises(Killed):
        trained(snapshots, killed_in=3)
    (tmp_path / "running" / "part").mkdir()
    (tmp_path / "running" / "1").mkdir()  # the one before, of which some is left
    (tmp_path / "running" / "files" / "torn.part").write_bytes(b"half")
    assert snapshots.newest().round == 2
    assert summary(trained(snapshots)) == whole


def test_there_is_one_snapshot_at_a_time_and_none_after_the_task(tmp_path):
    snapshots = Snapshots(tmp_path / "running", every_seconds=0.0)
    assert snapshots.newest() is None
    trained(snapshots)
    assert [path.name for path in (tmp_path / "running").iterdir() if path.name.isdigit()] == ["3"]
    snapshots.discard()
    assert not (tmp_path / "running").exists()
    assert snapshots.newest() is None


def test_progress_is_plain_json(tmp_path):
    snapshots = Snapshots(tmp_path / "running", every_seconds=0.0)
    with pytest.raises(Killed):
        trained(snapshots, killed_in=2)
    written = json.loads((tmp_path / "running" / "1" / "progress.json").read_text())
    assert set(written) == {field.name for field in dataclasses.fields(Progress)}
    assert written["updates"] == 2


def test_a_pause_lasts_as_long_as_its_file(tmp_path):
    file = tmp_path / "measuring"
    pause = Pause(file)
    pause.wait()
    assert pause.seconds == 0
    file.touch()
    waiting = threading.Thread(target=pause.wait)
    waiting.start()
    time.sleep(2 * LOOK_SECONDS)
    assert waiting.is_alive()
    file.unlink()
    waiting.join(timeout=PATIENCE_SECONDS)
    assert not waiting.is_alive()
    assert pause.seconds > LOOK_SECONDS
    Pause(None).wait()
