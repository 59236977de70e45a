"""How good the models are: totals over the devices' hold-outs, and accuracy on the operator's own test set.

Devices' totals are summed per round and kept for no single device. They can't be split by class, so many, medium and
few are known only where an operator evaluates a round's model on labeled data of their own.
"""

from typing import Any

import sqlalchemy as sa

from fedrela.coordinator.access.devices import Device
from fedrela.coordinator.api.messages import AccuracyReport
from fedrela.coordinator.context import Coordinator, parse_task
from fedrela.coordinator.storage import rows, schema
from fedrela.core.errors import InvalidMessage, Refused
from fedrela.core.wire import EvaluationReport

MOST = 2**31 - 1


def add(coordinator: Coordinator, device: Device, assignment_id: str, report: EvaluationReport) -> None:
    """Add one device's totals to its round's, once per assignment; nothing of a single device is kept."""
    if not 1 <= report.examples <= MOST or not 0 <= report.correct <= report.examples or report.loss_sum < 0:
        raise InvalidMessage(
            "the evaluation's totals are impossible",
            remedy="send 0 <= correct <= examples, examples >= 1, loss_sum >= 0",
        )
    with coordinator.store.read() as view:
        task_id = rows.current_assignment(view, assignment_id, device.id).task_id
    table = schema.rounds
    with coordinator.store.write() as tx:
        row = rows.lock_task(tx, task_id)
        assignment = rows.current_assignment(tx, assignment_id, device.id)
        task = parse_task(row.task_json)
        if not task.local_evaluation or task.privacy.secure == "peers":  # there it is a part of the sum
            raise Refused(
                "this task asks for no evaluation", remedy="send none", code="evaluation-not-wanted", status=403
            )
        if assignment.status not in ("open", "reported"):
            raise Refused("this assignment is over", remedy="check in again", code="assignment-over", status=409)
        if assignment.evaluated:
            return
        tx.execute(
            sa.update(table)
            .where(table.c.task_id == task_id, table.c.number == assignment.round)
            .values(
                evaluation_loss_sum=table.c.evaluation_loss_sum + report.loss_sum,
                evaluation_correct=table.c.evaluation_correct + report.correct,
                evaluation_examples=table.c.evaluation_examples + report.examples,
            )
        )
        tx.execute(sa.update(schema.assignments).where(schema.assignments.c.id == assignment.id).values(evaluated=True))


def record_accuracy(coordinator: Coordinator, task_id: str, number: int, report: AccuracyReport, now: float) -> None:
    """Keep what the operator's test set says of a committed round; a later report takes the place of an earlier one."""
    shares = (report.overall, report.many, report.medium, report.few)
    if not 1 <= report.examples <= MOST or not all(share is None or 0 <= share <= 1 for share in shares):
        raise InvalidMessage("the accuracy is impossible", remedy="send shares from 0 to 1, and examples >= 1")
    table, round_table = schema.accuracies, schema.rounds
    with coordinator.store.write() as tx:
        rows.lock_task(tx, task_id)
        committed = sa.select(round_table.c.committed_at).where(
            round_table.c.task_id == task_id, round_table.c.number == number
        )
        if tx.scalar(committed) is None:
            raise Refused(
                f"round {number} is not committed",
                remedy="evaluate rounds whose model is there",
                code="round-open",
                status=409,
            )
        tx.execute(sa.delete(table).where(table.c.task_id == task_id, table.c.round == number))
        values = {name: getattr(report, name) for name in ("overall", "many", "medium", "few", "examples")}
        tx.execute(sa.insert(table).values(task_id=task_id, round=number, evaluated_at=now, **values))


def accuracies(view: sa.Connection, task_id: str) -> dict[int, dict[str, Any]]:
    """Round -> accuracy on the operator's test set, where it was evaluated."""
    table = schema.accuracies
    accuracy_rows = view.execute(sa.select(table).where(table.c.task_id == task_id)).all()
    names = ("overall", "many", "medium", "few", "examples")
    return {row.round: {name: row._mapping[name] for name in names} for row in accuracy_rows}


def state(coordinator: Coordinator) -> list[Any]:
    """Something that changes whenever a figure of any task does."""
    r, a = schema.rounds.c, schema.accuracies.c
    with coordinator.store.read() as view:
        of_devices = view.execute(sa.select(sa.func.sum(r.evaluation_examples))).one()
        of_operator = view.execute(
            sa.select(sa.func.count(), sa.func.max(a.evaluated_at), sa.func.sum(a.overall))
        ).one()
    return [str(value) for value in (*of_devices, *of_operator)]
