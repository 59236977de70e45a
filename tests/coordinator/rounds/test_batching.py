"""Calls that come together are done together, and one that is at fault fails alone."""

import asyncio
import threading
from collections.abc import Callable

import pytest

from fedrela.coordinator.rounds.batching import LARGEST, Batches
from fedrela.core.errors import FedRelaError, InvalidMessage, Unavailable


def all_at_once(
    work: Callable[[list[int]], list[int | FedRelaError]], numbers: range, *, threaded: bool = True
) -> list[int | BaseException]:
    """The answers of calls that all wait before the first batch begins."""
    may_begin = threading.Event()

    def held(arguments: list[int]) -> list[int | FedRelaError]:
        may_begin.wait()
        return work(arguments)

    async def ask() -> list[int | BaseException]:
        asked = [asyncio.ensure_future(batches(number)) for number in numbers]
        await asyncio.sleep(0)  # every call is in the queue now
        may_begin.set()
        return await asyncio.gather(*asked, return_exceptions=True)

    batches: Batches[int, int] = Batches("test", held, threaded=threaded)
    answers = asyncio.run(ask())
    batches.stop()
    return answers


@pytest.mark.parametrize("threaded", [True, False])
def test_what_waits_is_done_in_few_batches_of_bounded_size(threaded: bool) -> None:
    sizes: list[int] = []

    def work(numbers: list[int]) -> list[int | FedRelaError]:
        sizes.append(len(numbers))
        return [number * number for number in numbers]

    assert all_at_once(work, range(200), threaded=threaded) == [number * number for number in range(200)]
    assert max(sizes) <= LARGEST
    assert len(sizes) <= 5  # the first may have begun with one call


def test_a_refusal_is_one_call_s_own() -> None:
    def work(numbers: list[int]) -> list[int | FedRelaError]:
        return [InvalidMessage("odd", remedy="send even numbers") if number % 2 else number for number in numbers]

    answers = all_at_once(work, range(6))
    assert answers[::2] == [0, 2, 4]
    assert all(isinstance(answer, InvalidMessage) for answer in answers[1::2])


@pytest.mark.parametrize("threaded", [True, False])
def test_a_call_that_breaks_its_batch_breaks_only_itself(threaded: bool) -> None:
    def work(numbers: list[int]) -> list[int | FedRelaError]:
        if 3 in numbers:
            raise ZeroDivisionError
        return list(numbers)

    answers = all_at_once(work, range(6), threaded=threaded)
    assert [answer for answer in answers if isinstance(answer, int)] == [0, 1, 2, 4, 5]
    assert isinstance(answers[3], ZeroDivisionError)


def test_where_nothing_can_be_done_now_it_is_not_tried_one_by_one() -> None:
    tried: list[int] = []

    def work(numbers: list[int]) -> list[int | FedRelaError]:
        tried.append(len(numbers))
        raise Unavailable("the database is locked", remedy="wait")

    answers = all_at_once(work, range(50))
    assert all(isinstance(answer, Unavailable) for answer in answers)
    assert len(tried) <= 2


def test_stopping_answers_what_still_waits() -> None:
    async def ask() -> list[int]:
        asked = [asyncio.ensure_future(batches(number)) for number in range(10)]
        await asyncio.sleep(0)
        await asyncio.to_thread(batches.stop)
        return await asyncio.gather(*asked)

    batches: Batches[int, int] = Batches("test", list)
    assert asyncio.run(ask()) == list(range(10))


@pytest.mark.parametrize("cancelled", [0, 1])
def test_a_caller_that_went_away_disturbs_nobody(cancelled: int) -> None:
    async def ask() -> int:
        asked = [asyncio.ensure_future(batches(number)) for number in range(2)]
        await asyncio.sleep(0)
        asked[cancelled].cancel()
        return await asked[1 - cancelled]

    batches: Batches[int, int] = Batches("test", list)
    assert asyncio.run(ask()) == 1 - cancelled
    batches.stop()
