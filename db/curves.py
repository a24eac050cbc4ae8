"""Inserts of points of curves: few at a time while a job trains, or many at once."""

import math
from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from lcma.db.engine import Statement, driver_errors, driver_of
from lcma.db.inserts import insert
from lcma.db.records import Metric
from lcma.db.schema import curves, metrics

PUBLISHED_POINTS = 60
"""Points that a curve of a published database has at most, the first and the last among them."""

MANY = 200
"""From how many points on PostgreSQL takes them by COPY, which costs a round trip more."""


_KNOWN = Statement(
    lambda _: sa.select(
        curves.c.name,
        curves.c.id,
        sa.select(sa.func.max(metrics.c.step))
        .where(metrics.c.curve_id == curves.c.id)
        .scalar_subquery(),
    ).where(curves.c.attempt_id == sa.bindparam("attempt_id"))
)


def _begin_curve(dialect: sa.Dialect) -> sa.sql.dml.UpdateBase:
    new = insert(dialect, curves)
    # Sets what is there to itself, so that its id comes back either way.
    same = new.on_conflict_do_update(
        index_elements=["attempt_id", "name"], set_={"name": new.excluded.name}
    )
    return same.returning(curves.c.id)


_BEGIN = Statement(_begin_curve, columns=("attempt_id", "name"))


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


def insert_metrics(connection: sa.Connection, attempt_id: int, points: Sequence[Metric]) -> None:
    """Store points of an attempt's curves; a point that is there already is replaced.

    Its job must be held by this transaction.
    """
    if not points:
        return
    ids: dict[str, int] = {}
    last: dict[int, int] = {}
    for name, curve, step in _KNOWN.all(connection, {"attempt_id": attempt_id}):
        ids[name] = curve
        if step is not None:
            last[curve] = step
    for name in sorted({point.name for point in points} - ids.keys()):
        ((ids[name],),) = _BEGIN.all(connection, {"attempt_id": attempt_id, "name": name})
    # Of two at one place, the later one counts.
    values = {
        (ids[point.name], point.step): None if math.isnan(point.value) else float(point.value)
        for point in points
    }
    rows = [(curve, step, value) for (curve, step), value in values.items()]
    if connection.dialect.name != "postgresql":
        _PUT.run_tuples(connection, rows)
    elif len(rows) >= MANY and all(step > last.get(curve, -1) for curve, step in values):
        _copy(connection, rows)
    else:
        curve_ids, steps, found = zip(*rows, strict=True)
        _PUT.run(
            connection, {"curve_id": list(curve_ids), "step": list(steps), "value": list(found)}
        )


def _copy(connection: sa.Connection, rows: Sequence[tuple[int, int, float | None]]) -> None:
    with (
        driver_errors(connection),
        driver_of(connection).cursor() as cursor,
        cursor.copy("COPY metrics (curve_id, step, value) FROM STDIN (FORMAT BINARY)") as copy,
    ):
        copy.set_types(["int4", "int4", "float8"])
        for row in rows:
            copy.write_row(row)
