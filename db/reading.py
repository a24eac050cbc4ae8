"""What the store tells: maps, curves, files, progress and tables."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from db.engine import QueryResult
from db.jobs import chunks, to_job
from db.recording import DTYPE
from db.records import (
    KINDS,
    Artifact,
    Bar,
    ContributionMap,
    Counts,
    Job,
    MapStatistics,
    Metric,
    RunningJob,
    StateCounts,
    Sweep,
    SweepMember,
)
from db.schema import (
    artifacts,
    attempts,
    bars,
    contribution_maps,
    curves,
    jobs,
    metrics,
    pretrainings,
    recipes,
    sweep_trials,
    sweeps,
    trial_results,
    trials,
)
from sweeps.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

Scalar = str | int | float | None


def read_jobs(connection: sa.Connection, ids: Sequence[str]) -> dict[str, Job]:
    """Those of the jobs that exist, by id."""
    found: dict[str, Job] = {}
    for some in chunks(ids):
        rows = connection.execute(sa.select(jobs).where(jobs.c.id.in_(some)))
        found |= {row.id: to_job(row) for row in rows}
    return found


def read_maps(
    connection: sa.Connection, pretraining_id: str, data_digest: str, budget: int, score: str
) -> list[ContributionMap]:
    """Maps by split; UserError naming the row where one is damaged."""
    table = contribution_maps
    rows = connection.execute(
        sa.select(table)
        .where(
            table.c.pretraining_id == pretraining_id,
            table.c.data_digest == data_digest,
            table.c.budget == budget,
            table.c.score == score,
        )
        .order_by(table.c.split)
    )
    return [_decode(dict(row._mapping)) for row in rows]


def map_damage(row: Mapping[str, Any]) -> str | None:
    """What is wrong with the bytes of a row of `contribution_maps`; None where nothing is."""
    shape = (row["channels"], row["height"], row["width"])
    if row["dtype"] != DTYPE:
        return f"its dtype is {row['dtype']}, not {DTYPE}"
    if not _fill(row, 4 * math.prod(shape)):
        return f"its bytes do not fill the shape {shape}"
    if hashlib.sha256(row["values"]).hexdigest() != row["digest"]:
        return "its values do not match their digest"
    return None


def _decode(row: Mapping[str, Any]) -> ContributionMap:
    damage = map_damage(row)
    if damage is not None:
        raise UserError(
            f"row {row['id']} of contribution_maps is damaged: {damage}; "
            "go back to a copy of the database"
        )

    return decode_map(row)


def decode_map(row: Mapping[str, Any]) -> ContributionMap:
    """A row of `contribution_maps` whose bytes are sound. Raises ValueError as a map does."""
    shape = (row["channels"], row["height"], row["width"])

    def array(name: str, *copies: int) -> NDArray[np.float32]:
        return np.frombuffer(row[name], dtype=DTYPE).reshape(*copies, *shape).astype(np.float32)

    return ContributionMap(
        pretraining_id=row["pretraining_id"],
        data_digest=row["data_digest"],
        budget=row["budget"],
        split=row["split"],
        score=row["score"],
        values=array("values"),
        standard_errors=array("standard_errors"),
        images=row["images"],
        mean_log_det=row["mean_log_det"],
        clusters=row["clusters"],
        halves=None if row["halves"] is None else array("halves", 2),
        statistics=None if row["rank_gap"] is None else _statistics(row),
    )


def _fill(row: Mapping[str, Any], size: int) -> bool:
    lengths = {len(row["values"]), len(row["standard_errors"])}
    return lengths == {size} and (row["halves"] is None or len(row["halves"]) == 2 * size)


def _statistics(row: Mapping[str, Any]) -> MapStatistics:
    return MapStatistics(**{field.name: row[field.name] for field in fields(MapStatistics)})


def read_metrics(connection: sa.Connection, job_id: str, name: str) -> list[Metric]:
    """One curve of a job by step."""
    rows = connection.execute(
        sa.select(metrics.c.step, metrics.c.value)
        .join(curves, curves.c.id == metrics.c.curve_id)
        .where(curves.c.job_id == job_id, curves.c.name == name)
        .order_by(metrics.c.step)
    )
    return [Metric(name, step, math.nan if value is None else value) for step, value in rows]


def read_artifacts(connection: sa.Connection, job_id: str) -> list[Artifact]:
    """Files of a job by kind."""
    columns = (artifacts.c[name] for name in ("kind", "path", "bytes", "digest", "place"))
    rows = connection.execute(
        sa.select(*columns).where(artifacts.c.job_id == job_id).order_by(artifacts.c.kind)
    )
    return [Artifact(**row._mapping) for row in rows]


def read_bars(connection: sa.Connection) -> dict[str, list[Bar]]:
    """Bars by data digest and name."""
    found: dict[str, list[Bar]] = {}
    for row in connection.execute(sa.select(bars).order_by(bars.c.data_digest, bars.c.name)):
        found.setdefault(row.data_digest, []).append(Bar(**row._mapping))
    return found


def read_recipe_bodies(connection: sa.Connection, ids: Sequence[str]) -> dict[str, str]:
    """Recipes' JSON by id."""
    found: dict[str, str] = {}
    for some in chunks(ids):
        rows = connection.execute(
            sa.select(recipes.c.id, recipes.c.body).where(recipes.c.id.in_(some))
        )
        found |= {row.id: row.body for row in rows}
    return found


