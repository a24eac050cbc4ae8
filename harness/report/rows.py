"""Rows of a query for people and programs."""

import csv
import io
import math
from typing import Any

from rich import box
from rich.console import Console, Group, RenderableType
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from db import QueryResult
from harness.report.text import cell, escape_markdown, plain, to_json


def render(found: QueryResult, console: Console) -> RenderableType:
    """A table; where it is wider than the console, a line for each value."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    columns = list(zip(*found.rows, strict=True)) or [()] * len(found.columns)
    for name, values in zip(found.columns, columns, strict=True):
        numbers = all(isinstance(v, int | float | None) for v in values)
        table.add_column(cell(name), justify="right" if numbers else "left", no_wrap=True)
    for row in found.rows:
        table.add_row(*(cell(_shown(value)) for value in row))
    if Measurement.get(console, console.options.update(width=10**6), table).maximum <= (
        console.width
    ):
        return table
    width = max(len(plain(name)) for name in found.columns)
    lines = []
    for number, row in enumerate(found.rows, start=1):
        lines.append(Text(f"row {number}", style="bold"))
        for name, value in zip(found.columns, row, strict=True):
            lines.append(Text(f"  {plain(name):<{width}}  ") + cell(_shown(value)))
    return Group(*lines)


def as_json(found: QueryResult) -> str:
    """{"columns": [...], "rows": [[...], ...], "truncated": ...}; bytes as hexadecimal digits."""
    rows = [[_exact(value) for value in row] for row in found.rows]
    return to_json({"columns": found.columns, "rows": rows, "truncated": found.truncated})


def as_csv(found: QueryResult) -> str:
    """A heading and a line for each row; null is empty, control characters are escapes."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([plain(name) for name in found.columns])
    for row in found.rows:
        exact = [_exact(value) for value in row]
        writer.writerow([plain(value) if isinstance(value, str) else value for value in exact])
    return out.getvalue()


def as_markdown(found: QueryResult) -> str:
    """One GitHub table."""
    lines = [[plain(name) for name in found.columns], ["---"] * len(found.columns)]
    lines += [["" if v is None else plain(_shown(v)) for v in row] for row in found.rows]
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
