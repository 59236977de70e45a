"""What is committed, as the rules read it for devices that ask at the same time: each thing is loaded once for all.

with c.store.read() as connection:
    view = View(c, connection, [caller.credentials for caller in callers])
    answers = [service.check_in(view, caller, now) for caller in callers]
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from fedrela.coordinator.access import devices
from fedrela.coordinator.access.devices import Credentials, Device
from fedrela.coordinator.context import Coordinator, parse_task
from fedrela.coordinator.rounds.rules import Round
from fedrela.coordinator.rounds.selection import Participation
from fedrela.coordinator.storage import rows, schema
from fedrela.coordinator.storage.rows import Row
from fedrela.core.bundle import Manifest
from fedrela.core.task import Task

_T, _R, _A = schema.tasks, schema.rounds, schema.assignments
# Statements are built once: making one costs more than running it.
_OPEN_TASKS = (
    sa.select(_T.c.id.label("task"), _T.c.status, _T.c.task_json, _T.c.manifest_sha256, _R)
    .join(_R, sa.and_(_R.c.task_id == _T.c.id, _R.c.number == _T.c.round))
    .where(_T.c.population == sa.bindparam("population"), _T.c.status != "finished", _T.c.status != "cancelled")
    .order_by(_T.c.created_at, _T.c.id)
)
_FINISHED = sa.select(sa.exists().where(_T.c.population == sa.bindparam("population"), _T.c.status == "finished"))
_TASK = sa.select(_T).where(_T.c.id == sa.bindparam("task_id"))
_ASSIGNMENTS = sa.select(_A, *_T.c["task_json", "manifest_sha256"]).join(_T, _T.c.id == _A.c.task_id)


@dataclass(frozen=True)
class JoinableTask:
    """A task that may want devices, and its open round."""

    id: str
    status: str
    task: Task
    manifest: Manifest
    round: Round


class View:
    """One read of the database. The devices and assignments that are named when it is made are loaded with it."""

    def __init__(
        self,
        coordinator: Coordinator,
        connection: sa.Connection,
        credentials: list[Credentials],
        assignment_ids: Sequence[str] = (),
    ) -> None:
        self.coordinator = coordinator
        self._connection = connection
        self._devices = devices.identify_all(connection, [one.token_hash for one in credentials])
        self._assignments: dict[str, Row] = {}
        if assignment_ids:
            named = rows.among(_ASSIGNMENTS, _A.c.id, list(assignment_ids))
            self._assignments = {assignment.id: assignment for assignment in connection.execute(*named)}
        self._open_tasks: dict[str, list[JoinableTask]] = {}  # by population
        self._finished: dict[str, bool] = {}  # by population
        self._participation: dict[str, dict[str, Participation]] = {}  # task -> device -> in the open round

    def device(self, credentials: Credentials) -> Device:
        """The device that asks. Raises Refused (401)."""
        return credentials.of(self._devices)

    def devices(self) -> Iterable[Device]:
        """Those that were named when the view was made, and are known."""
        return self._devices.values()

    def assignment(self, assignment_id: str, device_id: str) -> Row:
        """This device's assignment, with its task's settings. Raises Refused (404), also for another device's."""
        assignment = self._assignments.get(assignment_id)
        if assignment is None or assignment.device_id != device_id:
            raise rows.not_found("assignment")
        return assignment

    def task_and_round(self, task_id: str, number: int) -> tuple[Row, Row]:
        """The rows of a task and of one of its rounds, both of which exist."""
        task = self._connection.execute(_TASK, {"task_id": task_id}).one()
        return task, rows.round_row(self._connection, task_id, number)

    def open_tasks(self, population: str) -> list[JoinableTask]:
        """The tasks of a population that are running or paused, the oldest first."""
        if population not in self._open_tasks:
            self._open_tasks[population] = [
                JoinableTask(
                    row.task,
                    row.status,
                    parse_task(row.task_json),
                    self.coordinator.manifest(row.manifest_sha256),
                    rows.as_round(row),
                )
                for row in self._connection.execute(_OPEN_TASKS, {"population": population})
            ]
        return self._open_tasks[population]

    def has_finished_task(self, population: str) -> bool:
        """Whether a task of a population came to its end."""
        if population not in self._finished:
            self._finished[population] = bool(self._connection.scalar(_FINISHED, {"population": population}))
        return self._finished[population]

    def participation(self, open_: JoinableTask, device: Device) -> Participation:
        """What the device did in the open round; asked of few rounds, and then of all devices."""
        if open_.id not in self._participation:
            members = [one.id for one in self._devices.values() if one.population == device.population]
            self._participation[open_.id] = rows.participation(self._connection, open_.id, open_.round.number, members)
        return self._participation[open_.id].get(device.id, rows.REVOKED)
