"""Which blobs a population may fetch: those of its own tasks, whatever came of them.

A hash is no secret: whoever is told one, by a device of another population say, gets nothing for it.
"""

import sqlalchemy as sa

from fedrela.coordinator.context import Coordinator
from fedrela.coordinator.storage import schema

_T, _R = schema.tasks, schema.rounds
_OF_TASK = ("task_sha256", "manifest_sha256", "checkpoint_sha256", "initial_checkpoint_sha256")
_TASKS = sa.select(*_T.c[_OF_TASK]).where(_T.c.population == sa.bindparam("population"))
_OF_ROUND = (
    sa.select(sa.literal(1))
    .select_from(_R.join(_T, _T.c.id == _R.c.task_id))
    .where(
        _T.c.population == sa.bindparam("population"),
        sa.or_(_R.c.base_checkpoint_sha256 == sa.bindparam("sha256"), _R.c.checkpoint_sha256 == sa.bindparam("sha256")),
    )
    .limit(1)
)


def is_visible(coordinator: Coordinator, population: str, sha256: str) -> bool:
    """Whether a task of the population consists of this blob: its settings, manifest, programs or checkpoints."""
    with coordinator.store.read() as view:
        tasks = view.execute(_TASKS, {"population": population}).all()
        if any(sha256 in task for task in tasks):
            return True
        if view.scalar(_OF_ROUND, {"population": population, "sha256": sha256}):
            return True
    manifests = {task.manifest_sha256 for task in tasks}
    return any(
        sha256 == named for manifest in manifests for named, _ in coordinator.manifest(manifest).files().values()
    )
