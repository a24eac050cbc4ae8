"""What a database is given with its schema: what measures are, and quantiles for intervals."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict

import sqlalchemy as sa

from lcma.db.inserts import append_rows, insert_or_replace
from lcma.db.schema import measure_kinds, t_quantiles
from lcma.sweeps.errors import UserError
from lcma.sweeps.measures import MeasureKind

MOST_FREEDOM = 1000
"""The degrees of freedom up to which `t_quantiles` goes."""


def write_measure_kinds(connection: sa.Connection, kinds: Iterable[MeasureKind]) -> None:
    """Store what measures are. Raises UserError as `require_same_measures` does."""
    rows = {kind.name: kind for kind in kinds}
    known = read_measure_kinds(connection)
    require_same_measures(known, rows.values())
    new = [asdict(kind) for name, kind in rows.items() if known.get(name) != kind]
    if new:
        insert_or_replace(connection, measure_kinds, new)


def read_measure_kinds(connection: sa.Connection) -> dict[str, MeasureKind]:
    """Return what measures are that the database knows, by name."""
    found = connection.execute(sa.select(measure_kinds).order_by(measure_kinds.c.name))
    return {row.name: MeasureKind(**row._mapping) for row in found}


def require_same_measures(known: Mapping[str, MeasureKind], kinds: Iterable[MeasureKind]) -> None:
    """Raise UserError for a measure of another unit or direction: their numbers are not alike."""
    for kind in kinds:
        there = known.get(kind.name, kind)
        if (there.unit, there.direction) != (kind.unit, kind.direction):
            raise UserError(
                f"the measure '{kind.name}' is in {there.unit} in this database, "
                f"{there.direction} is better, and here in {kind.unit}, {kind.direction}: "
                "give it another name"
            )


def write_quantiles(connection: sa.Connection) -> None:
    """Fill `t_quantiles` where it is empty."""
    from scipy.special import stdtrit

    if connection.execute(sa.select(t_quantiles.c.freedom).limit(1)).first() is None:
        values = stdtrit(range(1, MOST_FREEDOM + 1), 0.975).tolist()
        rows = [{"freedom": n, "quantile": value} for n, value in enumerate(values, start=1)]
        append_rows(connection, t_quantiles, rows)
