"""One task in a transaction that holds its lock: the rules read it and change it here, for one device or for many.

with coordinator.store.write() as connection:
    tx = TaskTransaction(coordinator, connection, task_id)
    receipts = [service.accept_update(tx, update, now) for update in updates]
    tx.flush(now)
"""

from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from fedrela.coordinator.access import auth
from fedrela.coordinator.context import Coordinator, parse_task
from fedrela.coordinator.rounds.selection import Participation
from fedrela.coordinator.storage import reported, rows, schema
from fedrela.coordinator.storage.rows import StoredAssignment
from fedrela.core.aggregation import outliers

_OF_REPORT = ("failure", "counted_in", "examples", "update_sha256", "update_digest", "update_bytes")


class TaskTransaction:
    """Holds a task's lock until the transaction ends. `row` and `record` are as stored; `round` is as it shall be.

    Rules see what rules before them changed; the database sees it at `flush`: one statement per table, however many
    devices there were. A rule decides first and changes then, so one that raises has changed nothing, or just what its
    refusal says.
    """

    def __init__(self, coordinator: Coordinator, connection: sa.Connection, task_id: str) -> None:
        self.coordinator = coordinator
        self._connection = connection
        self.row = rows.lock_task(connection, task_id)
        self.task = parse_task(self.row.task_json)
        number = min(self.row.round, self.task.rounds)  # a finished task's last round
        self.record = rows.round_row(connection, task_id, number)
        self.round = self._stored_round = rows.as_round(self.record)
        self._leases_are_swept = False
        self._assignments: dict[str, StoredAssignment] = {}
        self._participation: dict[str, Participation] = {}
        self._opened: list[dict[str, Any]] = []
        self._ended: list[dict[str, Any]] = []
        self._norms: list[float] = []
        self.wakes = False  # the worker: a group has all that its sum needs
        self.leftovers: list[str] = []  # blobs that nothing refers to once the transaction is committed

    @property
    def connection(self) -> sa.Connection:
        """For what is no part of a round's row: groups and their members."""
        return self._connection

    @property
    def awaits_aggregation(self) -> bool:
        """Whether an update came, and the round or a group has all that it waits for."""
        return self.wakes or (bool(self._assignments) and self.round.phase == "aggregating")

    def preload_assignments(self, assignment_ids: list[str]) -> None:
        """Load assignments that will be asked for, all at once."""
        self._assignments |= rows.assignments(self._connection, assignment_ids)

    def assignment(self, assignment_id: str) -> StoredAssignment:
        """An assignment that exists."""
        if assignment_id not in self._assignments:
            self.preload_assignments([assignment_id])
        return self._assignments[assignment_id]

    def preload_devices(self, device_ids: list[str]) -> None:
        """Load, all at once, what devices did in the open round; none can be revoked until the transaction ends."""
        known = rows.participation(self._connection, self.row.id, self.round.number, device_ids, lock=True)
        self._participation |= {device_id: known.get(device_id, rows.REVOKED) for device_id in device_ids}

    def participation(self, device_id: str) -> Participation:
        """What a device did in the open round."""
        if device_id not in self._participation:
            self.preload_devices([device_id])
        return self._participation[device_id]

    def sweep_leases(self, now: float) -> None:
        """End every assignment of the task whose lease is over; once in a transaction is enough."""
        if not self._leases_are_swept:
            self.round, _ = rows.expire_assignments(self._connection, self.row.id, self.round, now)
            self._leases_are_swept = True

    def open_assignment(self, device_id: str, now: float) -> str:
        """Give a device an assignment of this round; the assignment's id."""
        assignment_id, until = auth.new_id("a"), now + self.task.round.compute_lease_seconds
        assignment = {"id": assignment_id, "device_id": device_id, "task_id": self.row.id, "round": self.round.number}
        assignment |= {
            "status": "open",
            "assigned_at": now,
            "compute_until": until,
            "expires_at": until,
            "evaluated": False,
        }
        self._opened.append(assignment)
        return assignment_id

    def end_assignment(self, assignment: StoredAssignment, status: str, now: float, **columns: Any) -> None:
        """End an assignment with what its report sets; columns that are not given are emptied."""
        ending = dict.fromkeys(_OF_REPORT) | {"assignment": assignment.id, "status": status, "ended_at": now} | columns
        self._ended.append(ending)
        self._assignments[assignment.id] = replace(assignment, status=status, update_sha256=ending["update_sha256"])

    def write_assignment(self, assignment_id: str, **columns: Any) -> None:
        """Change an assignment at once."""
        table = schema.assignments
        self._connection.execute(sa.update(table).where(table.c.id == assignment_id).values(**columns))
        if assignment_id in self._assignments:
            known = {
                name: value for name, value in columns.items() if name in ("status", "expires_at", "update_sha256")
            }
            self._assignments[assignment_id] = replace(self._assignments[assignment_id], **known)

    def devices_counted_in(self, number: int) -> set[str]:
        """The devices whose updates count in a round, those that this transaction has counted among them."""
        here = {self._assignments[one["assignment"]].device_id for one in self._ended if one["counted_in"] == number}
        return here | reported.devices_counted_in(self._connection, self.row.id, number)

    def largest_norm(self) -> float:
        """The largest L2 norm that the next update's parameters may have."""
        accepted = outliers.with_accepted(reported.norms(self.row), self._norms)
        return outliers.largest_norm(accepted, self._elements(statistics=False))

    def largest_statistics_norm(self) -> float:
        """The largest L2 norm that its statistics may have."""
        return outliers.largest_first_norm(self._elements(statistics=True))

    def _elements(self, *, statistics: bool) -> int:
        """How many the model's parameters have, or its statistics."""
        manifest = self.coordinator.manifest(self.row.manifest_sha256)
        return sum(spec.size for spec in manifest.weights if (spec.name in manifest.statistics) == statistics)

    def remember_norm(self, norm: float) -> None:
        """An update of this norm was accepted."""
        self._norms.append(norm)

    def flush(self, now: float) -> None:
        """Write what the rules changed."""
        if self._opened:
            rows.insert_assignments(self._connection, self._opened)
        columns: dict[str, Any] = {}
        if self._ended:
            rows.end_reported(self._connection, self._ended)
            received = sum(ending["update_bytes"] or 0 for ending in self._ended)
            columns["update_bytes"] = self.record.update_bytes + received
        if self._norms:
            reported.remember_norms(self._connection, self.row, self._norms)
        if self.round.phase != self._stored_round.phase:
            columns["closed_at"] = now
        if self.round != self._stored_round:
            rows.save_round(self._connection, self.row.id, self.round, **columns)
