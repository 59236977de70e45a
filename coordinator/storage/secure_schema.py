"""The tables of secure rounds: groups of devices whose updates are read as a sum only, and their members.

    assignments --- secure_members >-- secure_groups >-- rounds

    secure_outcomes: per task and device, of those that were in a sum that was left out

A member's row holds what it has sent, until the group has ended: then the row goes, and of a group there stays how it
ended, how many it had, and how large its sum was. What is sealed in `sealed` opens with members' keys alone.
"""

import sqlalchemy as sa

from fedrela.coordinator.storage.schema import metadata

groups = sa.Table(
    "secure_groups",
    metadata,
    sa.Column("id", sa.String(40), primary_key=True),
    sa.Column("task_id", sa.String(40), nullable=False),
    sa.Column("round", sa.Integer, nullable=False),
    sa.Column("phase", sa.String(20), nullable=False),  # `group.Phase`, then summed | dropped | failed | closed
    sa.Column("reason", sa.String(60), nullable=False, server_default=""),  # why there is no sum, or not in the model
    sa.Column("failed_in", sa.String(20)),
    sa.Column("session", sa.String(64), nullable=False),
    sa.Column("threshold", sa.Integer, nullable=False),
    sa.Column("size", sa.Integer, nullable=False),  # members at its beginning
    sa.Column("survivors", sa.Integer, nullable=False, server_default="0"),  # members in the sum
    sa.Column("clipped", sa.Integer, nullable=False, server_default="0"),  # of them, whose updates were clipped
    sa.Column("formed_at", sa.Double, nullable=False),
    sa.Column("phase_until", sa.Double, nullable=False),
    sa.Column("ended_at", sa.Double),
    sa.Column("sum_sha256", sa.String(64)),  # a private blob, until the round is over
    sa.Column("suspects", sa.Text, nullable=False, server_default=""),  # assignments, with blanks between
    sa.Column("worker", sa.String(100)),  # who sums it now, and until when (real time)
    sa.Column("worker_until", sa.Double),
    sa.Index("secure_groups_of_round", "task_id", "round"),
    sa.Index("secure_groups_due", "phase", "phase_until"),
)

members = sa.Table(
    "secure_members",
    metadata,
    sa.Column("assignment_id", sa.String(40), primary_key=True),
    sa.Column("task_id", sa.String(40), nullable=False),
    sa.Column("round", sa.Integer, nullable=False),
    sa.Column("group_id", sa.String(40)),  # null: it waits for others
    sa.Column("member_index", sa.Integer),
    sa.Column("arrived_at", sa.Double, nullable=False),
    sa.Column("identity_key", sa.String(64), nullable=False),
    sa.Column("certificate", sa.Text, nullable=False, server_default=""),
    sa.Column("mask_key", sa.String(64), nullable=False),
    sa.Column("seal_key", sa.String(64), nullable=False),
    sa.Column("keys_signature", sa.String(128), nullable=False),
    sa.Column("commitment", sa.String(64)),
    sa.Column("sealed", sa.Text),  # the boxes one after the other, in the order of the other members
    sa.Column("proof", sa.Text),  # what follows is JSON
    sa.Column("agreement", sa.Text),
    sa.Column("reveal", sa.Text),
    sa.Index("secure_members_of_round", "task_id", "round"),
    sa.Index("secure_members_of_group", "group_id"),
)

outcomes = sa.Table(
    "secure_outcomes",
    metadata,
    sa.Column("task_id", sa.String(40), primary_key=True),
    sa.Column("device_id", sa.String(40), primary_key=True),
    sa.Column("newest", sa.String(20), nullable=False),  # of the sums it was in, oldest first: d, left out; s, counted
    sa.Column("set_aside_at", sa.Double),
)
