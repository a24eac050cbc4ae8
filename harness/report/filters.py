"""Which results are asked for: KEY=VALUE of columns, bound as parameters and never as SQL."""

from collections.abc import Sequence
from typing import Any

from lcma.db.schema import views
from lcma.harness.report.board import Value
from lcma.harness.report.text import printable
from lcma.sweeps.errors import UserError

NULL = "null"


def parse_filters(assignments: Sequence[str], view: str = "trial_results") -> dict[str, Any]:
    """`["flow=glow", "seed=0", "seed=1"]` as `{"flow": ("glow",), "seed": (0, 1)}`.

    Values have the type of their column, `null` is null, and a column that is named several times
    may have any of the values. Raises UserError for another column, or a value it cannot have.
    """
    columns = views.tables[view].c
    found: dict[str, tuple[Value, ...]] = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        name = name.strip()
        if not equals:
            raise UserError(
                f"--where {printable(assignment)!r}: give KEY=VALUE such as flow=realnvp"
            )
        if name not in columns:
            raise UserError(
                f"--where {printable(name)!r}: no such column; choose among {', '.join(columns.keys())}"
            )
        kind = columns[name].type.python_type
        found[name] = (*found.get(name, ()), _value(name, text, kind))
    return dict(found)


def _value(name: str, text: str, kind: type) -> Value:
    if text == NULL:
        return None
    if kind is str:
        return text
    try:
        return int(text) if kind is int else float(text)
    except ValueError:
        wanted = "a whole number" if kind is int else "a number"
        raise UserError(f"--where {name}={printable(text)}: {name} is {wanted}") from None