def read_sweeps(connection: sa.Connection) -> list[Sweep]:
    """All sweeps, oldest first."""
    rows = connection.execute(sa.select(sweeps).order_by(sweeps.c.created, sweeps.c.id))
    return [Sweep(**row._mapping) for row in rows]


def read_members(connection: sa.Connection, sweep_id: str) -> list[SweepMember]:
    """The trials of a sweep under the names asked for."""
    rows = connection.execute(
        sa.select(sweep_trials)
        .where(sweep_trials.c.sweep_id == sweep_id)
        .order_by(sweep_trials.c.factorization, sweep_trials.c.trial_id)
    )
    return [SweepMember(**row._mapping) for row in rows]


def read_running(connection: sa.Connection) -> list[RunningJob]:
    """Running jobs with what they are, oldest attempt first."""
    either = {
        name: sa.func.coalesce(trials.c[name], pretrainings.c[name]).label(name)
        for name in ("flow", "dataset", "seed")
    }
    rows = connection.execute(
        sa.select(
            jobs.c.id.label("job_id"),
            jobs.c.kind,
            *either.values(),
            trials.c.factorization,
            sa.func.coalesce(trials.c.budget, jobs.c.budget).label("budget"),
            *(jobs.c[name] for name in ("step", "steps", "owner", "host", "lease_until")),
        )
        .outerjoin_from(jobs, trials, trials.c.id == jobs.c.trial_id)
        .outerjoin(pretrainings, pretrainings.c.id == jobs.c.pretraining_id)
        .where(jobs.c.state == "running")
        .order_by(jobs.c.attempt_id)
    )
    return [RunningJob(**row._mapping) for row in rows]


def read_counts(connection: sa.Connection, sweep_id: str | None) -> Counts:
    """Jobs by kind and state, of one sweep or of all.

    A sweep's pretraining jobs are the segments up to the budgets of its trials.
    """
    query = sa.select(jobs.c.kind, jobs.c.state, sa.func.count().label("jobs"))
    if sweep_id is not None:
        members = sa.select(sweep_trials.c.trial_id).where(sweep_trials.c.sweep_id == sweep_id)
        needed = (
            sa.select(trials.c.pretraining_id, sa.func.max(trials.c.budget).label("budget"))
            .where(trials.c.id.in_(members))
            .group_by(trials.c.pretraining_id)
            .subquery()
        )
        segment = sa.exists().where(
            needed.c.pretraining_id == jobs.c.pretraining_id, needed.c.budget >= jobs.c.budget
        )
        query = query.where(sa.or_(jobs.c.trial_id.in_(members), segment))
    rows = connection.execute(query.group_by(jobs.c.kind, jobs.c.state)).all()
    by_kind = {
        kind: StateCounts(**{row.state: row.jobs for row in rows if row.kind == kind})
        for kind in KINDS
    }
    return Counts(pretraining=by_kind["pretraining"], trial=by_kind["trial"])


def results_frame(
    connection: sa.Connection,
    sweep_id: str | None,
    where: Mapping[str, Scalar | Sequence[Scalar]],
) -> "pd.DataFrame":
    """Rows of `trial_results` that match."""
    query = _matching(trial_results, where)
    if sweep_id is not None:
        members = sa.select(sweep_trials.c.trial_id).where(sweep_trials.c.sweep_id == sweep_id)
        query = query.where(trial_results.c.trial_id.in_(members))
    return _frame(connection, query.order_by(*_in_order()))


def read_results(connection: sa.Connection) -> QueryResult:
    """All rows of `trial_results`."""
    found = connection.execute(sa.select(trial_results).order_by(*_in_order()))
    return QueryResult(tuple(found.keys()), tuple(tuple(row) for row in found), truncated=False)


def _in_order() -> list[sa.ColumnElement[Any]]:
    """One order of `trial_results`, where engines differ about nulls."""
    order = ("dataset", "flow", "profile", "factorization", "budget", "seed", "result_id")
    return [trial_results.c[name].asc().nulls_first() for name in order]


def attempts_frame(
    connection: sa.Connection, where: Mapping[str, Scalar | Sequence[Scalar]]
) -> "pd.DataFrame":
    """Rows of `attempts` that match."""
    return _frame(connection, _matching(attempts, where).order_by(attempts.c.id))


def _matching(table: sa.Table, where: Mapping[str, Scalar | Sequence[Scalar]]) -> sa.Select[Any]:
    query = sa.select(table)
    for name, wanted in where.items():
        if name not in table.c:
            listed = ", ".join(table.c.keys())
            raise UserError(f"{table.name} has no column '{name}': choose among {listed}")
        column: sa.ColumnElement[Any] = table.c[name]
        if isinstance(wanted, Sequence) and not isinstance(wanted, str):
            query = query.where(column.in_(wanted))
        else:
            query = query.where(column == wanted)
    return query


def _frame(connection: sa.Connection, query: sa.Select[Any]) -> "pd.DataFrame":
    import pandas as pd

    rows = [tuple(row) for row in connection.execute(query)]
    columns = list(query.selected_columns)
    frame = pd.DataFrame(rows, columns=[column.name for column in columns])
    # Said, since a column with nulls, or with no rows, would come out as another type.
    types = {c.name: _dtype(c) for c in columns if not isinstance(c.type, sa.Text)}
    return frame.astype(types)


def _dtype(column: sa.ColumnElement[Any]) -> str:
    if isinstance(column.type, sa.Double):
        return "float64"
    return "Int64" if getattr(column, "nullable", True) else "int64"
