"""Workers on a Ray cluster: on this machine, and the remedy where Ray isn't installed."""

import sys

import pytest

from fedrela.core.errors import MissingDependency, Unavailable
from fedrela.emulator.fleet.messages import Grant, Stop, Wake
from fedrela.emulator.workers.ray_workers import QueueConnection, RayWorkers


def test_a_line_of_queues_keeps_order_and_peeks_without_taking():
    line = QueueConnection()
    assert not line.poll()
    assert not line.poll(0.01)
    for message in (Wake(1, 0, 0.0), Grant(1), Stop()):
        line.inbox.put(message)
    assert line.poll()
    assert line.poll(None)
    assert [line.recv() for _ in range(3)] == [Wake(1, 0, 0.0), Grant(1), Stop()]


def test_without_ray_the_remedy_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingDependency, match=r"fedrela\[ray\]"):
        RayWorkers(1, lambda run_native: None)


def test_a_cluster_that_is_not_there_is_named():
    pytest.importorskip("ray")
    with pytest.raises(Unavailable, match="ray start"):
        RayWorkers(1, lambda run_native: None, address="no-such-scheme")
