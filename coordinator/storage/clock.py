"""The time of a coordinator on real time: one for all its processes, and no jump of a machine's clock moves it.

    PostgreSQL   the server's `clock_timestamp()`, looked up every `BEAT_SECONDS` and counted on by the monotonic clock
    SQLite       the machine's time when the first process started, counted on by the monotonic clock; a process that
                 starts beside others goes by theirs; never below the newest instant that is stored

Where time is set all the same (PostgreSQL's own clock, or SQLite's at the next start, within one boot), what was open
keeps what was left of it: leases, deadlines and links are shifted by the jump. A machine that sleeps counts no time on
SQLite: its monotonic clock stands still, and so do its deadlines.

    clock = RealClock(sqlite=True)
    with database.write() as tx:
        clock.start(tx)
    clock.now(); clock.beat(database.write); clock.skew_seconds
"""

import logging
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from fedrela.coordinator.storage import schema

JUMP_SECONDS = 60.0
BEAT_SECONDS = 30.0
ALIVE_SECONDS = 4 * BEAT_SECONDS  # a process that beat more recently is taken to run
log = logging.getLogger("fedrela.coordinator")
_C, _A, _R, _D = schema.clock, schema.assignments, schema.rounds, schema.devices
_DATABASE_TIME = sa.select(sa.cast(sa.extract("epoch", sa.func.clock_timestamp()), sa.Double))


@dataclass(frozen=True)
class Machine:
    """The clocks of this machine: seconds since 1970, seconds since some start, and which start that is."""

    wall: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    boot: str = ""


def this_machine() -> Machine:
    """The real one. Monotonic times of processes can be compared where `boot` is known and the same."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    return Machine(boot=boot.read_text().strip() if boot.is_file() else "")


class RealClock:
    """A process's view of the coordinator's time. `skew_seconds`: how far its machine's clock is ahead of it."""

    def __init__(self, *, sqlite: bool, machine: Machine | None = None) -> None:
        self.skew_seconds = 0.0
        self._sqlite, self._machine = sqlite, machine or this_machine()
        self._offset = self._machine.wall() - self._machine.monotonic()  # of the time, to the monotonic clock
        self._newest = 0.0
        self._jumped = 0.0  # how far all jumps went that this process knows of
        self._beat_at = self._machine.monotonic()
        self._skew_said = 0.0

    def now(self) -> float:
        """Seconds since 1970; never less than before."""
        self._newest = max(self._newest, self._machine.monotonic() + self._offset)
        return self._newest

    def start(self, tx: sa.Connection) -> None:
        """Find the time, in a transaction that nobody else's start or beat overlaps."""
        row, monotonic = tx.execute(sa.select(_C).with_for_update()).one(), self._machine.monotonic()
        self._jumped = row.jumped_seconds
        if self._sqlite:
            same_boot = bool(row.boot) and row.boot == self._machine.boot
            if same_boot and 0 <= monotonic - row.beat_at <= ALIVE_SECONDS:
                self._offset = row.offset_seconds
            else:
                self._offset = max(self._machine.wall(), _newest_instant(tx)) - monotonic
                if same_boot:
                    self._follow(tx, self._offset - row.offset_seconds)
        else:
            self._offset = float(tx.execute(_DATABASE_TIME).scalar_one()) - monotonic
        self._store(tx)
        self._look_at_the_wall()

    def beat(self, write: Callable[[], AbstractContextManager[sa.Connection]]) -> None:
        """Look at the machine's clock, and now and then at the database's; called often. `write`: a transaction."""
        self._look_at_the_wall()
        if self._machine.monotonic() - self._beat_at < BEAT_SECONDS:
            return
        with write() as tx:
            if not self._sqlite:
                self._adopt_database_time(tx)
            self._store(tx)

    def _adopt_database_time(self, tx: sa.Connection) -> None:
        known = tx.execute(sa.select(_C.c.jumped_seconds).with_for_update()).scalar_one()
        offset = float(tx.execute(_DATABASE_TIME).scalar_one()) - self._machine.monotonic()
        jump, self._offset = offset - self._offset, offset
        if abs(jump) <= JUMP_SECONDS:
            return
        self._newest = 0.0
        if abs(known - self._jumped - jump) > JUMP_SECONDS:  # nobody has followed it yet
            self._follow(tx, jump)
        else:
            self._jumped = known

    def _follow(self, tx: sa.Connection, jump: float) -> None:
        if abs(jump) <= JUMP_SECONDS:
            return
        log.warning("the clock was set; open deadlines are shifted", extra={"jump_seconds": round(jump, 1)})
        shift_deadlines(tx, jump, self.now())
        self._jumped += jump

    def _store(self, tx: sa.Connection) -> None:
        self._beat_at = self._machine.monotonic()
        values = {"newest_at": self.now(), "beat_at": self._beat_at, "offset_seconds": self._offset}
        tx.execute(sa.update(_C).values(boot=self._machine.boot, jumped_seconds=self._jumped, **values))

    def _look_at_the_wall(self) -> None:
        self.skew_seconds = self._machine.wall() - self.now()
        if abs(self.skew_seconds - self._skew_said) > JUMP_SECONDS:
            self._skew_said = self.skew_seconds
            log.warning(
                "this machine's clock and the coordinator's differ: it was set, the machine slept, "
                "or it is not that of the database",
                extra={"ahead_seconds": round(self.skew_seconds, 1)},
            )


def shift_deadlines(tx: sa.Connection, jump: float, now: float) -> None:
    """After the time jumped to `now`, what was open has as much time left as before."""
    before, tokens = now - jump, schema.tokens
    open_assignments = sa.update(_A).where(_A.c.status == "open")
    tx.execute(open_assignments.values(compute_until=_A.c.compute_until + jump, expires_at=_A.c.expires_at + jump))
    tx.execute(sa.update(_R).where(_R.c.committed_at.is_(None)).values(deadline_at=_R.c.deadline_at + jump))
    tx.execute(sa.update(_R).where(_R.c.worker_until.is_not(None)).values(worker_until=_R.c.worker_until + jump))
    tx.execute(sa.update(tokens).where(tokens.c.expires_at > before).values(expires_at=tokens.c.expires_at + jump))
    tx.execute(sa.update(_D).where(_D.c.last_assignment_at > now).values(last_assignment_at=now))


def _newest_instant(tx: sa.Connection) -> float:
    """The newest time at which something is stored as having happened."""
    columns = [
        _C.c.newest_at,
        *schema.tasks.c["created_at", "finished_at"],
        *_R.c["opened_at", "closed_at", "committed_at"],
        *_D.c["enrolled_at", "last_assignment_at"],
        *_A.c["assigned_at", "ended_at"],
        schema.tokens.c.created_at,
    ]
    return max(float(tx.scalar(sa.select(sa.func.max(column))) or 0.0) for column in columns)
