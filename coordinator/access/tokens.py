"""Enrollment tokens: limited in number and time, revocable, and part of a link that says whose keys to believe."""

import re
from dataclasses import dataclass

import sqlalchemy as sa

from fedrela.coordinator.access import auth
from fedrela.coordinator.context import Coordinator, parse_seal
from fedrela.coordinator.storage import rows, schema
from fedrela.core import signing
from fedrela.core.errors import InvalidMessage
from fedrela.core.protocol import links

_POPULATION = re.compile(r"[A-Za-z0-9._-]{1,100}")
_FINGERPRINT = re.compile(links.FINGERPRINT)
MAX_USES = 10_000_000
MAX_TOKEN_SECONDS = 10 * 366 * 86400.0


@dataclass(frozen=True)
class NewToken:
    """An enrollment token as its maker sees it: the only time that the secret is shown.

    `fragment` is what follows the `#` of its link: the secret, and the fingerprints that a device pins.
    """

    token_id: str
    enrollment_token: str
    population: str
    max_uses: int
    expires_at: float
    fragment: str


def create_token(
    coordinator: Coordinator,
    population: str,
    max_uses: int,
    valid_seconds: float,
    now: float,
    publishers: tuple[str, ...] = (),
) -> NewToken:
    """A token that enrolls at most `max_uses` devices within `valid_seconds`.

    `publishers`: fingerprints of the keys whose programs these devices will run; without them, `default_publishers`.
    """
    _check(population, max_uses, valid_seconds, publishers)
    secret, token_id = auth.new_token(), auth.new_id("e")
    with coordinator.store.write() as tx:
        publishers = publishers or default_publishers(tx, population)
        tx.execute(
            sa.insert(schema.tokens).values(
                id=token_id,
                token_hash=auth.hash_token(secret),
                population=population,
                max_uses=max_uses,
                uses=0,
                created_at=now,
                expires_at=now + valid_seconds,
                publishers=" ".join(publishers),
            )
        )
    fragment = links.fragment(secret, signing.fingerprint(coordinator.settings.public_key), publishers)
    return NewToken(token_id, secret, population, max_uses, now + valid_seconds, fragment)


def default_publishers(view: sa.Connection, population: str) -> tuple[str, ...]:
    """The publishers that a link of this population names where its maker names none: those of its unfinished tasks.

    Raises InvalidMessage where there is none.
    """
    table = schema.tasks
    unfinished = sa.and_(table.c.population == population, table.c.status.in_(("running", "paused")))
    stored = view.scalars(sa.select(table.c.seal_json).where(unfinished).order_by(table.c.created_at, table.c.id))
    publishers = dict.fromkeys(parse_seal(seal_json).publisher() for seal_json in stored)
    if not publishers:
        raise InvalidMessage(
            "the link would name nobody whose programs its devices run",
            remedy="publish a task first, or name the publisher's fingerprint (`fedrela token create --publisher`)",
        )
    return tuple(publishers)[: links.MOST_PUBLISHERS]


def _check(population: str, max_uses: int, valid_seconds: float, publishers: tuple[str, ...]) -> None:
    if not _POPULATION.fullmatch(population):
        raise InvalidMessage(
            f"the population is {population[:40]!r}", remedy="use 1 to 100 letters, digits, '-', '_' and '.'"
        )
    if not 1 <= max_uses <= MAX_USES:
        raise InvalidMessage(f"max_uses is {max_uses}", remedy=f"use 1 to {MAX_USES}")
    if not 0 < valid_seconds <= MAX_TOKEN_SECONDS:
        raise InvalidMessage(f"valid_seconds is {valid_seconds}", remedy="use a time of at most ten years")
    if len(publishers) > links.MOST_PUBLISHERS or not all(_FINGERPRINT.fullmatch(one) for one in publishers):
        raise InvalidMessage(
            "a publisher is no fingerprint, or there are too many",
            remedy=f"name at most {links.MOST_PUBLISHERS}, each with 32 lower-case hexadecimal digits",
        )


def revoke_token(coordinator: Coordinator, token_id: str, now: float) -> None:
    """No more devices by this token; those enrolled stay. Revoking twice is no fault."""
    with coordinator.store.write() as tx:
        known = tx.execute(
            sa.update(schema.tokens)
            .where(schema.tokens.c.id == token_id)
            .values(revoked_at=sa.func.coalesce(schema.tokens.c.revoked_at, now))
        )
        if known.rowcount == 0:
            raise rows.not_found("token")
