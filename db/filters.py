"""Conditions on columns: from keywords of callers, and from long lists of ids."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import sqlalchemy as sa

from lcma.sweeps.errors import UserError, suggest

Id = TypeVar("Id", str, int)

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


def chunks(ids: Sequence[Id], size: int = 500) -> Iterator[Sequence[Id]]:
    """Yield parts of a list for IN."""
    # SQLite takes 32766 values, and PostgreSQL plans long lists slowly.
    for start in range(0, len(ids), size):
        yield ids[start : start + size]


def build_conditions(
    what: str, columns: Mapping[str, sa.Column[Any]], where: Where
) -> Iterator[sa.ColumnElement[bool]]:
    """Build what rows must satisfy.

    Args:
        what: The view or table, as errors name it.
        columns: Its columns by name.
        where: By name of a column the value, or the values, that it may have; None is null.

    Raises:
        UserError: A column is unknown, or a value is one that it cannot have.
    """
    for name, wanted in where.items():
        if name not in columns:
            hint = suggest(name, columns, "choose among")
            raise UserError(f"{what} has no column '{name}': {hint}")
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
    # As Python has it, None for what is missing in NumPy or pandas.
    if value is None or type(value) in (str, int):
        return value
    import pandas as pd

    missing = pd.isna(value)
    if missing is True or missing is np.True_:
        return None
    return value.item() if isinstance(value, np.generic) else value
