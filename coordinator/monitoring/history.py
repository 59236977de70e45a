"""What happened: tasks, rounds, tokens and devices as plain dicts, for JSON, CSV and tables. Read only.

Times are seconds of the coordinator's clock.
"""

import csv
import io
import json
import math
from typing import Any

import sqlalchemy as sa

from fedrela.coordinator.context import Coordinator, parse_task
from fedrela.coordinator.monitoring import evaluation, secure_groups, standstill
from fedrela.coordinator.rounds import closing
from fedrela.coordinator.storage import rows, schema, secure_rows
from fedrela.core.protocol import task_json, task_toml

Record = dict[str, Any]
UNCHANGED_ROUNDS = 3  # rounds in a row that left the model as it was, before that is said
NAMED = ("norm-too-large", closing.OVERFLOWS, closing.BELOW_LOWEST)  # failures whose devices an operator wants to know
_TASK = ("name", "population", "status", "problem", "round", "manifest_sha256", "task_sha256", "checkpoint_sha256")
_ROUND = (
    "phase", "attempt", "open", "reported", "opened_at", "deadline_at", "closed_at", "committed_at",
    "checkpoint_sha256", "update_bytes", "aggregation_seconds", "clip_millionths",
)  # fmt: skip


def tasks(coordinator: Coordinator) -> list[Record]:
    """Every task, oldest first."""
    with coordinator.store.read() as view:
        task_rows = view.execute(sa.select(schema.tasks).order_by(schema.tasks.c.created_at, schema.tasks.c.id)).all()
        return [_task(view, row) for row in task_rows]


def task(coordinator: Coordinator, task_id: str) -> Record:
    """One task with its settings. Raises Refused(404)."""
    with coordinator.store.read() as view:
        row = view.execute(sa.select(schema.tasks).where(schema.tasks.c.id == task_id)).one_or_none()
        if row is None:
            raise rows.not_found("task")
        settings = parse_task(row.task_json)
        told = {
            "privacy": settings.privacy.words,
            "task": task_json.whole(settings),
            "settings": task_toml.text(settings),
        }
        return _task(view, row) | _waits_for(view, row) | told


def _waits_for(view: sa.Connection, row: rows.Row) -> Record:
    """What a task under way waits for."""
    if row.status in ("finished", "cancelled"):
        return {}
    round_, settings = rows.as_round(rows.round_row(view, row.id, row.round)), parse_task(row.task_json)
    there = standstill.attendance(view, row.id, settings, row.round)
    return {"waits_for": standstill.waits_for(row.status, row.problem, round_, settings, there)}


def _task(view: sa.Connection, row: rows.Row) -> Record:
    record = {"task_id": row.id} | {name: row._mapping[name] for name in _TASK}
    record |= {
        "rounds": json.loads(row.task_json)["rounds"],
        "committed_rounds": row.round - 1 - _without_result(view, row.id),
        "initial_checkpoint_sha256": row.initial_checkpoint_sha256,
        "created_at": row.created_at,
        "finished_at": row.finished_at,
    }
    if row.status == "finished":
        record["round"] = row.round - 1  # the last there was
    if row.status not in ("finished", "cancelled"):
        current = rows.round_row(view, row.id, row.round)
        record |= {"phase": current.phase, "open": current.open, "reported": current.reported}
        record |= {"deadline_at": current.deadline_at, "attempt": current.attempt}
        record |= {"waiting_for_group": secure_groups.waiting(view, row.id)}
    return record | {"set_aside": secure_rows.set_aside(view, row.id), "unchanged_since": _unchanged_since(view, row)}


def _without_result(view: sa.Connection, task_id: str) -> int:
    """How many rounds ended without a result."""
    table = schema.rounds
    query = sa.select(sa.func.count()).where(table.c.task_id == task_id, table.c.phase.in_(("abandoned", "skipped")))
    return int(view.scalar(query) or 0)


def _unchanged_since(view: sa.Connection, row: rows.Row) -> int | None:
    """The round whose model every later one repeated, where those are UNCHANGED_ROUNDS or more; else None.

    Training always moves a model a little: one that stands still has stopped learning.
    """
    table = schema.rounds
    committed = sa.and_(table.c.task_id == row.id, table.c.phase == "committed")
    newest = sa.select(table.c.number, table.c.checkpoint_sha256).where(committed).order_by(table.c.number.desc())
    latest = view.execute(newest.limit(UNCHANGED_ROUNDS)).all()
    if len(latest) < UNCHANGED_ROUNDS or {one.checkpoint_sha256 for one in latest} != {row.checkpoint_sha256}:
        return None
    other = sa.select(sa.func.max(table.c.number)).where(committed, table.c.checkpoint_sha256 != row.checkpoint_sha256)
    first = view.scalar(
        sa.select(sa.func.min(table.c.number)).where(committed, table.c.number > (view.scalar(other) or 0))
    )
    start = sa.select(table.c.base_checkpoint_sha256).where(table.c.task_id == row.id, table.c.number == first)
    since = first - 1 if view.scalar(start) == row.checkpoint_sha256 else first
    return int(since) if latest[0].number - since >= UNCHANGED_ROUNDS else None


