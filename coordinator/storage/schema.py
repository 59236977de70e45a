"""The tables. Times are seconds of the coordinator's clock (Unix time, or virtual time).

    tokens --< devices --< assignments >-- rounds >-- tasks
                                           rounds --- accuracies

`assignments` is the only record of a device's work, folded into counts (`folded_assignments`) some time after its
round, and the only number in it that comes from a device's data is `examples`. Counters in `rounds` are kept equal to
what a count over `assignments` gives (see `rounds/rules.py`).
"""

import sqlalchemy as sa

metadata = sa.MetaData()
FORGOTTEN = "d-forgotten"  # the one row of `devices` that is nobody: whose the assignments of forgotten devices are

migrations = sa.Table(
    "schema_migrations",
    metadata,
    sa.Column("version", sa.Integer, primary_key=True),
    sa.Column("applied_at", sa.Double, nullable=False),
)

clock = sa.Table(  # one row; `now_seconds` is the virtual time
    "clock",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("now_seconds", sa.Double, nullable=False),
    # What follows is of the real time, see `storage/clock.py`.
    sa.Column("newest_at", sa.Double, nullable=False, server_default="0"),  # the newest beat of a process
    sa.Column("boot", sa.String(64), nullable=False, server_default=""),  # whose monotonic clock the next two are of
    sa.Column("beat_at", sa.Double, nullable=False, server_default="0"),
    sa.Column("offset_seconds", sa.Double, nullable=False, server_default="0"),
    sa.Column("jumped_seconds", sa.Double, nullable=False, server_default="0"),  # all jumps that deadlines followed
)

epoch = sa.Table(  # one row; counted up where a database was restored from a backup
    "epoch",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("number", sa.Integer, nullable=False),
)

key_rotations = sa.Table(  # statements of signing keys that others followed
    "key_rotations",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("former_key", sa.String(64), nullable=False),
    sa.Column("public_key", sa.String(64), nullable=False),
    sa.Column("signature", sa.String(128), nullable=False),
    sa.Column("rotated_at", sa.Double, nullable=False),
)

tokens = sa.Table(
    "tokens",
    metadata,
    sa.Column("id", sa.String(40), primary_key=True),
    sa.Column("token_hash", sa.String(64), nullable=False, unique=True),
    sa.Column("population", sa.String(100), nullable=False),
    sa.Column("max_uses", sa.Integer, nullable=False),
    sa.Column("uses", sa.Integer, nullable=False, default=0),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("expires_at", sa.Double, nullable=False),
    sa.Column("revoked_at", sa.Double),
    sa.Column("publishers", sa.Text, nullable=False, server_default=""),  # in its link, with blanks between
)

devices = sa.Table(
    "devices",
    metadata,
    sa.Column("id", sa.String(40), primary_key=True),
    sa.Column("token_hash", sa.String(64), nullable=False, unique=True),
    sa.Column("public_key", sa.String(64), nullable=False),
    sa.Column("population", sa.String(100), nullable=False),
    sa.Column("token_id", sa.String(40), nullable=False),
    sa.Column("enrolled_at", sa.Double, nullable=False),
    sa.Column("last_assignment_at", sa.Double),
    sa.Column("revoked_at", sa.Double),
    sa.Column("seen_at", sa.Double),  # to within a day
    sa.Column("proved_key", sa.Boolean),  # it signed its enrollment; null: enrolled by version 0.1
    sa.Column("certificate", sa.Text, nullable=False, server_default=""),  # of its fleet, as JSON; empty: none
    # A device that enrolls twice at once is one device. Version 0.1 could make two of it.
    sa.Index(
        "one_device_per_link_and_key",
        "token_id",
        "public_key",
        unique=True,
        sqlite_where=sa.text("proved_key AND revoked_at IS NULL"),
        postgresql_where=sa.text("proved_key AND revoked_at IS NULL"),
    ),
)

tasks = sa.Table(
    "tasks",
    metadata,
    sa.Column("id", sa.String(40), primary_key=True),
    sa.Column("name", sa.String(100), nullable=False),
    sa.Column("population", sa.String(100), nullable=False, index=True),
    sa.Column("status", sa.String(20), nullable=False),  # running | paused | finished | cancelled
    sa.Column("problem", sa.Text, nullable=False, default=""),  # why it is paused, or what keeps a round from closing
    sa.Column("task_sha256", sa.String(64), nullable=False),
    sa.Column("task_json", sa.Text, nullable=False),
    sa.Column("manifest_sha256", sa.String(64), nullable=False),
    sa.Column("checkpoint_sha256", sa.String(64), nullable=False),  # the newest global model
    sa.Column("checkpoint_bytes", sa.BigInteger, nullable=False),
    sa.Column("initial_checkpoint_sha256", sa.String(64), nullable=False),
    sa.Column("server_state", sa.String(200), nullable=False, default=""),  # private blob; empty: the initial state
    sa.Column("round", sa.Integer, nullable=False),  # the open one; rounds + 1 where all are done
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("finished_at", sa.Double),
    sa.Column("seal_json", sa.Text, nullable=False, server_default=""),  # the publisher's, over the manifest
    # Of the newest accepted updates, as JSON; whose they are is not kept: see `storage/reported.py`.
    sa.Column("update_norms", sa.Text, nullable=False, server_default=""),
)

