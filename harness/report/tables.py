"""Rows of a query in every format: a terminal's table, JSON, CSV, Markdown, LaTeX and Parquet."""

import csv
import io
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console, Group, RenderableType
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from lcma.db import QueryResult
from lcma.db.views import views
from lcma.harness.terminal import text_cell
from lcma.harness.text import escape_markdown, printable, to_json

if TYPE_CHECKING:
    import pyarrow as pa

FORMULA = ("=", "+", "-", "@")
"""Characters with which a formula may begin in a spreadsheet."""


def render_rows(result: QueryResult, console: Console) -> RenderableType:
    """Return a table; where it is wider than the console, a line for each value."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    columns = list(zip(*result.rows, strict=True)) or [()] * len(result.columns)
    for name, values in zip(result.columns, columns, strict=True):
        numbers = all(isinstance(v, int | float | None) for v in values)
        table.add_column(text_cell(name), justify="right" if numbers else "left", no_wrap=True)
    for row in result.rows:
        table.add_row(*(text_cell(_shown(value)) for value in row))
    if Measurement.get(console, console.options.update(width=10**6), table).maximum <= (
        console.width
    ):
        return table
    width = max(len(printable(name)) for name in result.columns)
    lines = []
    for number, row in enumerate(result.rows, start=1):
        lines.append(Text(f"row {number}", style="bold"))
        for name, value in zip(result.columns, row, strict=True):
            lines.append(Text(f"  {printable(name):<{width}}  ") + text_cell(_shown(value)))
    return Group(*lines)


def rows_as_json(result: QueryResult) -> str:
    """Return {"columns": [...], "rows": [[...], ...], "truncated": ...}; bytes as hex digits."""
    rows = [[_exact(value) for value in row] for row in result.rows]
    return to_json({"columns": result.columns, "rows": rows, "truncated": result.truncated})


def rows_as_markdown(result: QueryResult) -> str:
    """Return one GitHub table."""
    lines = [[printable(name) for name in result.columns], ["---"] * len(result.columns)]
    lines += [["" if v is None else printable(_shown(v)) for v in row] for row in result.rows]
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


def flag_as_stored(value: Any) -> Any:
    """Return a flag as databases have it, 1 or 0; any other value as it is."""
    return int(value) if isinstance(value, bool) else value


# CSV


def rows_as_csv(result: QueryResult) -> str:
    """Return a heading and a line for each row; null is empty, control characters are escapes.

    Text that a spreadsheet would take for a formula has an apostrophe before it.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([escape_csv(name) for name in result.columns])
    # By columns, since texts repeat in them: a hundred thousand rows have few names.
    columns = [_csv_column(column) for column in zip(*result.rows, strict=True)]
    writer.writerows(zip(*columns, strict=True) if columns else ([] for _ in result.rows))
    return out.getvalue()


def escape_csv(text: str) -> str:
    """Return text for a cell of a CSV file, harmless in a terminal and in a spreadsheet."""
    shown = printable(text)
    return f"'{shown}" if shown.startswith(FORMULA) else shown


def _csv_column(values: Sequence[Any]) -> Sequence[Any]:
    kinds = set(map(type, values)) - {type(None)}
    if kinds <= {int} or (kinds <= {int, float} and all(map(math.isfinite, filter(None, values)))):
        return values
    known: dict[str, str] = {}
    return [
        (known.get(value) or known.setdefault(value, escape_csv(value)))
        if isinstance(value, str)
        else _exact(value)
        for value in values
    ]


# LaTeX documents that compile as they are, whatever was stored

_SPECIAL = {
    **{c: f"\\{c}" for c in "{}$&#_%"},
    "\\": "\\textbackslash{}",
    "~": "\\textasciitilde{}",
    "^": "\\textasciicircum{}",
    "<": "\\textless{}",
    ">": "\\textgreater{}",
    "|": "\\textbar{}",
    '"': "\\textquotedbl{}",
    "'": "\\textquotesingle{}",
    "`": "\\textasciigrave{}",
    "±": "$\\pm$",
    "†": "\\textdagger{}",
}

_LIGATURE = re.compile("(?<=-)(?=-)|(?<=,)(?=,)")
"""Places where two characters would become another one."""

_NUMBER = re.compile(r"[+-]\d+(\.\d+)?")

_HEAD = r"""\documentclass{article}
\usepackage[T1]{fontenc}
\usepackage{textcomp}
\usepackage{booktabs}
\usepackage{graphicx}
\begin{document}
"""


@dataclass(frozen=True)
class LatexTable:
    """A table with what stands above and below it.

    ``bold`` are the places (row, column) of cells in bold, ``left`` is how many columns are text.
    """

    title: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()
    bold: frozenset[tuple[int, int]] = frozenset()
    left: int = 1


