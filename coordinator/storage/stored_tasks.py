"""Tasks that version 0.1 wrote: in its own words, where they would now be read as others, and without a publisher.

    rewrite(database, blobs)     # once, when a coordinator opens its store
    seal(database, signing_key)

A device that is at work on such a task keeps its assignment; the next one names the new body.
"""

import json

import sqlalchemy as sa

from fedrela.coordinator.storage import blobs as blob_store
from fedrela.coordinator.storage import schema
from fedrela.coordinator.storage.blobs import Blobs
from fedrela.coordinator.storage.store import Database
from fedrela.core import signing, strict
from fedrela.core.errors import InvalidTask
from fedrela.core.protocol import seals, task_json
from fedrela.core.protocol.limits import SAFE_WHOLE
from fedrela.core.task import Eligibility, Task


def rewrite(database: Database, blobs: Blobs) -> int:
    """Give every unfinished task whose words have changed a body that today's clients read; return how many had one."""
    table = schema.tasks
    with database.read() as view:
        query = sa.select(table.c.id, table.c.task_json, table.c.task_sha256)
        stored = view.execute(query.where(table.c.status.in_(("running", "paused")))).all()
    bodies = {row: body for row in stored if (body := current(row.task_json)) is not None}
    for row, body in bodies.items():
        sha256 = signing.sha256(body)
        blobs.put(blob_store.public(sha256), body)
        with database.write() as tx:
            tx.execute(
                sa.update(table)
                .where(table.c.id == row.id, table.c.task_sha256 == row.task_sha256)
                .values(task_json=body.decode(), task_sha256=sha256)
            )
    return len(bodies)


def seal(database: Database, signing_key: str) -> None:
    """Seal the tasks of version 0.1 with the coordinator's key: its devices took programs on the coordinator's word."""
    table = schema.tasks
    with database.read() as view:
        stored = view.execute(
            sa.select(table.c.id, table.c.manifest_sha256, table.c.initial_checkpoint_sha256).where(
                table.c.seal_json == ""
            )
        ).all()
    for task_id, manifest_sha256, weights_sha256 in stored:
        sealed = seals.seal(signing_key, manifest_sha256=manifest_sha256, weights_sha256=weights_sha256)
        with database.write() as tx:
            tx.execute(sa.update(table).where(table.c.id == task_id).values(seal_json=strict.to_json(sealed).decode()))


def current(stored: str) -> bytes | None:
    """The body of a stored task in today's words; None where today's reader finds the same task in it as it is."""
    values = json.loads(stored)
    renamed = set(Eligibility.FORMER_KEYS) & set(values.get("eligibility", {}))
    if not renamed and not _large(values.get("seed")):
        return None
    # A rule that version 0.1 had not: its tasks go on as they were published.
    values["round"] = {"smallest_cohort": task_json.PROTOCOL_DEFAULTS["round"]["smallest_cohort"]} | values["round"]
    task = strict.build(Task, values, InvalidTask)
    try:
        same = task_json.decode(stored) == task
    except InvalidTask:
        same = False
    return None if same else task_json.encode(task)


def _large(seed: object) -> bool:
    return isinstance(seed, int) and seed > SAFE_WHOLE
