"""Rows of a query for people and programs."""

import csv
import io
import math
from collections.abc import Sequence
from typing import Any

from rich import box
from rich.console import Console, Group, RenderableType
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from lcma.db import QueryResult
from lcma.harness.report.text import escape_markdown, printable, text_cell, to_json

FORMULA = ("=", "+", "-", "@")
"""With what a formula may begin in a spreadsheet."""


def render_rows(found: QueryResult, console: Console) -> RenderableType:
    """A table; where it is wider than the console, a line for each value."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    columns = list(zip(*found.rows, strict=True)) or [()] * len(found.columns)
    for name, values in zip(found.columns, columns, strict=True):
        numbers = all(isinstance(v, int | float | None) for v in values)
        table.add_column(text_cell(name), justify="right" if numbers else "left", no_wrap=True)
    for row in found.rows:
        table.add_row(*(text_cell(_shown(value)) for value in row))
    if Measurement.get(console, console.options.update(width=10**6), table).maximum <= (
        console.width
    ):
        return table
    width = max(len(printable(name)) for name in found.columns)
    lines = []
    for number, row in enumerate(found.rows, start=1):
        lines.append(Text(f"row {number}", style="bold"))
        for name, value in zip(found.columns, row, strict=True):
            lines.append(Text(f"  {printable(name):<{width}}  ") + text_cell(_shown(value)))
    return Group(*lines)


def rows_as_json(found: QueryResult) -> str:
    """{"columns": [...], "rows": [[...], ...], "truncated": ...}; bytes as hexadecimal digits."""
    rows = [[_exact(value) for value in row] for row in found.rows]
    return to_json({"columns": found.columns, "rows": rows, "truncated": found.truncated})


def rows_as_csv(found: QueryResult) -> str:
    """A heading and a line for each row; null is empty, control characters are escapes.

    Text that a spreadsheet would take for a formula has an apostrophe before it.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([for_csv(name) for name in found.columns])
    # By columns, since texts repeat in them: a hundred thousand rows have few names.
    columns = [_csv_column(column) for column in zip(*found.rows, strict=True)]
    writer.writerows(zip(*columns, strict=True) if columns else ([] for _ in found.rows))
    return out.getvalue()


def rows_as_stored(value: Any) -> Any:
    """A flag as databases have it: 1 or 0; any other value as it is."""
    return int(value) if isinstance(value, bool) else value


def for_csv(text: str) -> str:
    """Text of a cell of a CSV file, harmless in a terminal and in a spreadsheet."""
    shown = printable(text)
    return f"'{shown}" if shown.startswith(FORMULA) else shown


def _csv_column(values: Sequence[Any]) -> Sequence[Any]:
    kinds = set(map(type, values)) - {type(None)}
    if kinds <= {int} or (kinds <= {int, float} and all(map(math.isfinite, filter(None, values)))):
        return values
    known: dict[str, str] = {}
    return [
        (known.get(value) or known.setdefault(value, for_csv(value)))
        if isinstance(value, str)
        else _exact(value)
        for value in values
    ]


def rows_as_markdown(found: QueryResult) -> str:
    """One GitHub table."""
    lines = [[printable(name) for name in found.columns], ["---"] * len(found.columns)]
    lines += [["" if v is None else printable(_shown(v)) for v in row] for row in found.rows]
    text = [
        [part if index == 1 else escape_markdown(part) for part in line]
        for index, line in enumerate(lines)
    ]
    return "".join("| " + " | ".join(line) + " |\n" for line in text)


def _shown(value: Any) -> Any:
    return f"<{len(value)} bytes>" if isinstance(value, bytes) else value


def _exact(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
