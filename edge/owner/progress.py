"""What `fedrela device run` shows: one live line on a terminal, a line per event otherwise, JSON for programs.

Of labels nothing is said but how many samples of each class there are and which equal ones have different labels, and
that on a terminal alone: it is in no log.
"""

import json
import sys
import time
from contextlib import suppress
from typing import Any, TextIO

import numpy as np

from fedrela.core.bundle import Manifest
from fedrela.core.errors import InvalidData, Unavailable
from fedrela.edge.client import Outcome
from fedrela.edge.owner.settings import Event
from fedrela.edge.sandbox.seal import Confinement
from fedrela.edge.storage import disk, state
from fedrela.edge.storage.store import Store
from fedrela.edge.training import classes, contradictions, examples
from fedrela.edge.training.examples import DataSource, Examples

WAITS = {
    "no-task": "no task for this device yet",
    "round-full": "the round is full",
    "reported": "this device has reported; its round is not closed yet",
    "too-soon": "too soon after the last assignment",
    "not-selected": "not selected for this round",
    "set-aside": "the task goes on without this device: sums that it was in were left out again and again",
    "version": "this client's version is not wanted; update it",
    "runtime": "the task needs a runtime that this device lacks",
    "paused": "the task is paused",
    "finished": "the task is finished; its operator has the trained model",
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
        self._samples = ""  # what was shown last of how many there are
        self._unkept = ""  # why the status can't be kept

    def confinement(self, confinement: Confinement) -> None:
        """Say so where nothing holds a program back."""
        if self.as_json:
            self._json({"event": "sandbox", "detail": str(confinement)})
        elif not confinement:
            self._line(f"programs run unconfined: {confinement.reason} (require_sandbox = true refuses that)")

    def reading(self, source: DataSource) -> DataSource:
        """The source; whenever it gives other samples than before, it is shown how many."""

        def load(manifest: Manifest) -> Examples:
            given = source(manifest)
            self._show_samples(given, manifest)
            return given

        return load

    def _show_samples(self, given: Examples, manifest: Manifest) -> None:
        labels = classes.checked(given.y, manifest.class_names, manifest.classes)
        shown = f"data: {len(labels)} samples"
        if self.live:
            counts = np.bincount(labels, minlength=manifest.classes)
            names = manifest.class_names or range(manifest.classes)
            shown += ": " + ", ".join(f"{name} {count}" for name, count in zip(names, counts, strict=True) if count)
        if shown != self._samples:
            self._samples = shown
            if self.as_json:
                self._json({"event": "samples", "samples": len(labels)})
            else:
                self._line(shown)
        if self.live:
            self._show_contradicting(given, manifest)

    def _show_contradicting(self, given: Examples, manifest: Manifest) -> None:
        """Name equal samples with different labels, instead of the event that says that there are some."""
        with suppress(InvalidData):  # which is said where the data are used
            checked = examples.check(given, manifest)
            named = contradictions.named(checked.contradicting, checked.named)
            if named:
                self._notes.add(contradictions.NOTE)
                self._note(f"{contradictions.NOTE}: {named}")

    def _note(self, note: str) -> None:
        """A word on the data, once: it is the same in every round."""
        if note not in self._notes:
            self._notes.add(note)
            self._line(f"data: {note}")

    def event(self, event: Event) -> None:
        """Show one event of an assignment."""
        if self.as_json:
            self._json({"event": event.kind, "task_id": event.task_id, "round": event.round, "step": event.step,
                        "steps": event.steps, "loss": event.loss, "detail": event.detail})  # fmt: skip
        elif event.kind == "step":
            if self.live:
                self._rewrite(f"round {event.round}  step {event.step}/{event.steps}  loss {event.loss:.4f}")
        elif event.kind == "data":
            self._note(event.detail)
        else:
            detail = f": {event.detail}" if event.detail else ""
            self._line(f"round {event.round}  {event.kind}{detail}")
        if event.kind != "step":
            self._last_wait = ""

    def outcome(self, outcome: Outcome) -> None:
        """Show how an assignment ended; the same wait again is not repeated."""
        self.uploads += outcome.kind == "uploaded"
        self._keep(outcome)
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

    def _keep(self, outcome: Outcome) -> None:
        """Keep what `status` shows. Where that can't be, it is said once, and the device goes on."""
        unkept = ""
        try:
            state.save_status(
                self.store, at=time.time(), outcome=outcome.kind, reason=outcome.reason, round=outcome.round,
                uploads_since_start=self.uploads,
            )  # fmt: skip
        except Unavailable as fault:
            unkept = fault.problem
        if unkept != self._unkept and unkept:
            if self.as_json:
                self._json({"event": "unkept", "detail": unkept})
            else:
                self._line(f"warning: {unkept}")
        self._unkept = unkept

    def _json(self, record: dict[str, Any]) -> None:
        self._write(json.dumps({"at": round(time.time(), 3), **record}) + "\n")

    def _line(self, text: str) -> None:
        end = "\x1b[K\n" if self.live else "\n"
        self._write(("\r" if self.live else "") + text + end)

    def _rewrite(self, text: str) -> None:
        self._write(f"\r{text}\x1b[K")

    def _write(self, text: str) -> None:
        """Print; where that goes to a file on a full disk, the device goes on without."""
        try:
            self.out.write(text)
            self.out.flush()
        except OSError as error:
            if error.errno not in disk.FULL:
                raise