def rounds(coordinator: Coordinator, task_id: str) -> list[Record]:
    """Every round of a task so far, with its failures by code and the bytes that travelled."""
    task(coordinator, task_id)
    table = schema.rounds
    with coordinator.store.read() as view:
        round_rows = view.execute(sa.select(table).where(table.c.task_id == task_id).order_by(table.c.number)).all()
        failures, assignments = _assignments(view, task_id)
        accuracies = evaluation.accuracies(view, task_id)
        left_out = _left_out(view, task_id)
        groups = secure_groups.by_round(view, task_id)
    records = []
    for row in round_rows:
        record: Record = {"round": row.number} | {name: row._mapping[name] for name in _ROUND}
        record |= {
            "updates": row.reported,
            "assignments": assignments.get(row.number, 0),
            "failures": failures.get(row.number, {}),
            "left_out": left_out.get(row.number, {}),
            "groups": groups.get(row.number, []),
            "checkpoint_bytes": row.base_checkpoint_bytes * assignments.get(row.number, 0),
            "evaluation": None,
            "accuracy": accuracies.get(row.number),
        }
        if row.evaluation_examples:
            record["evaluation"] = {
                "loss": _finite(row.evaluation_loss_sum / row.evaluation_examples),
                "accuracy": row.evaluation_correct / row.evaluation_examples,
                "examples": row.evaluation_examples,
            }
        records.append(record)
    return records


def _assignments(view: sa.Connection, task_id: str) -> tuple[dict[int, dict[str, int]], dict[int, int]]:
    """round -> failure code -> assignments, and round -> assignments."""
    table = schema.assignments
    failure_counts = view.execute(
        sa.select(table.c.round, table.c.failure, sa.func.count())
        .where(table.c.task_id == task_id)
        .group_by(table.c.round, table.c.failure)
        .order_by(table.c.round, table.c.failure)
    ).all()
    failures: dict[int, dict[str, int]] = {}
    assignments: dict[int, int] = {}
    folded = schema.folded_assignments
    folded_counts = view.execute(
        sa.select(*folded.c["round", "failure", "count"])
        .where(folded.c.task_id == task_id)
        .order_by(folded.c.round, folded.c.failure)
    ).all()
    for number, failure, count in [*failure_counts, *folded_counts]:
        assignments[number] = assignments.get(number, 0) + count
        if failure:
            of_round = failures.setdefault(number, {})
            of_round[failure] = of_round.get(failure, 0) + count
    return {number: dict(sorted(codes.items())) for number, codes in failures.items()}, assignments


def _finite(number: float) -> float | None:
    """The number; None where it is none that JSON has, as in a database that an earlier version wrote."""
    return number if math.isfinite(number) else None


def _left_out(view: sa.Connection, task_id: str) -> dict[int, dict[str, str]]:
    """round -> device -> why its update was left out of the model: such devices are named, and no others."""
    table = schema.assignments
    named = view.execute(
        sa.select(table.c.round, table.c.device_id, table.c.failure)
        .where(table.c.task_id == task_id, table.c.failure.in_(NAMED))
        .order_by(table.c.round, table.c.device_id)
    )
    devices: dict[int, dict[str, str]] = {}
    for number, device_id, code in named:
        devices.setdefault(number, {})[device_id] = code
    return devices


def as_csv(records: list[Record]) -> str:
    """The same as a table; what is nested becomes `code=count` pairs."""
    out = io.StringIO()
    fields = [
        name for name in (records[0] if records else {"round": 0}) if name not in ("evaluation", "accuracy", "groups")
    ]
    writer = csv.DictWriter(out, fields, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for record in records:
        nested = {name: value for name, value in record.items() if isinstance(value, dict)}
        pairs = {name: " ".join(f"{key}={item}" for key, item in value.items()) for name, value in nested.items()}
        writer.writerow(record | pairs)
    return out.getvalue()


def tokens(coordinator: Coordinator) -> list[Record]:
    """Every enrollment token, without its secret."""
    table = schema.tokens
    with coordinator.store.read() as view:
        token_rows = view.execute(sa.select(table).order_by(table.c.created_at, table.c.id)).all()
    names = ("population", "max_uses", "uses", "created_at", "expires_at", "revoked_at")
    return [{"token_id": row.id} | {name: row._mapping[name] for name in names} for row in token_rows]


def devices(coordinator: Coordinator, limit: int, after: str) -> list[Record]:
    """At most `limit` devices whose id follows `after`."""
    table = schema.devices
    with coordinator.store.read() as view:
        device_rows = view.execute(
            sa.select(table).where(table.c.id > after, table.c.id != schema.FORGOTTEN).order_by(table.c.id).limit(limit)
        ).all()
    names = ("population", "public_key", "token_id", "enrolled_at", "last_assignment_at", "seen_at", "revoked_at")
    return [{"device_id": row.id} | {name: row._mapping[name] for name in names} for row in device_rows]
