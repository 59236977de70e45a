"""Totals over the devices' hold-outs, where a task asks for them.

May import `core`, SQLAlchemy and this package's storage.
"""

import sqlalchemy as sa

from coordinator import rows, schema
from coordinator.context import Coordinator, parse_task
from coordinator.devices import Device
from core.errors import InvalidMessage, Refused
from core.wire import EvaluationReport

MOST = 2**31 - 1


def add(c: Coordinator, device: Device, assignment_id: str, report: EvaluationReport) -> None:
    """Add one device's totals to its round's, once per assignment; nothing of a single device is kept."""
    if not 1 <= report.examples <= MOST or not 0 <= report.correct <= report.examples or report.loss_sum < 0:
        raise InvalidMessage(
            "the evaluation's totals are impossible",
            remedy="send 0 <= correct <= examples, examples >= 1, loss_sum >= 0",
        )
    with c.store.read() as view:
        task_id = rows.current_turn(view, assignment_id, device.id).task_id
    table = schema.rounds
    with c.store.write() as tx:
        row = rows.lock_task(tx, task_id)
        turn = rows.current_turn(tx, assignment_id, device.id)
        if not parse_task(row.task_json).local_evaluation:
            raise Refused(
                "this task asks for no evaluation", remedy="send none", code="evaluation-not-wanted", status=403
            )
        if turn.status not in ("open", "reported"):
            raise Refused("this turn is over", remedy="check in again", code="turn-over", status=409)
        if turn.evaluated:
            return
        tx.execute(
            sa.update(table)
            .where(table.c.task_id == task_id, table.c.number == turn.round)
            .values(
                evaluation_loss_sum=table.c.evaluation_loss_sum + report.loss_sum,
                evaluation_correct=table.c.evaluation_correct + report.correct,
                evaluation_examples=table.c.evaluation_examples + report.examples,
            )
        )
        tx.execute(sa.update(schema.assignments).where(schema.assignments.c.id == turn.id).values(evaluated=True))
