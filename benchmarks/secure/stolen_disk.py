"""What a thief makes of a coordinator's data folder: each device's masked words, and what was revealed of their pads.

Reads the copied files alone, as somebody would who has nothing else: SQLite's tables and the blobs.
"""

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from fedrela.core import strict
from fedrela.core.secure import masked_body, pads, unmasking
from fedrela.core.secure.group import Group
from fedrela.core.secure.messages import MaskedProof, Roster, RosterMember, SecureKeys, SecureReveal, SecureShares
from fedrela.core.secure.pads import Words

DATABASE = "coordinator.sqlite"
_GROUPS = "SELECT id, session, threshold FROM secure_groups WHERE phase = 'summing' ORDER BY id"
_MEMBERS = "SELECT * FROM secure_members WHERE group_id = ? ORDER BY member_index"
_UPDATES = "SELECT id, update_sha256 FROM assignments WHERE update_sha256 IS NOT NULL"


@dataclass(frozen=True)
class StolenGroup:
    """A group whose bodies and answers are all there. `words`: by member; `texts`: all that its row says, by member."""

    group: Group
    words: Mapping[int, Words]
    texts: Mapping[int, bytes]

    def assignment_id(self, index: int) -> str:
        """A member's."""
        return self.group.roster.member(index).assignment_id


def read(folder: Path, size: int) -> list[StolenGroup]:
    """Every group that waits for its sum; vectors have `size` words."""
    groups = []
    with closing(sqlite3.connect(folder / DATABASE)) as database:
        database.row_factory = sqlite3.Row
        bodies = {row["id"]: f"{row['id']}.{row['update_sha256']}" for row in database.execute(_UPDATES)}
        for row in database.execute(_GROUPS).fetchall():
            members = database.execute(_MEMBERS, (row["id"],)).fetchall()
            group = _group(row, members)
            names = {index: bodies[group.roster.member(index).assignment_id] for index in group.survivors}
            words = {index: _words(folder / "blobs" / "private" / name, size) for index, name in names.items()}
            texts = {one["member_index"]: "\n".join(map(str, tuple(one))).encode() for one in members}
            groups.append(StolenGroup(group, words, texts))
    return groups


def own_pads_off(stolen: StolenGroup) -> StolenGroup:
    """With what members revealed: each survivor's own pad, and the pads of pairs with members that vanished."""
    session = bytes.fromhex(stolen.group.session)
    opened = unmasking.open_secrets(stolen.group)
    left = {index: words.copy() for index, words in stolen.words.items()}
    for index, seed in opened.own_seeds.items():
        pads.remove_own(left[index], seed, session)
        _pairs_off(stolen, left[index], index, opened.mask_keys)
    return replace(stolen, words=left)


def colluding(stolen: StolenGroup, mask_keys: Mapping[int, bytes], count: int) -> StolenGroup:
    """With the private mask keys of `count` members beside: of each body, the pads of its pairs with the next ones go.

    Every member is attacked, by others each: `mask_keys` are all survivors'.
    """
    left = {index: words.copy() for index, words in stolen.words.items()}
    survivors = stolen.group.survivors
    for at, index in enumerate(survivors):
        chosen = [survivors[(at + step) % len(survivors)] for step in range(1, count + 1)]
        _pairs_off(stolen, left[index], index, {other: mask_keys[other] for other in chosen})
    return replace(stolen, words=left)


def _pairs_off(stolen: StolenGroup, words: Words, index: int, mask_keys: Mapping[int, bytes]) -> None:
    """Take the pads of a member's pairs with those whose private keys these are off its words, in place."""
    public_key = bytes.fromhex(stolen.group.roster.member(index).keys.mask_key)
    for other, mask_key in mask_keys.items():
        pads.remove_pairs(words, other, mask_key, {index: public_key}, bytes.fromhex(stolen.group.session))


def _group(row: sqlite3.Row, members: list[sqlite3.Row]) -> Group:
    roster = tuple(
        RosterMember(
            one["member_index"],
            one["assignment_id"],
            one["identity_key"],
            SecureKeys(one["mask_key"], one["seal_key"], one["keys_signature"]),
        )
        for one in members
    )
    sent = {name: {one["member_index"]: one for one in members if one[name]} for name in ("sealed", "proof", "reveal")}
    return Group(
        Roster(row["threshold"], roster),
        row["session"],
        "summing",
        {index: SecureShares(row["session"], one["commitment"], ()) for index, one in sent["sealed"].items()},
        {index: strict.from_json(MaskedProof, one["proof"]) for index, one in sent["proof"].items()},
        reveals={index: strict.from_json(SecureReveal, one["reveal"]) for index, one in sent["reveal"].items()},
    )


def _words(path: Path, size: int) -> Words:
    return np.array(masked_body.from_bytes(path.read_bytes(), size)[0])
