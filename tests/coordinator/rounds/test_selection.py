"""fedrela.coordinator.rounds.selection: who is wanted."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from fedrela.coordinator.rounds import selection
from fedrela.coordinator.rounds.rules import Round
from fedrela.coordinator.rounds.selection import Candidate, Participation
from fedrela.core import bundle
from fedrela.core.task import Eligibility, Relabel, Rounds, Task
from tests.coordinator import fleet

READY = Candidate("d-1", "python 1.4.0", ("onnx 1.20.0",), (), None)
OPEN = Round(1, "collecting", 0.0)


def refusal(
    tmp_path,
    candidate: Candidate = READY,
    round_: Round = OPEN,
    requires: tuple[str, ...] = (),
    **eligibility: object,
):
    fleet.make_bundle(tmp_path)
    task = Task(
        "t",
        5,
        relabel=Relabel(enabled=False),
        round=Rounds(goal=2, smallest_cohort=2),
        eligibility=Eligibility(**eligibility),  # type: ignore[arg-type]
        requires=requires,
    )
    return selection.refusal(task, bundle.read(tmp_path).manifest, candidate, round_, 100.0)


def test_each_reason(tmp_path) -> None:
    assert refusal(tmp_path) is None
    assert refusal(tmp_path, min_client_versions={"any": "1.4"}) is None
    assert refusal(tmp_path, min_client_versions={"any": "1.4.1"}) == "version"
    assert refusal(tmp_path, max_client_versions={"any": "1.3.9"}) == "version"
    assert refusal(tmp_path, replace(READY, runtimes=("executorch 1.4.1",))) == "runtime"
    assert refusal(tmp_path, replace(READY, runtimes=("onnx 1.16.3",))) == "runtime"
    assert refusal(tmp_path, replace(READY, last_assignment_at=95.0), min_separation_seconds=10.0) == "too-soon"
    assert refusal(tmp_path, replace(READY, last_assignment_at=90.0), min_separation_seconds=10.0) is None
    assert refusal(tmp_path, replace(READY, participation=Participation(reported=True))) == "reported"
    begun = replace(OPEN, deadline_at=690.0)  # at 90
    assert refusal(tmp_path, replace(READY, participation=Participation(failed_at=95.0)), begun) == "too-soon"
    assert refusal(tmp_path, replace(READY, participation=Participation(failed_at=85.0)), begun) is None
    assert refusal(tmp_path, round_=replace(OPEN, open=2)) == "round-full"
    assert refusal(tmp_path, device_fraction=1e-9) == "not-selected"


def test_limits_are_per_client_and_any_is_for_the_others(tmp_path) -> None:
    limits = {"page": "2.0", "any": "1.5"}
    clients = {"page 1.9": "version", "page 2.0": None, "android 1.4": "version", "android 1.5": None}
    for client, reason in clients.items():
        assert refusal(tmp_path, replace(READY, client=client), min_client_versions=limits) == reason
    assert refusal(tmp_path, replace(READY, client="page 0.1"), min_client_versions={"python": "1.0"}) is None
    assert refusal(tmp_path, replace(READY, client="python 1.1"), max_client_versions={"python": "1.0"}) == "version"


def test_a_task_that_needs_more_than_a_client_can_do_answers_what_every_client_can_read(tmp_path) -> None:
    assert refusal(tmp_path, requires=("secure-rounds",)) == "version"
    able = replace(READY, features=("other", "secure-rounds"))
    assert refusal(tmp_path, able, requires=("secure-rounds",)) is None


def test_the_share_of_selected_devices_is_near_the_fraction_and_differs_between_rounds() -> None:
    first = {i for i in range(4000) if selection.share(f"d-{i}", "t", 1, 1) < 0.25}
    second = {i for i in range(4000) if selection.share(f"d-{i}", "t", 2, 1) < 0.25}
    assert 0.22 < len(first) / 4000 < 0.28
    assert 0.15 < len(first & second) / len(first) < 0.35


@given(st.floats(0, 1e9))
def test_waiting_times_have_jitter_and_never_less_than_their_base(now: float) -> None:
    task = Task("t", 5, relabel=Relabel(enabled=False), round=Rounds(retry_after_seconds=4.0))
    seconds = selection.retry_after_seconds("round-full", task, READY, now, 30.0)
    assert 4.0 <= seconds <= 4.0 * (1 + selection.JITTER)
    assert 30.0 <= selection.retry_after_seconds("finished", None, READY, now, 30.0) <= 45.0


def test_too_soon_waits_for_the_rest_of_the_separation() -> None:
    task = Task("t", 5, relabel=Relabel(enabled=False), eligibility=Eligibility(min_separation_seconds=100))
    seconds = selection.retry_after_seconds("too-soon", task, replace(READY, last_assignment_at=50.0), 90.0, 30.0)
    assert 60.0 <= seconds <= 90.0