rounds = sa.Table(
    "rounds",
    metadata,
    sa.Column("task_id", sa.String(40), sa.ForeignKey("tasks.id"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("phase", sa.String(20), nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("open", sa.Integer, nullable=False),
    sa.Column("reported", sa.Integer, nullable=False),
    sa.Column("pending", sa.Integer, nullable=False),
    sa.Column("opened_at", sa.Double, nullable=False),
    sa.Column("deadline_at", sa.Double),
    sa.Column("closed_at", sa.Double),
    sa.Column("committed_at", sa.Double),
    sa.Column("base_checkpoint_sha256", sa.String(64), nullable=False),
    sa.Column("base_checkpoint_bytes", sa.BigInteger, nullable=False),
    # To which norm the updates of a secure round are clipped; 0: to the task's own.
    sa.Column("clip_millionths", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("checkpoint_sha256", sa.String(64)),  # the result
    sa.Column("update_bytes", sa.BigInteger, nullable=False, default=0),
    sa.Column("aggregation_seconds", sa.Double),
    sa.Column("evaluation_loss_sum", sa.Double, nullable=False, default=0.0),
    sa.Column("evaluation_correct", sa.BigInteger, nullable=False, default=0),
    sa.Column("evaluation_examples", sa.BigInteger, nullable=False, default=0),
    sa.Column("worker", sa.String(100)),  # who aggregates it now, and until when (real time)
    sa.Column("worker_until", sa.Double),
)

accuracies = sa.Table(  # of a round's result on the operator's own test set; nothing of it comes from a device
    "accuracies",
    metadata,
    sa.Column("task_id", sa.String(40), sa.ForeignKey("tasks.id"), primary_key=True),
    sa.Column("round", sa.Integer, primary_key=True),
    sa.Column("overall", sa.Double, nullable=False),  # shares, 0..1
    sa.Column("many", sa.Double),
    sa.Column("medium", sa.Double),
    sa.Column("few", sa.Double),
    sa.Column("examples", sa.BigInteger, nullable=False),
    sa.Column("evaluated_at", sa.Double, nullable=False),
)

assignments = sa.Table(
    "assignments",
    metadata,
    sa.Column("id", sa.String(40), primary_key=True),
    sa.Column("task_id", sa.String(40), nullable=False),
    sa.Column("round", sa.Integer, nullable=False),  # whose start weights the device got
    sa.Column("counted_in", sa.Integer),  # the round that its update counts in; synchronous: the same
    sa.Column("device_id", sa.String(40), sa.ForeignKey("devices.id"), nullable=False),
    sa.Column("status", sa.String(20), nullable=False),  # open | masked | reported | failed | expired | closed
    sa.Column("failure", sa.String(40)),
    sa.Column("assigned_at", sa.Double, nullable=False),
    sa.Column("compute_until", sa.Double, nullable=False),
    sa.Column("expires_at", sa.Double, nullable=False),  # compute_until, or later once an upload has begun
    sa.Column("ended_at", sa.Double),
    sa.Column("examples", sa.Integer),
    sa.Column("update_sha256", sa.String(64)),
    sa.Column("update_digest", sa.String(64)),  # see blobs.quick_digest
    sa.Column("update_bytes", sa.BigInteger),
    sa.Column("evaluated", sa.Boolean, nullable=False, default=False),
    sa.Column("upload_worker", sa.String(100)),  # who receives its update now, and until when at the latest
    sa.Column("upload_until", sa.Double),
    sa.Index("assignments_of_round", "task_id", "round", "status"),
    sa.Index("assignments_counted", "task_id", "counted_in"),
    sa.Index("assignments_of_device", "device_id", "task_id", "round"),
    sa.Index("assignments_expiring", "status", "expires_at"),
    sa.Index(
        "one_open_assignment_per_device",
        "device_id",
        unique=True,
        sqlite_where=sa.text("status = 'open'"),
        postgresql_where=sa.text("status = 'open'"),
    ),
)

probes = sa.Table(  # holds no row that is committed: what `/readyz` writes to see that writing is possible
    "probes",
    metadata,
    sa.Column("id", sa.String(40), primary_key=True),
    sa.Column("filler", sa.LargeBinary, nullable=False),
)

ended_sessions = sa.Table(  # operators' sessions that were logged out before they expired
    "ended_sessions",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("expires_at", sa.Double, nullable=False),  # real time
)

folded_assignments = sa.Table(  # how many assignments of a round ended how, of those that are no rows any more
    "folded_assignments",
    metadata,
    sa.Column("task_id", sa.String(40), primary_key=True),
    sa.Column("round", sa.Integer, primary_key=True),
    sa.Column("failure", sa.String(40), primary_key=True),  # empty: none
    sa.Column("count", sa.BigInteger, nullable=False),
)
