"""Work beside: what comes back, what happens where it can't be done there, and that nothing of it is left."""

import os
import time
from collections.abc import Callable

import psutil
import pytest
import torch

from fedrela.export.verification import beside as module
from fedrela.export.verification.beside import Beside

HERE = os.getpid()


def elsewhere() -> bool:
    """Whether this is the other process."""
    return os.getpid() != HERE


def test_the_work_is_done_by_another_process_with_one_thread() -> None:
    with Beside(lambda: (os.getpid(), torch.get_num_threads()), fork=True) as beside:
        process, threads = beside.result()
    assert process != HERE
    assert threads == 1


def test_without_a_fork_it_is_done_here() -> None:
    with Beside(elsewhere, fork=False) as beside:
        assert beside.result() is False


def test_gradients_are_the_same_bits_there_and_here() -> None:
    def gradient() -> bytes:
        weight = torch.linspace(-1, 1, 512 * 512).reshape(512, 512).requires_grad_()
        (weight @ weight).tanh().sum().backward()
        assert weight.grad is not None
        return weight.grad.numpy().tobytes()

    with Beside(gradient, fork=True) as there, Beside(gradient, fork=False) as here:
        assert there.result() == here.result()


def test_here_it_is_done_with_one_thread_unless_all_are_asked_for() -> None:
    before = torch.get_num_threads()
    with (
        Beside(torch.get_num_threads, fork=False) as one,
        Beside(torch.get_num_threads, False, all_threads=True) as all_,
    ):
        assert (one.result(), all_.result(), torch.get_num_threads()) == (1, before, before)


def _fails() -> None:
    raise ValueError("in the work")


def test_what_it_raises_is_raised_here() -> None:
    with Beside(_fails, fork=True) as beside, pytest.raises(ValueError, match="in the work"):
        beside.result()


@pytest.mark.parametrize(
    "ending",
    [lambda: os._exit(3), lambda: os.kill(os.getpid(), 9), lambda: None],
    ids=["it ends", "it is killed", "what it gives can't be sent"],
)
def test_where_the_process_gives_nothing_the_work_is_done_here(ending: Callable[[], None]) -> None:
    def work() -> Callable[[], int]:
        if elsewhere():
            ending()
        return lambda: 7  # no pipe takes it

    with Beside(work, fork=True) as beside:
        assert beside.result()() == 7


def test_a_process_that_does_nothing_any_more_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.2)
    with Beside(lambda: time.sleep(600 if elsewhere() else 0), fork=True) as beside:
        assert beside.result() is None


def test_no_process_is_left_of_work_that_nobody_waits_for() -> None:
    before = set(psutil.Process().children())
    with Beside(lambda: time.sleep(600), fork=True):
        assert set(psutil.Process().children()) - before
    assert set(psutil.Process().children()) <= before
