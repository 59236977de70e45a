"""The sum of the survivors' vectors, from their masked words and what members revealed; and who lied.

Integers give the same bits in whatever order, so a worker that was killed starts over.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedrela.core import streams
from fedrela.core.errors import IntegrityError
from fedrela.core.secure import ciphers, pads, shamir, statements
from fedrela.core.secure.group import Group
from fedrela.core.secure.pads import Words

MOST_SUBSETS = 200  # of the answers that are tried for one secret


@dataclass(frozen=True)
class Opened:
    """Secrets that were rebuilt, by whose they are.

    `disagreements`: (whose secret, who answered) where an answer doesn't fit the rebuilt secret. One who answered
    wrongly is in many of them; one whose shares were wrong from the beginning is the first of many.
    """

    own_seeds: Mapping[int, bytes]
    mask_keys: Mapping[int, bytes]
    disagreements: frozenset[tuple[int, int]] = frozenset()


def open_secrets(group: Group) -> Opened:
    """Every survivor's own seed, checked against its commitment; every vanished sender's mask key, against the roster.

    Raises IntegrityError naming the member whose secret can't be rebuilt from these answers: more may come, else
    the group has failed.
    """
    session = bytes.fromhex(group.session)
    disagreements: set[tuple[int, int]] = set()

    def rebuilt(member: int, answers: Mapping[int, bytes], is_right: Callable[[bytes], bool]) -> bytes:
        secret, subset = _rebuild(member, answers, group.roster.threshold, is_right, session)
        shares = {index: answers[index] for index in subset}
        disagreements.update((member, index) for index in answers if shamir.combine(shares, at=index) != answers[index])
        return secret

    def is_own_seed(member: int) -> Callable[[bytes], bool]:
        return lambda seed: statements.commitment(session, seed) == group.shares[member].commitment

    def is_mask_key(member: int) -> Callable[[bytes], bool]:
        return lambda key: ciphers.public_key(key).hex() == group.roster.member(member).keys.mask_key

    own_seeds = {one: rebuilt(one, _answers(group, one, "own"), is_own_seed(one)) for one in group.survivors}
    mask_keys = {one: rebuilt(one, _answers(group, one, "pair"), is_mask_key(one)) for one in group.vanished}
    return Opened(own_seeds, mask_keys, frozenset(disagreements))


def unmask(masked: Iterable[Words], group: Group, opened: Opened) -> NDArray[np.int32]:
    """The sum (d,) of the survivors' vectors. `masked`: their words, one after the other, in any order.

    O(d) memory beyond one of them.
    """
    words = iter(masked)
    total = next(words).copy()
    for one in words:
        total += one
    session = bytes.fromhex(group.session)
    for seed in opened.own_seeds.values():
        pads.remove_own(total, seed, session)
    survivors = group.roster.mask_keys(group.survivors)
    for index, mask_key in opened.mask_keys.items():
        pads.remove_pairs(total, index, mask_key, survivors, session)
    return total.view(np.int32)


def _answers(group: Group, member: int, kind: str) -> dict[int, bytes]:
    """The shares of one member's secret that others revealed, by who did."""
    return {
        index: bytes.fromhex(one.share)
        for index, reveal in sorted(group.reveals.items())
        for one in (reveal.own if kind == "own" else reveal.pair)
        if one.index == member
    }


def _rebuild(
    member: int, answers: Mapping[int, bytes], threshold: int, is_right: Callable[[bytes], bool], session: bytes
) -> tuple[bytes, tuple[int, ...]]:
    """The secret, and the answers that give it."""
    for subset in _subsets(tuple(answers), threshold, session):
        secret = shamir.combine({index: answers[index] for index in subset})
        if is_right(secret):
            return secret, subset
    raise IntegrityError(
        f"the secret of member {member} can't be rebuilt from {len(answers)} answers",
        remedy="wait for more answers, else give the group up",
    )


def _subsets(indices: tuple[int, ...], size: int, session: bytes) -> Iterator[tuple[int, ...]]:
    """So many of the answers, in ever new choices: the first ones, then without each in turn, then at random.

    The same answers of the same session give the same choices.
    """
    if len(indices) < size:
        return
    yield indices[:size]
    if len(indices) == size:
        return
    doubled = indices + indices
    yield from (doubled[start : start + size] for start in range(1, len(indices)))
    for attempt in range(MOST_SUBSETS - len(indices)):
        order = streams.permutation(streams.derive(session, "answers", attempt), len(indices))
        yield tuple(indices[at] for at in order[:size])
