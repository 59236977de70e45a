"""An operator's side of a task: publish, pause, resume, cancel; `rounds/rollback.py` too. Each is one transaction."""

import sqlalchemy as sa

from fedrela.coordinator.access import auth
from fedrela.coordinator.context import Coordinator, parse_seal, parse_task
from fedrela.coordinator.rounds import isolation, rules
from fedrela.coordinator.secure import endings
from fedrela.coordinator.storage import blobs, collection, reported, rows, schema
from fedrela.coordinator.storage.rows import Row
from fedrela.core import bundle, signing, strict, tensors
from fedrela.core.bundle import Manifest
from fedrela.core.errors import InvalidTask, Refused
from fedrela.core.protocol import task_json
from fedrela.core.protocol.seals import Seal
from fedrela.core.secure import clipping, secure_tasks
from fedrela.core.task import Task
from fedrela.core.wire import unknown_features


def publish(coordinator: Coordinator, task: Task, sealed: Seal, checkpoint_sha256: str, now: float) -> str:
    """Check the publisher's signature, and that every blob is there and fits, then open round 1. Returns the task's id.

    Raises Refused(409) naming a blob that is missing, IntegrityError for a damaged one or a wrong signature,
    InvalidBundle or InvalidTensors where the manifest or the weights don't fit, InvalidTask for what can't be run.
    """
    sealed.verify()
    manifest_sha256 = sealed.manifest_sha256
    manifest = bundle.parse_manifest(_published(coordinator, manifest_sha256, "the manifest"))
    checkpoint = _published(coordinator, checkpoint_sha256, "checkpoint 0")
    manifest.check_weights(tensors.from_bytes(checkpoint, manifest.weights))
    _check_programs(coordinator, manifest)
    _check_hyperparameters(task, manifest)
    _check_features(task, manifest)
    secure_tasks.check(task)
    task = secure_tasks.requiring(task)
    task_body = task_json.encode(task)
    coordinator.blobs.put(blobs.public(signing.sha256(task_body)), task_body)
    task_id = auth.new_id("t")
    with coordinator.store.write() as tx:
        tx.execute(
            sa.insert(schema.tasks).values(
                id=task_id,
                name=task.name,
                population=task.population,
                status="running",
                task_sha256=signing.sha256(task_body),
                task_json=task_body.decode(),
                manifest_sha256=manifest_sha256,
                seal_json=strict.to_json(sealed).decode(),
                checkpoint_sha256=checkpoint_sha256,
                checkpoint_bytes=len(checkpoint),
                initial_checkpoint_sha256=checkpoint_sha256,
                round=1,
                created_at=now,
            )
        )
        beginning = rows.Beginning(checkpoint_sha256, len(checkpoint), clipping.first(task.privacy))
        rows.open_round(tx, task_id, rules.first(now), beginning)
    return task_id


def seal_of(coordinator: Coordinator, task_id: str) -> Seal:
    """The publisher's seal that a task was published with. Raises Refused(404)."""
    with coordinator.store.read() as view:
        stored = view.scalar(sa.select(schema.tasks.c.seal_json).where(schema.tasks.c.id == task_id))
    if stored is None:
        raise rows.not_found("task")
    return parse_seal(stored)


def _published(coordinator: Coordinator, sha256: str, what: str) -> bytes:
    try:
        return blobs.get(coordinator.blobs, blobs.public(sha256))
    except KeyError as error:
        raise _missing(sha256, what) from error


def _check_programs(coordinator: Coordinator, manifest: Manifest) -> None:
    """Every file that the manifest names is stored, in the size that it names."""
    for path, (sha256, size_bytes) in manifest.files().items():
        try:
            stored = coordinator.blobs.size(blobs.public(sha256))
        except KeyError as error:
            raise _missing(sha256, path) from error
        if stored != size_bytes:
            raise Refused(
                f"{path} has {stored} bytes, the manifest says {size_bytes}",
                remedy="export the model again",
                code="size-mismatch",
                status=409,
            )


def _check_hyperparameters(task: Task, manifest: Manifest) -> None:
    known = {item.name for item in manifest.train_step.role("hyperparameter")}
    unknown = sorted(set(task.local.hyperparameters) - known)
    if unknown:
        raise InvalidTask(
            f"local.hyperparameters names {unknown[0]!r}, which the program doesn't take",
            remedy=f"use one of {', '.join(sorted(known)) or '(none)'}",
        )


def _check_features(task: Task, manifest: Manifest) -> None:
    """Nobody could take part in what this version itself doesn't know."""
    unknown = unknown_features(*task.requires, *manifest.requires)
    if unknown:
        raise InvalidTask(f"the feature {unknown[0]!r} is required and unknown here", remedy="update the coordinator")


def _missing(sha256: str, what: str) -> Refused:
    return Refused(
        f"{what} ({sha256[:12]}) was not uploaded",
        remedy="PUT it to /v1/admin/blobs/{sha256} first; `fedrela publish` does",
        code="blob-missing",
        status=409,
    )


def pause(coordinator: Coordinator, task_id: str, now: float) -> None:
    """No new assignments; devices at work may still report. Pausing twice is no fault."""
    with coordinator.store.write() as tx:
        row = lock_alive(tx, task_id)
        if row.status == "running":
            _set_status(tx, row, "paused", "paused by the operator")


def resume(coordinator: Coordinator, task_id: str, now: float) -> None:
    """Go on; a round that had failed starts again with all its retries."""
    with coordinator.store.write() as tx:
        row = lock_alive(tx, task_id)
        if row.status == "running":
            return
        _set_status(tx, row, "running", "")
        round_ = rows.as_round(rows.round_row(tx, task_id, row.round))
        rows.save_round(tx, task_id, rules.resume(round_, parse_task(row.task_json).round, now))
    isolation.forget(coordinator, task_id)
    coordinator.wake.set()


def cancel(coordinator: Coordinator, task_id: str, now: float) -> None:
    """End the task for good; open assignments are closed, only checkpoints are kept. Cancelling twice is no fault."""
    with coordinator.store.write() as tx:
        row = rows.lock_task(tx, task_id)
        if row.status == "cancelled":
            return
        if row.status == "finished":
            raise _over(row)
        leftovers = reported.bodies(tx, task_id, row.round) + ([row.server_state] if row.server_state else [])
        leftovers += endings.leftovers(tx, task_id, row.round)
        rows.close_open_assignments(tx, task_id, now)
        endings.close(tx, task_id, row.round, now)
        ended = {"finished_at": now, "server_state": "", "update_norms": ""}
        _set_status(tx, row, "cancelled", "cancelled by the operator", **ended)
    collection.discard(coordinator, leftovers)


def lock_alive(tx: sa.Connection, task_id: str) -> Row:
    """The row of a task that is not over, locked until the transaction ends. Raises Refused (404, 409)."""
    row = rows.lock_task(tx, task_id)
    if row.status in ("finished", "cancelled"):
        raise _over(row)
    return row


def _over(row: Row) -> Refused:
    return Refused(f"the task is {row.status}", remedy="publish a new one", code="task-over", status=409)


def _set_status(tx: sa.Connection, row: Row, status: str, problem: str, **columns: object) -> None:
    tx.execute(
        sa.update(schema.tasks).where(schema.tasks.c.id == row.id).values(status=status, problem=problem, **columns)
    )
