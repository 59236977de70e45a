"""What the groups of secure rounds do, for an operator: how large they are, where they stand, how they ended.

Who is in a group is not told, but for members that revealed wrong shares.
"""

from typing import Any

import sqlalchemy as sa

from fedrela.coordinator.storage import schema, secure_schema

_G, _M, _A = secure_schema.groups, secure_schema.members, schema.assignments
_NAMES = (
    "phase", "size", "survivors", "clipped", "threshold", "reason", "failed_in", "formed_at", "phase_until", "ended_at",
)  # fmt: skip


def by_round(view: sa.Connection, task_id: str) -> dict[int, list[dict[str, Any]]]:
    """Round -> its groups, the first that was formed first; none of a plain task."""
    groups: dict[int, list[dict[str, Any]]] = {}
    query = sa.select(_G).where(_G.c.task_id == task_id).order_by(_G.c.formed_at, _G.c.id)
    for row in view.execute(query).all():
        record = {"group_id": row.id} | {name: row._mapping[name] for name in _NAMES}
        groups.setdefault(row.round, []).append(record | {"suspects": _devices(view, row.suspects.split())})
    return groups


def waiting(view: sa.Connection, task_id: str) -> int:
    """How many devices have an update and wait for a group."""
    query = (
        sa.select(sa.func.count())
        .select_from(_M)
        .join(_A, _A.c.id == _M.c.assignment_id)
        .where(_M.c.task_id == task_id, _M.c.group_id.is_(None), _A.c.status == "open")
    )
    return int(view.scalar(query) or 0)


def summary(groups: list[dict[str, Any]]) -> str:
    """A round's groups in a few words.

    >>> summary([{"phase": "summed", "reason": ""}, {"phase": "failed", "reason": "too-few-members"}] * 2)
    '2 summed, 2 failed (too-few-members)'
    """
    counts: dict[str, int] = {}
    for group in groups:
        words = group["phase"] + (f" ({group['reason']})" if group["reason"] else "")
        counts[words] = counts.get(words, 0) + 1
    return ", ".join(f"{count} {words}" for words, count in counts.items())


def _devices(view: sa.Connection, assignment_ids: list[str]) -> list[str]:
    if not assignment_ids:
        return []
    return sorted(view.scalars(sa.select(_A.c.device_id).where(_A.c.id.in_(assignment_ids))))
