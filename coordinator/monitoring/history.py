"""What happened: tasks, rounds, tokens and devices as plain dicts, for JSON, CSV and tables. Read only.

Times are seconds of the coordinator's clock.
"""

import csv
import io
import json
from typing import Any

import sqlalchemy as sa

from fedrela.coordinator.context import Coordinator
from fedrela.coordinator.monitoring import evaluation
from fedrela.coordinator.storage import rows, schema

Record = dict[str, Any]
_TASK = ("name", "population", "status", "problem", "round", "manifest_sha256", "task_sha256", "checkpoint_sha256")
_ROUND = (
    "phase", "attempt", "open", "reported", "opened_at", "deadline_at", "closed_at", "committed_at",
    "checkpoint_sha256", "update_bytes", "aggregation_seconds",
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
        return _task(view, row) | {"task": json.loads(row.task_json)}


def _task(view: sa.Connection, row: rows.Row) -> Record:
    record = {"task_id": row.id} | {name: row._mapping[name] for name in _TASK}
    record |= {
        "rounds": json.loads(row.task_json)["rounds"],
        "committed_rounds": row.round - 1,
        "initial_checkpoint_sha256": row.initial_checkpoint_sha256,
        "created_at": row.created_at,
        "finished_at": row.finished_at,
    }
    if row.status not in ("finished", "cancelled"):
        current = rows.round_row(view, row.id, row.round)
        record |= {"phase": current.phase, "open": current.open, "reported": current.reported}
        record |= {"deadline_at": current.deadline_at, "attempt": current.attempt}
    return record


def rounds(coordinator: Coordinator, task_id: str) -> list[Record]:
    """Every round of a task so far, with its failures by code and the bytes that travelled."""
    task(coordinator, task_id)
    table = schema.rounds
    with coordinator.store.read() as view:
        round_rows = view.execute(sa.select(table).where(table.c.task_id == task_id).order_by(table.c.number)).all()
        failures, assignments = _assignments(view, task_id)
        accuracies = evaluation.accuracies(view, task_id)
    records = []
    for row in round_rows:
        record: Record = {"round": row.number} | {name: row._mapping[name] for name in _ROUND}
        record |= {
            "updates": row.reported,
            "assignments": assignments.get(row.number, 0),
            "failures": failures.get(row.number, {}),
            "checkpoint_bytes": row.base_checkpoint_bytes * assignments.get(row.number, 0),
            "evaluation": None,
            "accuracy": accuracies.get(row.number),
        }
        if row.evaluation_examples:
            record["evaluation"] = {
                "loss": row.evaluation_loss_sum / row.evaluation_examples,
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
    for number, failure, count in failure_counts:
        assignments[number] = assignments.get(number, 0) + count
        if failure is not None:
            failures.setdefault(number, {})[failure] = count
    return failures, assignments


def as_csv(records: list[Record]) -> str:
    """The same as a table; what is nested becomes `code=count` pairs."""
    out = io.StringIO()
    fields = [name for name in (records[0] if records else {"round": 0}) if name not in ("evaluation", "accuracy")]
    writer = csv.DictWriter(out, fields, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for record in records:
        failures = " ".join(f"{code}={count}" for code, count in record["failures"].items())
        writer.writerow(record | {"failures": failures})
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
        device_rows = view.execute(sa.select(table).where(table.c.id > after).order_by(table.c.id).limit(limit)).all()
    names = ("population", "public_key", "token_id", "enrolled_at", "last_assignment_at", "revoked_at")
    return [{"device_id": row.id} | {name: row._mapping[name] for name in names} for row in device_rows]
