"""Inserts of points of curves: few at a time while a job trains, or many at once."""

import math
from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from lcma.db.engine import Statement
from lcma.db.inserts import insert
from lcma.db.records import Metric
from lcma.db.schema import metrics

PUBLISHED_POINTS = 60
"""Points that a curve of a published database has at most, the first and the last among them."""


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
    else:
        names, steps, found = zip(*rows, strict=True)
        listed = {"name": list(names), "step": list(steps), "value": list(found)}
        _PUT.run(connection, {"attempt_id": attempt_id, **listed})
