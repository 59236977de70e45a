"""A client round on a real device: data, overlay, training with checkpoints and pauses, the finished body.

`fedrela.edge.training.local_round` holds the numbers; here is what a device adds to survive: everything that is needed
to go on after a kill -9 is kept, and going on gives the same bits.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from threading import Event as StopEvent
from typing import Any

from fedrela.core.errors import InvalidTensors
from fedrela.core.protocol.programs import CARRIED
from fedrela.core.tensors import TensorSpec
from fedrela.core.wire import EvaluationReport, FailureCode
from fedrela.edge.conditions.eligibility import Conditions, reasons
from fedrela.edge.network.fetch import Job
from fedrela.edge.owner.settings import DeviceSettings, Event
from fedrela.edge.secure import vector
from fedrela.edge.storage import state
from fedrela.edge.storage.store import Store
from fedrela.edge.training import contradictions, finishing, former, holdout, local_round
from fedrela.edge.training import examples as data
from fedrela.edge.training.examples import DataSource, Examples, Overlay


class AssignmentFailed(Exception):
    """An assignment can't be finished; `code` is what the coordinator is told."""

    def __init__(self, code: FailureCode, problem: str) -> None:
        super().__init__(problem)
        self.code: FailureCode = code


@dataclass
class RoundWork:
    """Works on one assignment. `held` is what the store holds of it."""

    job: Job
    held: state.HeldAssignment
    secret: bytes
    store: Store
    source: DataSource
    settings: DeviceSettings
    conditions: Callable[[], Conditions]
    now: Callable[[], float]
    sleep: Callable[[float], Any]
    stop: StopEvent
    emit: Callable[[Event], None]
    evaluate: Callable[[Any], None]  # called with an EvaluationReport if there is one to send
    seconds: float = 0.0  # of work so far, pauses left out
    _checked_at: float = field(default=-math.inf)

    def update(self) -> bytes | None:
        """The finished update's body, kept in the store; None where `stop` came first."""
        manifest, local = self.job.engine.manifest, self.own_round()
        if not local_round.is_usable(self.job.engine, self.job.weights):
            raise AssignmentFailed("model-unusable", "the global model predicts values that are not finite")
        loaded = self.source(manifest)
        for note in loaded.notes:
            self.tell("data", detail=note)
        loaded = data.check(loaded, manifest)
        if loaded.contradicting:
            self.tell("data", detail=contradictions.NOTE)
        fraction, fingerprint = self.settings.holdout_fraction, self.held.fingerprint
        examples, held_out = former.divided(loaded, fraction, self.secret, fingerprint)
        if len(examples) < local.task.eligibility.min_examples:
            raise AssignmentFailed("not-eligible", "this device holds fewer examples than the task asks for")
        self.report_evaluation(local, held_out)
        if not self.wait_until_eligible(local):
            return None
        state_now = self.train(local, examples, self.labels(local, examples))
        if state_now is None:
            return None
        return self.finish(local, state_now, len(examples), held_out)

    @property
    def is_secure(self) -> bool:
        """Whether the update leaves this device inside a group's sum alone."""
        return self.job.task.privacy.secure == "peers"

    def own_round(self) -> local_round.LocalRound:
        """The task as this device runs it: with its owner's limit on steps."""
        task = self.job.task
        limits = [limit for limit in (task.local.max_steps, self.settings.max_steps) if limit]
        if limits:
            task = replace(task, local=replace(task.local, max_steps=min(limits)))
        return local_round.LocalRound(task, self.job.assignment.round, self.secret)

    def labels(self, local: local_round.LocalRound, examples: Examples) -> local_round.Labels:
        """The labels to train on; re-labels first where this round's generation is new to the device."""
        if not local.generation:
            return examples.y
        task_id = self.job.assignment.task_id
        overlay = self.kept_overlay(local, examples)
        if overlay is None:
            labels = local_round.relabel(self.job.engine, local, self.job.weights, examples, self.time_limit())
            overlay = Overlay.of(examples, labels, generation=local.generation)
            state.save_overlay(self.store, task_id, overlay)
            self.tell("relabeled")
        return overlay.labels(examples)

    def kept_overlay(self, local: local_round.LocalRound, examples: Examples) -> Overlay | None:
        """The overlay of this round's re-labeling, if this device has made it already."""
        overlay = state.load_overlay(self.store, self.job.assignment.task_id)
        if overlay is None or overlay.generation != local.generation:
            return None
        if overlay.former:
            overlay = former.carried_over(overlay, examples)
            if overlay is None:
                self.tell("data", detail="earlier re-labels went by row, and rows may have moved: re-labeling anew")
            else:
                state.save_overlay(self.store, self.job.assignment.task_id, overlay)
        return overlay

    def time_limit(self) -> Callable[[], None]:
        """Raises AssignmentFailed once predicting, from now on, takes longer than the lease or the owner allows."""
        began, most = self.now(), self.settings.max_seconds or math.inf

        def check() -> None:
            if self.now() > self.held.train_until():
                raise AssignmentFailed("timed-out", "the lease ran out while predicting")
            if self.now() - began >= most:
                raise AssignmentFailed("timed-out", "predicting takes longer than this device's owner allows")

        return check

    def train(self, local: local_round.LocalRound, examples: Examples, labels: local_round.Labels) -> Any:
        """The trained state, from the last checkpoint if there is one; None where `stop` came first."""
        engine, settings = self.job.engine, self.settings
        engine_state, done = self.begin(examples)
        started = self.now()
        every = settings.checkpoint_steps
        for steps in local_round.train(engine, local, examples, labels, engine_state, done=done, stop_every=every):
            done, total = steps[-1].number, steps[-1].total
            for step in steps:
                self.check_step(step)
            if settings.max_seconds and self.seconds + self.now() - started >= settings.max_seconds:
                break
            due = every and done % every == 0 and done < total
            stopping = self.stop.is_set() and done < total
            obstacles = () if stopping else self.obstacles(local)
            if due or stopping or obstacles:
                self.seconds += self.now() - started
                self.keep(engine_state, done, examples)
                if stopping or (obstacles and not self.wait_until_eligible(local, obstacles)):
                    return None
                started = self.now()
        self.tell("trained", step=done)
        return engine_state

    def begin(self, examples: Examples) -> tuple[Any, int]:
        """A fresh state, or the kept one if it was trained on these very data; and the steps done."""
        engine, held = self.job.engine, self.held
        snapshot = None
        if held.fingerprint and held.fingerprint == examples.fingerprint:
            snapshot = state.load_snapshot(self.store, self.carried_specs())
        if snapshot is None:
            return engine.start(self.job.weights), 0
        self.seconds = snapshot.seconds
        return engine.restore(self.job.weights, snapshot.tensors), snapshot.steps

    def carried_specs(self) -> tuple[TensorSpec, ...]:
        """What a snapshot holds."""
        return tuple(item.spec for item in self.job.engine.manifest.train_step.role(*CARRIED))

    def check_step(self, step: local_round.Step) -> None:
        """Tell of a step; raise where it diverged or came too late."""
        totals = step.totals
        if not math.isfinite(totals.loss_sum):
            raise InvalidTensors("the loss is no longer finite", remedy="lower the learning rate of the task")
        loss = totals.loss_sum / max(totals.weight_sum, 1e-12)
        self.emit(Event("step", self.job.assignment.task_id, self.job.assignment.round, step.number, step.total, loss))
        if self.now() > self.held.train_until():
            raise AssignmentFailed("timed-out", "the lease ran out while training")

    def keep(self, engine_state: Any, done: int, examples: Examples) -> None:
        """Keep the training state, so that a restart on the same data goes on from here."""
        if self.held.fingerprint != examples.fingerprint:
            self.store.delete("assignment/snapshot")  # of other data
            self.held = replace(self.held, fingerprint=examples.fingerprint)
            state.save_assignment(self.store, self.held)
        snapshot = state.Snapshot(done, self.seconds, self.job.engine.snapshot(engine_state))
        state.save_snapshot(self.store, snapshot)

    def obstacles(self, local: local_round.LocalRound) -> tuple[str, ...]:
        """Why training must pause now; the sensors are read every `check_seconds`."""
        if self.now() - self._checked_at < self.settings.check_seconds:
            return ()
        self._checked_at = self.now()
        conditions = self.conditions()
        obstacles = (*reasons(conditions, local.task.eligibility), *reasons(conditions, self.settings.eligibility))
        return tuple(dict.fromkeys(obstacles))

    def wait_until_eligible(self, local: local_round.LocalRound, obstacles: tuple[str, ...] | None = None) -> bool:
        """Wait until nothing stands in the way; False where `stop` came first. The lease is no longer than it was."""
        self._checked_at = self._checked_at if obstacles else -math.inf
        obstacles = obstacles or self.obstacles(local)
        if not obstacles:
            return True
        self.tell("paused", detail="; ".join(obstacles))
        while obstacles:
            if self.stop.is_set():
                return False
            if self.now() > self.held.train_until():
                raise AssignmentFailed(
                    "not-eligible", "the lease ran out while training was paused: " + "; ".join(obstacles)
                )
            self.sleep(self.settings.pause_seconds)
            self._checked_at = -math.inf
            obstacles = self.obstacles(local)
        self.tell("resumed")
        return True

    def finish(self, local: local_round.LocalRound, engine_state: Any, samples: int, held_out: Examples) -> bytes:
        """The finished update, kept before anything is sent."""
        change = local_round.change(self.job.engine, engine_state, self.job.weights)
        if self.is_secure:
            evaluation = self.drawn_evaluation(local, held_out)
            body = finishing.hidden(self.job, local, change, samples, evaluation)
        else:
            body = finishing.plain(self.job, local, change, samples, self.store)
        self.store.put("assignment/update", body)
        self.store.delete("assignment/snapshot")
        return body

    def drawn_evaluation(self, local: local_round.LocalRound, held_out: Examples) -> EvaluationReport | None:
        """Totals over samples drawn for this round alone, to go inside the update; None where there are none."""
        rows = vector.evaluated_rows(len(held_out), local.stream("evaluate"))
        return self.evaluation(local, held_out.take(rows)) if self.may_evaluate(local) and len(rows) else None

    def may_evaluate(self, local: local_round.LocalRound) -> bool:
        """Whether the task asks for totals over the hold-out and the owner allows them."""
        return local.task.local_evaluation and self.settings.allow_evaluation

    def evaluation(self, local: local_round.LocalRound, held_out: Examples) -> EvaluationReport:
        """Totals of the global model over samples held out."""
        return holdout.evaluate(self.job.engine, local, self.job.weights, held_out, self.time_limit())

    def report_evaluation(self, local: local_round.LocalRound, held_out: Examples) -> None:
        """Totals over the hold-out, once a client round, if the task asks and the owner allows: not of a secure one."""
        wanted = not self.is_secure and self.may_evaluate(local) and len(held_out)
        if wanted and self.store.get("assignment/evaluated") is None:
            self.evaluate(self.evaluation(local, held_out))
            self.store.put("assignment/evaluated", b"sent")

    def tell(self, kind: Any, *, step: int = 0, detail: str = "") -> None:
        """Tell the owner of progress."""
        self.emit(Event(kind, self.job.assignment.task_id, self.job.assignment.round, step=step, detail=detail))
