"""Inserts of points of curves: few at a time while a job trains, or many at once."""

import math
from collections.abc import Iterable, Sequence

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from lcma.db.engine import Statement, driver_errors, driver_of
from lcma.db.inserts import insert
from lcma.db.records import Metric
from lcma.db.schema import metrics

PUBLISHED_POINTS = 60
"""Points that a curve of a published database has at most, the first and the last among them."""

MANY = 200
"""From how many points on PostgreSQL takes them by COPY, which costs a round trip more."""


_LAST = Statement(
    lambda _: (
        sa.select(metrics.c.name, sa.func.max(metrics.c.step))
        .where(metrics.c.attempt_id == sa.bindparam("attempt_id"))
        .group_by(metrics.c.name)
    )
)


def _put_points(dialect: sa.Dialect) -> sa.sql.dml.UpdateBase:
    new = insert(dialect, metrics)
    if dialect.name == "postgresql":
        points = (
            sa.func.unnest(
                sa.bindparam("name", type_=postgresql.ARRAY(sa.Text)),
                sa.bindparam("step", type_=postgresql.ARRAY(sa.Integer)),
                sa.bindparam("value", type_=postgresql.ARRAY(sa.Double)),
            )
            .table_valued("name", "step", "value")
            .render_derived()
        )
        own = sa.bindparam("attempt_id", type_=sa.Text)
        rows = sa.select(own, points.c.name, points.c.step, points.c.value)
        new = new.from_select(["attempt_id", "name", "step", "value"], rows)
    return new.on_conflict_do_update(
        index_elements=["attempt_id", "name", "step"], set_={"value": new.excluded.value}
    )


_PUT = Statement(_put_points, columns=("attempt_id", "name", "step", "value"))


def insert_metrics(connection: sa.Connection, attempt_id: str, points: Sequence[Metric]) -> None:
    """Store points of an attempt's curves; a point that is there already is replaced.

    Its job must be held by this transaction.
    """
    if not points:
        return
    # Of two at one place, the later one counts.
    values = {
        (point.name, point.step): None if math.isnan(point.value) else float(point.value)
        for point in points
    }
    rows = [(name, step, value) for (name, step), value in values.items()]
    if connection.dialect.name != "postgresql":
        _PUT.run_tuples(connection, [(attempt_id, *row) for row in rows])
    elif len(rows) >= MANY and _are_new(connection, attempt_id, values):
        _copy(connection, attempt_id, rows)
    else:
        names, steps, found = zip(*rows, strict=True)
        listed = {"name": list(names), "step": list(steps), "value": list(found)}
        _PUT.run(connection, {"attempt_id": attempt_id, **listed})


def _are_new(connection: sa.Connection, attempt_id: str, keys: Iterable[tuple[str, int]]) -> bool:
    last = dict(_LAST.all(connection, {"attempt_id": attempt_id}))
    return all(step > last.get(name, -1) for name, step in keys)


def _copy(
    connection: sa.Connection, attempt_id: str, rows: Sequence[tuple[str, int, float | None]]
) -> None:
    into = "COPY metrics (attempt_id, name, step, value) FROM STDIN (FORMAT BINARY)"
    with (
        driver_errors(connection),
        driver_of(connection).cursor() as cursor,
        cursor.copy(into) as copy,
    ):
        copy.set_types(["text", "text", "int4", "float8"])
        for row in rows:
            copy.write_row((attempt_id, *row))
