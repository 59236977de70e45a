"""One upload at a time per assignment, across workers: a device with many connections costs what one costs.

A claim ends with its upload, with its worker, or when the upload's time is over. It need not survive a power cut, so
nothing waits for the disk.
"""

import sqlalchemy as sa

from fedrela.coordinator.context import Coordinator
from fedrela.coordinator.rounds.uploads import Upload
from fedrela.coordinator.rounds.workers import is_alive, worker_name
from fedrela.coordinator.storage import schema
from fedrela.core.errors import Refused

SLACK_SECONDS = 30.0  # for checking and storing a body once it is here
_A = schema.assignments
_CLAIM = (
    sa.update(_A)
    .where(
        _A.c.id == sa.bindparam("assignment"),
        _A.c.upload_worker.is_not_distinct_from(sa.bindparam("former_worker")),
        _A.c.upload_until.is_not_distinct_from(sa.bindparam("former_until")),
    )
    .values(upload_worker=sa.bindparam("worker"), upload_until=sa.bindparam("until"))
)
_RELEASE = (
    sa.update(_A)
    .where(_A.c.id == sa.bindparam("assignment"), _A.c.upload_worker == sa.bindparam("worker"))
    .values(upload_worker=None, upload_until=None)
)


def claim(coordinator: Coordinator, uploads: list[Upload], now: float) -> list[Upload | Refused]:
    """Each upload, or the answer to a second one of an assignment. Claims are released one by one."""
    answers: list[Upload | Refused] = []
    with coordinator.store.write(durable=False) as tx:
        for upload in uploads:
            until = now + upload.seconds + SLACK_SECONDS
            values = {
                "assignment": upload.assignment_id,
                "former_worker": upload.claimed_by,
                "former_until": upload.claimed_until,
                "worker": worker_name(),
                "until": until,
            }
            free = not _is_under_way(coordinator, upload, now)
            if free and tx.execute(_CLAIM, values).rowcount:
                coordinator.uploading[upload.assignment_id] = until
                answers.append(upload)
            else:
                answers.append(_under_way())
    return answers


def _is_under_way(coordinator: Coordinator, upload: Upload, now: float) -> bool:
    """Whether a worker receives this assignment's update: this one knows by itself, of others the database tells."""
    if upload.claimed_by is None or upload.claimed_by == worker_name():
        return now < coordinator.uploading.get(upload.assignment_id, now)
    return upload.claimed_until is not None and now < upload.claimed_until and is_alive(upload.claimed_by)


def release(coordinator: Coordinator, assignment_id: str) -> None:
    """The upload has ended without being counted. Raises Unavailable; then the claim ends with its time."""
    with coordinator.store.write(durable=False) as tx:
        tx.execute(_RELEASE, {"assignment": assignment_id, "worker": worker_name()})


def _under_way() -> Refused:
    return Refused(
        "an update of this assignment is being received already",
        remedy="wait for its answer, or send it again a little later",
        code="upload-under-way",
        status=429,  # what clients try again; after a 409 they would give the assignment up
    )
