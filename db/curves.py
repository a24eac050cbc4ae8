"""The points of curves: few at a time while a job trains, or many at once; and read in parts."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from lcma.db.driving import Statement, driver, translated
from lcma.db.inserting import insert
from lcma.db.jobs import chunks
from lcma.db.records import Metric
from lcma.db.schema import curves, jobs, metrics, pretrainings, trials

MANY = 200
"""From how many points on PostgreSQL takes them by COPY, which costs a round trip more."""


@dataclass(frozen=True, slots=True)
class Curve:
    """A curve of a job: how many points it has, and the step of the last."""

    id: int
    job_id: str
    name: str
    points: int
    last_step: int


_KNOWN = Statement(
    lambda _: sa.select(
        curves.c.name,
        curves.c.id,
        sa.select(sa.func.max(metrics.c.step))
        .where(metrics.c.curve_id == curves.c.id)
        .scalar_subquery(),
    ).where(curves.c.job_id == sa.bindparam("job_id"))
)


def _begin_curve(dialect: sa.Dialect) -> sa.sql.dml.UpdateBase:
    new = insert(dialect, curves)
    # Sets what is there to itself, so that its id comes back either way.
    same = new.on_conflict_do_update(
        index_elements=["job_id", "name"], set_={"name": new.excluded.name}
    )
    return same.returning(curves.c.id)


_BEGIN = Statement(_begin_curve, columns=("job_id", "name"))


def _put_points(dialect: sa.Dialect) -> sa.sql.dml.UpdateBase:
    new = insert(dialect, metrics)
    if dialect.name == "postgresql":
        points = (
            sa.func.unnest(
                sa.bindparam("curve_id", type_=postgresql.ARRAY(sa.Integer)),
                sa.bindparam("step", type_=postgresql.ARRAY(sa.Integer)),
                sa.bindparam("value", type_=postgresql.ARRAY(sa.Double)),
            )
            .table_valued("curve_id", "step", "value")
            .render_derived()
        )
        new = new.from_select(["curve_id", "step", "value"], sa.select(points))
    return new.on_conflict_do_update(
        index_elements=["curve_id", "step"], set_={"value": new.excluded.value}
    )


_PUT = Statement(_put_points, columns=("curve_id", "step", "value"))


def insert_metrics(connection: sa.Connection, job_id: str, points: Sequence[Metric]) -> None:
    """Store points of a job's curves; a point that is there already is replaced.

    The job must be held by this transaction.
    """
    if not points:
        return
    ids: dict[str, int] = {}
    last: dict[int, int] = {}
    for name, curve, step in _KNOWN.all(connection, {"job_id": job_id}):
        ids[name] = curve
        if step is not None:
            last[curve] = step
    for name in sorted({point.name for point in points} - ids.keys()):
        ((ids[name],),) = _BEGIN.all(connection, {"job_id": job_id, "name": name})
    # Of two at one place, the later one counts.
    values = {
        (ids[point.name], point.step): None if math.isnan(point.value) else float(point.value)
        for point in points
    }
    rows = [(curve, step, value) for (curve, step), value in values.items()]
    if connection.dialect.name != "postgresql":
        _PUT.run_many(connection, rows)
    elif len(rows) >= MANY and all(step > last.get(curve, -1) for curve, step in values):
        _copy(connection, rows)
    else:
        curve_ids, steps, found = zip(*rows, strict=True)
        _PUT.run(
            connection, {"curve_id": list(curve_ids), "step": list(steps), "value": list(found)}
        )


def _copy(connection: sa.Connection, rows: Sequence[tuple[int, int, float | None]]) -> None:
    with (
        translated(connection),
        driver(connection).cursor() as cursor,
        cursor.copy("COPY metrics (curve_id, step, value) FROM STDIN (FORMAT BINARY)") as copy,
    ):
        copy.set_types(["int4", "int4", "float8"])
        for row in rows:
            copy.write_row(row)


def read_curves(connection: sa.Connection, job_ids: Sequence[str]) -> list[Curve]:
    """The curves of jobs that have any point, by job and name."""
    points = sa.func.count()
    query = (
        sa.select(curves.c.id, curves.c.job_id, curves.c.name, points, sa.func.max(metrics.c.step))
        .join_from(curves, metrics, metrics.c.curve_id == curves.c.id)
        .group_by(curves.c.id, curves.c.job_id, curves.c.name)
    )
    found = [
        Curve(*row)
        for some in chunks(sorted(job_ids))
        for row in connection.execute(query.where(curves.c.job_id.in_(some)))
    ]
    return sorted(found, key=lambda curve: (curve.job_id, curve.name))


def read_points(
    connection: sa.Connection, curve_id: int, after: int, until: int, most: int
) -> list[tuple[int, float]]:
    """The first points of a curve after a step and up to one, with their steps."""
    rows = connection.execute(
        sa.select(metrics.c.step, metrics.c.value)
        .where(metrics.c.curve_id == curve_id, metrics.c.step > after, metrics.c.step <= until)
        .order_by(metrics.c.step)
        .limit(most)
    )
    return [(step, math.nan if value is None else value) for step, value in rows]


def read_thinned(
    connection: sa.Connection, curve_ids: Sequence[int], every: int
) -> dict[int, list[tuple[int, float]]]:
    """Of each curve the points at every so-many-th place from the first on, and the last."""
    found: dict[int, list[tuple[int, float]]] = {}
    for some in chunks(sorted(curve_ids)):
        place = sa.func.row_number().over(partition_by=metrics.c.curve_id, order_by=metrics.c.step)
        last = sa.func.max(metrics.c.step).over(partition_by=metrics.c.curve_id)
        every_point = (
            sa.select(metrics, (place - 1).label("place"), last.label("last"))
            .where(metrics.c.curve_id.in_(some))
            .subquery()
        )
        own = every_point.c
        rows = connection.execute(
            sa.select(own.curve_id, own.step, own.value)
            .where(sa.or_(own.place % every == 0, own.step == own.last))
            .order_by(own.curve_id, own.step)
        )
        for curve_id, step, value in rows:
            found.setdefault(curve_id, []).append((step, math.nan if value is None else value))
    return found


def read_recipe_ids(connection: sa.Connection, job_ids: Sequence[str]) -> dict[str, str]:
    """The recipes of jobs, of their trials or pretrainings, by the job's id."""
    recipe_id = sa.func.coalesce(trials.c.recipe_id, pretrainings.c.recipe_id)
    query = (
        sa.select(jobs.c.id, recipe_id.label("recipe_id"))
        .outerjoin_from(jobs, trials, trials.c.id == jobs.c.trial_id)
        .outerjoin(pretrainings, pretrainings.c.id == jobs.c.pretraining_id)
    )
    return {
        row.id: row.recipe_id
        for some in chunks(sorted(job_ids))
        for row in connection.execute(query.where(jobs.c.id.in_(some)))
    }
