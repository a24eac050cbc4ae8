"""What becomes of a job after a failure, launches, and requests that they end are events too.

An event may name a sweep, and the view `failures` says why a job is not run again by itself.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from lcma.sweeps.errors import UserError

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
"""Sorted byte by byte on every engine."""

OUTCOMES = (
    *("done", "pruned", "diverged", "oom", "preempted", "node_lost", "timeout", "code_error"),
    "cancelled",
)
OLD_EVENTS = (*OUTCOMES, "claim", "retry", "register", "evaluate", "merge")
NEW_EVENTS = ("again", "give_up", "launch", "stop")
EVENTS = (
    *OUTCOMES,
    *("claim", "retry", "again", "give_up"),
    *("register", "evaluate", "merge", "launch", "stop"),
)

CHECK = "ck_events_event"
KEY = "fk_events_sweep_id_sweeps"

FAILURES = """
CREATE VIEW failures AS
SELECT
    jobs.kind, coalesce(flow_trials.flow, pretrainings.flow) AS flow,
    coalesce(flow_trials.dataset, pretrainings.dataset) AS dataset,
    coalesce(flow_trials.variant, pretrainings.variant) AS variant,
    coalesce(flow_trials.profile, recipes.profile) AS profile,
    flow_trials.factorization, coalesce(flow_trials.budget, jobs.budget) AS budget,
    flow_trials.map_options, coalesce(flow_trials.seed, pretrainings.seed) AS seed,
    jobs.state, jobs.step, jobs.steps, attempts.outcome, attempts.message, attempts.owner,
    attempts.host, attempts.device, attempts.devices, attempts.started, attempts.ended,
    jobs.updated,{decision}
    jobs.data_digest, recipes.id AS recipe_id, jobs.trial_id, jobs.pretraining_id, jobs.attempt_id,
    jobs.id AS job_id
FROM jobs
LEFT JOIN flow_trials ON flow_trials.id = jobs.trial_id
LEFT JOIN pretrainings ON pretrainings.id = jobs.pretraining_id
JOIN recipes ON recipes.id = coalesce(flow_trials.recipe_id, pretrainings.recipe_id)
LEFT JOIN attempts ON attempts.id = jobs.attempt_id
WHERE jobs.state IN ('diverged', 'failed')
"""

DECISION = """
    (SELECT CASE WHEN events.detail <> '' THEN events.detail END FROM events
     WHERE events.id = (SELECT max(e.id) FROM events AS e WHERE e.job_id = jobs.id)) AS decision,"""


def upgrade() -> None:
    """Let events be more, and say what was decided."""
    op.execute("DROP VIEW failures")
    if op.get_bind().dialect.name == "postgresql":
        op.add_column("events", sa.Column("sweep_id", TEXT, nullable=True))
        op.create_foreign_key(op.f(KEY), "events", "sweeps", ["sweep_id"], ["id"])
        _check_again(EVENTS)
    else:
        _remake(EVENTS, with_sweep=True)
    op.execute(FAILURES.format(decision=DECISION))


def downgrade() -> None:
    """Take back, unless there is anything to lose."""
    events = sa.table("events", sa.column("id"), sa.column("event"))
    lost = sa.select(events.c.id).where(events.c.event.in_(NEW_EVENTS)).limit(1)
    if op.get_bind().execute(lost).first():
        raise UserError("events has rows that a downgrade would lose: delete them first")
    op.execute("DROP VIEW failures")
    if op.get_bind().dialect.name == "postgresql":
        op.drop_constraint(op.f(KEY), "events", type_="foreignkey")
        op.drop_column("events", "sweep_id")
        _check_again(OLD_EVENTS)
    else:
        _remake(OLD_EVENTS, with_sweep=False)
    op.execute(FAILURES.format(decision=""))


def _check_again(words: Sequence[str]) -> None:
    op.drop_constraint(op.f(CHECK), "events", type_="check")
    op.create_check_constraint(op.f(CHECK), "events", _one_of(words))


def _remake(words: Sequence[str], *, with_sweep: bool) -> None:
    """Move the events into a new table: SQLite changes no constraints."""
    op.drop_index(op.f("ix_events_job_id"), "events")
    op.rename_table("events", "old_events")
    columns: list[sa.schema.SchemaItem] = [
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("time", sa.Double(), nullable=False),
        sa.Column("event", TEXT, nullable=False),
        sa.Column("job_id", TEXT, nullable=True),
        sa.Column("attempt_id", sa.Integer(), nullable=True),
        sa.Column("owner", TEXT, nullable=True),
        sa.Column("detail", TEXT, nullable=False),
    ]
    keys: list[sa.schema.SchemaItem] = [
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_events_job_id_jobs"))
    ]
    if with_sweep:
        columns.append(sa.Column("sweep_id", TEXT, nullable=True))
        keys.append(sa.ForeignKeyConstraint(["sweep_id"], ["sweeps.id"], name=op.f(KEY)))
    op.create_table(
        "events",
        *columns,
        sa.CheckConstraint(_one_of(words), name=op.f(CHECK)),
        *keys,
        sa.PrimaryKeyConstraint("id", name=op.f("pk_events")),
    )
    names = "id, time, event, job_id, attempt_id, owner, detail"
    op.execute(f"INSERT INTO events ({names}) SELECT {names} FROM old_events ORDER BY id")  # noqa: S608
    op.drop_table("old_events")
    op.create_index(op.f("ix_events_job_id"), "events", ["job_id"])


def _one_of(words: Sequence[str]) -> str:
    return f"event IN ({', '.join(repr(word) for word in words)})"
