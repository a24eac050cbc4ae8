"""Rows of views and tables, chosen by their columns: for pandas, and as they are."""

import re
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import sqlalchemy as sa

from lcma.db.engine import QueryResult
from lcma.db.schema import attempts, sweep_trials, views
from lcma.sweeps.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

Scalar = str | int | float | np.generic | None
Where = Mapping[str, "Scalar | Collection[Scalar]"]
"""Names of columns, each with the value, or the values, that it may have; None is null."""

MOST_VALUES = 30_000
"""Of one column; SQLite takes 32766 values in a statement."""

UNSTORABLE = re.compile("[\0\ud800-\udfff]")
"""Characters that no text of a database can have."""

KINDS: Mapping[type, tuple[tuple[type, ...], str]] = {
    sa.Text: ((str,), "text"),
    sa.Integer: ((int,), "a whole number"),
    sa.BigInteger: ((int,), "a whole number"),
    sa.Double: ((int, float), "a number"),
}
"""What a column of a type may be compared with, and in words."""


def read_view(
    connection: sa.Connection, name: str, where: Where, sweep_id: str | None = None
) -> "pd.DataFrame":
    """Rows of a view that match, always in the same order; of one sweep's trials alone if asked."""
    view = _view(name)
    query = sa.select(view).where(*conditions(name, dict(view.c), where))
    if sweep_id is not None:
        members = sa.select(sweep_trials.c.trial_id).where(sweep_trials.c.sweep_id == sweep_id)
        query = query.where(view.c.trial_id.in_(members))
    return _frame(connection, query.order_by(*_order(view)))


def read_attempts(connection: sa.Connection, where: Where) -> "pd.DataFrame":
    """Rows of `attempts` that match."""
    chosen = conditions("attempts", dict(attempts.c), where)
    return _frame(connection, sa.select(attempts).where(*chosen).order_by(attempts.c.id))


def read_rows(connection: sa.Connection, name: str, where: Where) -> QueryResult:
    """Rows of a view that match, in the same order."""
    view = _view(name)
    query = sa.select(view).where(*conditions(name, dict(view.c), where))
    found = connection.execute(query.order_by(*_order(view)))
    return QueryResult(tuple(found.keys()), tuple(map(tuple, found)), truncated=False)


def conditions(
    what: str, columns: Mapping[str, sa.Column[Any]], where: Where
) -> Iterator[sa.ColumnElement[bool]]:
    """What rows must satisfy. UserError for an unknown column, or a value that it cannot have."""
    for name, wanted in where.items():
        if name not in columns:
            listed = ", ".join(columns)
            raise UserError(f"{what} has no column '{name}': choose among {listed}")
        column = columns[name]
        one = isinstance(wanted, str | bytes) or not isinstance(wanted, Collection)
        values = [_plain(value) for value in ([wanted] if one else wanted)]  # type: ignore[union-attr]
        if len(values) > MOST_VALUES:
            raise UserError(
                f"{len(values)} values for the column '{name}' of {what} are too many: "
                f"give at most {MOST_VALUES}"
            )
        for value in values:
            _require_fit(what, column, value)
        whole = isinstance(column.type, sa.Integer)
        # A server refuses to compare a column of four bytes with a number that needs eight.
        compared = sa.type_coerce(column, sa.BigInteger) if whole else column
        known = compared.in_([value for value in values if value is not None])
        yield sa.or_(known, column.is_(None)) if None in values else known


def _require_fit(what: str, column: sa.Column[Any], value: Any) -> None:
    kinds, words = KINDS[type(column.type)]
    if value is None:
        return
    fits = isinstance(value, kinds) and not isinstance(value, bool)
    if isinstance(value, str):
        fits &= not UNSTORABLE.search(value)
    elif isinstance(value, int):
        fits &= abs(value) < 2**63
    if not fits:
        raise UserError(f"the column '{column.name}' of {what} is {words}: {value!r} is none")


def _plain(value: Any) -> Any:
    """The value as Python has it, None for what is missing in NumPy or pandas."""
    if value is None or type(value) in (str, int):
        return value
    import pandas as pd

    missing = pd.isna(value)
    if missing is True or missing is np.True_:
        return None
    return value.item() if isinstance(value, np.generic) else value


def _view(name: str) -> sa.Table:
    if name not in views.tables:
        raise UserError(f"there is no view '{name}': choose among {', '.join(views.tables)}")
    return views.tables[name]


def _order(view: sa.Table) -> list[sa.ColumnElement[Any]]:
    """Where engines differ about nulls, they come first."""
    return [view.c[name].asc().nulls_first() for name in view.info.get("order", view.c.keys())]


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