def rows_as_latex(result: QueryResult, title: str) -> str:
    """Return a document with one table of rows, numbers in full."""
    rows = [["" if v is None else _latex_cell(v) for v in row] for row in result.rows]
    columns = list(zip(*result.rows, strict=True)) or [()] * len(result.columns)
    left = 0
    for values in columns:
        if all(isinstance(v, int | float | None) for v in values):
            break
        left += 1
    return latex_document([LatexTable(title, result.columns, rows, left=left)])


def latex_document(sections: Sequence[LatexTable], ending: Sequence[str] = ()) -> str:
    """Return a whole document; a table can be cut out of it from `table` to `table`."""
    lines = [line for section in sections for line in _latex_lines(section)]
    lines += [f"{escape_latex(line)}\n" for line in ending]
    return _HEAD + "\n".join([*lines, "\\mbox{}", "\\end{document}"]) + "\n"


def escape_latex(text: str) -> str:
    """Return text that LaTeX prints as it stands; characters other than ASCII as code points."""
    escaped = "".join(_SPECIAL.get(c) or _ascii(c) for c in printable(text))
    return _LIGATURE.sub("{}", escaped)


def _latex_lines(section: LatexTable) -> Iterator[str]:
    numbers = len(section.headings) - section.left
    yield "\\begin{table}[p]\n\\centering"
    yield f"\\caption{{{escape_latex(section.title)}}}"
    yield "\\resizebox{\\ifdim\\width>\\linewidth\\linewidth\\else\\width\\fi}{!}{%"
    yield f"\\begin{{tabular}}{{{'l' * section.left}{'r' * numbers}}}\n\\toprule"
    yield _latex_row([escape_latex(heading) for heading in section.headings])
    yield "\\midrule"
    for i, row in enumerate(section.rows):
        cells = [f"${c}$" if _NUMBER.fullmatch(c) else escape_latex(c) for c in row]
        yield _latex_row(
            [f"\\textbf{{{c}}}" if (i, j) in section.bold else c for j, c in enumerate(cells)]
        )
    yield "\\bottomrule\n\\end{tabular}}"
    for note in section.notes:
        yield f"\\par\\smallskip\\footnotesize {escape_latex(note)}"
    yield "\\end{table}\n\\clearpage"


def _latex_row(cells: Sequence[str]) -> str:
    # A cell that begins with [ or * would be an argument of the \\ before it.
    safe = [f"{{{cell}}}" if cell.startswith(("[", "*")) else cell for cell in cells]
    return " & ".join(safe) + " \\\\"


def _ascii(character: str) -> str:
    return character if character.isascii() else f"\\texttt{{U+{ord(character):04X}}}"


def _latex_cell(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)


# Parquet files: the same bytes for the same rows


def rows_as_parquet(result: QueryResult) -> bytes:
    """Return a Parquet file.

    A column's type is that of the views' column of its name, else that of its values; text is as in
    the other formats, without control characters.
    """
    import pyarrow as pa
    from pyarrow import parquet

    columns = list(zip(*result.rows, strict=True)) or [()] * len(result.columns)
    arrays = [_array(n, values) for n, values in zip(result.columns, columns, strict=True)]
    table = pa.Table.from_arrays(arrays, names=[printable(name) for name in result.columns])
    out = io.BytesIO()
    parquet.write_table(table, out, compression="zstd")
    return out.getvalue()


def _array(name: str, values: Sequence[Any]) -> "pa.Array":
    import pyarrow as pa

    kinds = set(map(type, values)) - {type(None)}
    if not kinds:
        return pa.array(values, type=_declared(name))
    if kinds <= {int, bool} and all(abs(v) < 2**63 for v in values if v is not None):
        return pa.array(values, type=pa.int64())
    if kinds == {float}:
        return pa.array(values, type=pa.float64())
    if kinds == {int, float}:
        return pa.array([None if v is None else float(v) for v in values], type=pa.float64())
    if kinds == {bytes}:
        return pa.array(values, type=pa.binary())
    known: dict[Any, str] = {}
    texts = [
        None if v is None else known.get(v) or known.setdefault(v, printable(v)) for v in values
    ]
    return pa.array(texts, type=pa.string())


def _declared(name: str) -> "pa.DataType":
    """Return the type of a column without any value."""
    import pyarrow as pa

    types = {str: pa.string(), int: pa.int64(), float: pa.float64()}
    for view in views.tables.values():
        if name in view.c:
            return types[view.c[name].type.python_type]
    return pa.string()
