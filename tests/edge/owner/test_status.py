"""What `fedrela device status` says at each stage."""

from fedrela.core.wire import Assignment
from fedrela.edge.conditions.eligibility import Conditions
from fedrela.edge.owner.status import describe, render
from fedrela.edge.storage import state
from fedrela.edge.storage.state import HeldAssignment, Identity
from fedrela.edge.storage.store import MemoryStore


def test_before_enrollment_there_is_nothing() -> None:
    status = describe(MemoryStore(), "/s", Conditions())
    assert (status["enrolled"], status["coordinator"], status["turn"], status["last"]) == (False, None, None, {})
    assert status["assignment"] is None
    assert "enrolled         no" in render(status)
    assert "conditions       none" in render(status)
    assert "None" not in render(status)


def test_an_assignment_under_way_is_shown_and_no_secret() -> None:
    store = MemoryStore()
    state.save_identity(store, Identity("http://c", "d-1", "the-token", "key", "p", "private", "5e" * 32))
    state.save_assignment(
        store, HeldAssignment(Assignment("a", "t-1", 3, "1" * 64, "2" * 64, "3" * 64, 4, 100.0, 30.0, "upload"), 1000.0)
    )
    shown = render(describe(store, "/s", Conditions(cpu_celsius=51.0)))
    assert "task_id t-1, round 3, trained no" in shown
    assert shown.count("t-1") == 1
    assert "cpu_celsius 51.0" in shown
    status = describe(store, "/s", Conditions())
    assert status["assignment"] == status["turn"]  # its name in version 0.1
    assert (status["assignment"]["task_id"], status["assignment"]["round"]) == ("t-1", 3)
    store.put("assignment/update", b"body")
    assert "trained yes" in render(describe(store, "/s", Conditions()))
    state.save_status(store, outcome="waiting", at=1795981451.5)
    told = describe(store, "/s", Conditions())
    assert told["last"]["at"] == 1795981451.5  # for programs
    assert "at 2026-11-2" in render(told)
    for secret in ("the-token", "private", "5e5e", "upload"):
        assert secret not in shown


def test_of_how_the_last_one_ended_nothing_empty_is_shown() -> None:
    store = MemoryStore()
    state.save_status(store, at=1795981451.5, outcome="stopped", reason="", round=0, uploads_since_start=0)
    (last,) = (line for line in render(describe(store, "/s", Conditions())).splitlines() if line.startswith("last"))
    assert last.endswith(", outcome stopped, uploads_since_start 0")
    state.save_status(store, at=1795981451.5, outcome="waiting", reason="no-task", round=3, uploads_since_start=2)
    assert "outcome waiting, reason no-task, round 3, uploads" in render(describe(store, "/s", Conditions()))
