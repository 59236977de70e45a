"""What a coordinator says of itself to devices: its epoch, and how it came by its key.

Both change only while it does not run (`fedrela coordinator new-epoch`, `fedrela key rotate`), so each process reads
them once, when it starts.
"""

from dataclasses import dataclass

import sqlalchemy as sa

from fedrela.coordinator.storage import schema
from fedrela.core import signing
from fedrela.core.protocol import key_chain
from fedrela.core.protocol.key_chain import KeyChain, KeyRotation


@dataclass(frozen=True)
class Standing:
    """The epoch, counted from 1, and the rotations that led to the present key."""

    epoch: int
    keys: KeyChain

    def fingerprints(self, public_key: str) -> set[str]:
        """Of the present key and of all that it follows: what links of any age name."""
        former = {signing.fingerprint(rotation.former_key) for rotation in self.keys.rotations}
        return {signing.fingerprint(public_key), *former}


def load(view: sa.Connection, public_key: str) -> Standing:
    """As the database has it; the chain is the one that ends with `public_key`, whatever else was begun."""
    epoch = int(view.scalar(sa.select(schema.epoch.c.number)) or 1)
    table = schema.key_rotations
    following = {
        row.public_key: KeyRotation(row.former_key, row.public_key, row.signature)
        for row in view.execute(sa.select(table).order_by(table.c.number))
    }
    rotations: list[KeyRotation] = []
    while public_key in following and len(rotations) < key_chain.LONGEST:
        rotations.insert(0, following[public_key])
        public_key = rotations[0].former_key
    return Standing(epoch, KeyChain(tuple(rotations)))


def begin_epoch(tx: sa.Connection) -> int:
    """The next epoch: from now on devices accept rounds that are older than what they have seen. Returns its number."""
    tx.execute(sa.update(schema.epoch).values(number=schema.epoch.c.number + 1))
    return int(tx.scalar(sa.select(schema.epoch.c.number)) or 1)


def add_rotation(tx: sa.Connection, rotation: KeyRotation, now: float) -> None:
    """Keep a statement for devices that pinned the former key."""
    tx.execute(
        sa.insert(schema.key_rotations).values(
            former_key=rotation.former_key,
            public_key=rotation.public_key,
            signature=rotation.signature,
            rotated_at=now,
        )
    )
