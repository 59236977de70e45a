"""Whole fleets: the same scenario is the same run, whoever computes it and wherever."""

from contextlib import suppress

import psutil
import pytest

from fedrela.emulator.workers.background import BackgroundThread
from fedrela.emulator.workers.ray_workers import RayWorkers
from tests.emulator.small_fleet import logs


def test_workers_and_transport_change_nothing(emulate):
    one = emulate(in_process=True, task={"population": "worker0"})
    one.assert_no_failures()
    one.assert_learned(points=10)
    assert len(one.rounds) == 5
    assert sum(event["event"] == "update" for event in one.events) == 20
    for workers in (1, 2):  # as long as "worker0": messages have the same size
        other = emulate(in_process=False, workers=workers, task={"population": f"worker{workers}"})
        assert other.final_sha256 == one.final_sha256
        assert logs(other) == logs(one)


@pytest.mark.parametrize(("states_bytes", "most"), [(64_000_000, 8), (1, 2)])
def test_background_training_changes_nothing_and_few_devices_train_at_once(emulate, monkeypatch, states_bytes, most):
    monkeypatch.setattr("fedrela.emulator.devices.shared_context._TRAINING_STATES_BYTES", states_bytes)
    monkeypatch.setattr("fedrela.emulator.workers.background.worthwhile", lambda: False)
    one = emulate(in_process=True)
    under_way, begin = [], BackgroundThread.begin

    def counted(background, work, ended):
        begin(background, work, ended)
        under_way.append(background.under_way)

    monkeypatch.setattr(BackgroundThread, "begin", counted)
    monkeypatch.setattr("fedrela.emulator.workers.background.worthwhile", lambda: True)
    other = emulate(in_process=True)
    assert other.final_sha256 == one.final_sha256
    assert logs(other) == logs(one)
    assert len(under_way) > 20  # at least a step of each of 20 updates
    assert max(under_way) <= most


def listening():
    """Where the programs that this process has started listen."""
    for program in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            yield from (socket.laddr.ip for socket in program.net_connections("tcp") if socket.status == "LISTEN")


def test_workers_on_a_ray_cluster_change_nothing_and_listen_only_here(emulate, monkeypatch):
    ray = pytest.importorskip("ray")
    addresses, leave = set(), RayWorkers.__exit__

    def look(workers, *error):
        addresses.update(listening())
        leave(workers, *error)

    monkeypatch.setattr(RayWorkers, "__exit__", look)
    one = emulate(task={"population": "desktop"})
    other = emulate(in_process=False, engine="ray", workers=2, task={"population": "cluster"})
    assert other.final_sha256 == one.final_sha256
    assert logs(other) == logs(one)
    assert not ray.is_initialized()  # the cluster was started for the run, and ended with it
    assert addresses
    assert addresses <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}


def test_another_seed_is_another_run(emulate):
    first, second = emulate(seed=1), emulate(seed=2)
    assert first.final_sha256 != second.final_sha256
