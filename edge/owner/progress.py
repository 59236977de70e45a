"""What `fedrela device run` shows: one live line on a terminal, a line per event otherwise, JSON for programs.

Nothing here says anything of labels.
"""

import json
import sys
import time
from typing import Any, TextIO

from fedrela.edge.client import Outcome
from fedrela.edge.owner.settings import Event
from fedrela.edge.sandbox.seal import Confinement
from fedrela.edge.storage import state
from fedrela.edge.storage.store import Store

WAITS = {
    "no-task": "no task for this device yet",
    "round-full": "the round is full",
    "too-soon": "too soon after the last assignment",
    "not-selected": "not selected for this round",
    "version": "this client's version is not wanted; update it",
    "runtime": "the task needs a runtime that this device lacks",
    "paused": "the task is paused",
    "finished": "the task is finished",
}


class Reporter:
    """Prints to stderr (JSON to stdout), and keeps what `fedrela device status` shows."""

    def __init__(self, store: Store, *, as_json: bool, live: bool, out: TextIO | None = None) -> None:
        self.store = store
        self.as_json = as_json
        self.live = live and not as_json
        self.out = out or (sys.stdout if as_json else sys.stderr)
        self.uploads = 0
        self._last_wait = ""
        self._notes: set[str] = set()  # on the data, that were shown

    def confinement(self, confinement: Confinement) -> None:
        """Say so where nothing holds a program back."""
        if self.as_json:
            self._json({"event": "sandbox", "detail": str(confinement)})
        elif not confinement:
            self._line(f"programs run unconfined: {confinement.reason} (require_sandbox = true refuses that)")

    def event(self, event: Event) -> None:
        """Show one event of an assignment."""
        if self.as_json:
            self._json({"event": event.kind, "task_id": event.task_id, "round": event.round, "step": event.step,
                        "steps": event.steps, "loss": event.loss, "detail": event.detail})  # fmt: skip
        elif event.kind == "step":
            if self.live:
                self._rewrite(f"round {event.round}  step {event.step}/{event.steps}  loss {event.loss:.4f}")
        elif event.kind == "data":
            if event.detail not in self._notes:  # the same files are left out in every round
                self._notes.add(event.detail)
                self._line(f"data: {event.detail}")
        else:
            detail = f": {event.detail}" if event.detail else ""
            self._line(f"round {event.round}  {event.kind}{detail}")
        if event.kind != "step":
            self._last_wait = ""

    def outcome(self, outcome: Outcome) -> None:
        """Show how an assignment ended; the same wait again is not repeated."""
        self.uploads += outcome.kind == "uploaded"
        state.save_status(
            self.store, at=time.time(), outcome=outcome.kind, reason=outcome.reason, round=outcome.round,
            uploads_since_start=self.uploads,
        )  # fmt: skip
        if self.as_json:
            self._json({"outcome": outcome.kind, "reason": outcome.reason, "round": outcome.round,
                        "retry_after_seconds": outcome.retry_after_seconds})  # fmt: skip
        elif outcome.kind == "waiting":
            wait = WAITS.get(outcome.reason, outcome.reason)
            if self.live:
                self._rewrite(f"waiting {outcome.retry_after_seconds:.0f} s: {wait}")
            elif wait != self._last_wait:
                self._line(f"waiting: {wait}")
            self._last_wait = wait
        elif outcome.kind == "stopped":
            self._line("stopped; the assignment is kept and goes on at the next start")

    def _json(self, record: dict[str, Any]) -> None:
        print(json.dumps({"at": round(time.time(), 3), **record}), file=self.out, flush=True)

    def _line(self, text: str) -> None:
        end = "\x1b[K\n" if self.live else "\n"
        self.out.write(("\r" if self.live else "") + text + end)
        self.out.flush()

    def _rewrite(self, text: str) -> None:
        self.out.write(f"\r{text}\x1b[K")
        self.out.flush()
