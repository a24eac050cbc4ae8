"""One class of tables, and a writer for each format.

Terminal, Markdown, LaTeX and HTML are for people: values are rounded as their columns say. CSV,
JSON and Parquet are for programs: values are in full. To add a column, add a `TableColumn` to the
list of its table; to add a format, add a writer here.
"""

import csv
import io
import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache
from html import escape
from typing import TYPE_CHECKING, Any, Literal

from rich import box
from rich.cells import cell_len
from rich.console import ConsoleOptions, Group, RenderableType, RenderResult
from rich.measure import Measurement
from rich.table import Table as RichTable
from rich.text import Text

from lcma.db import QueryResult
from lcma.db.views import views
from lcma.harness.terminal import Console
from lcma.harness.text import escape_markdown, format_count, format_number, printable, to_json

if TYPE_CHECKING:
    import pyarrow as pa

FORMULA = ("=", "+", "-", "@")
"""First characters of formulas in a spreadsheet."""


@dataclass(frozen=True)
class TableColumn:
    """A column of a table."""

    name: str  # for programs
    heading: str = ""  # for people; the name by default
    kind: Literal["text", "number"] = "text"
    places: int | None = None  # decimals for people; None for all
    sign: bool = False  # show + too
    right: bool = False  # align text at the right, where numbers always are
    cut: bool = False  # in a narrow terminal cut text short instead of wrapping it
    meaning: str = ""  # explanation of the heading, in notebooks and on the site
    # Where a record has the value: a path such as "difference.mean", or a function of the record;
    # by default the attribute of the column's name.
    of: str | Callable[[Any], Any] = ""

    @property
    def title(self) -> str:
        """Heading, escaped, in one line."""
        return printable(self.heading or self.name)

    @property
    def is_right_aligned(self) -> bool:
        """True if values are aligned at the right."""
        return self.right or self.kind == "number"

    def read(self, record: Any) -> Any:
        """Return the column's value of a record; None where an object on its path is None."""
        if callable(self.of):
            return self.of(record)
        for name in (self.of or self.name).split("."):
            record = None if record is None else getattr(record, name)
        return record

    def show(self, value: Any, missing: str = "-") -> str:
        """Return a value for people, in one line."""
        if value is None:
            return missing
        if isinstance(value, bytes):
            return f"<{format_count(len(value), 'byte')}>"
        if self.places is not None and isinstance(value, int | float):
            return format_number(value, self.places, sign=self.sign)
        return printable(value)


@dataclass(frozen=True)
class Table:
    """Rows with a value for each column, a title above them, and notes below."""

    columns: tuple[TableColumn, ...]
    rows: tuple[tuple[Any, ...], ...]
    title: str = ""
    subtitle: str = ""  # a line below the title
    notes: tuple[str, ...] = ()
    styles: dict[tuple[int, int], str] = field(default_factory=dict, hash=False)  # by (row, column)
    bold: frozenset[tuple[int, int]] = frozenset()  # in LaTeX
    missing: str = "-"  # for people, instead of None
    truncated: bool = False  # there are more rows

    def texts(self) -> list[list[str]]:
        """Return the values as text for people."""
        return [
            [c.show(v, self.missing) for c, v in zip(self.columns, row, strict=True)]
            for row in self.rows
        ]


def tabulate(records: Iterable[Any], *columns: TableColumn, **more: Any) -> Table:
    """Return a table with a row for each record; ``more`` are other fields of the table."""
    rows = tuple(tuple(column.read(record) for column in columns) for record in records)
    return Table(columns, rows, **more)


def make_table(result: QueryResult, title: str = "") -> Table:
    """Return the rows of a query as a table, with numbers in full."""
    names = (TableColumn(name) for name in result.columns)
    table = Table(tuple(names), result.rows, title, missing="", truncated=result.truncated)
    numbers = {int, float, bool, type(None)}
    columns = tuple(
        replace(column, kind="number") if set(map(type, values)) <= numbers else column
        for column, values in zip(table.columns, _transpose(table), strict=True)
    )
    return replace(table, columns=columns)


def _transpose(table: Table) -> list[tuple[Any, ...]]:
    return list(zip(*table.rows, strict=True)) or [()] * len(table.columns)


# For people


def render_table(table: Table, *, compact: bool = False) -> RenderableType:
    """Return a table for a terminal, with title and notes; a compact one has narrow gaps."""
    above = ((table.title, "bold"), (table.subtitle, "dim"))
    return Group(
        *(Text(printable(line), style=style) for line, style in above if line),
        _Fitted(table, compact),
        *(Text(printable(note), style="dim") for note in table.notes),
    )


def render_rows(table: Table, console: Console) -> RenderableType:
    """Return a table or, where it is wider than the console, a line for each value.

    A wide table without rows is a line with the names of its columns.
    """
    rich_table = _make_rich_table(table, wrap=False)
    wide = console.options.update(width=10**6)
    if Measurement.get(console, wide, rich_table).maximum <= console.width:
        return rich_table
    if not table.rows:
        return Text("  ".join(column.title for column in table.columns))
    width = max(len(column.title) for column in table.columns)
    lines = []
    for number, row in enumerate(table.rows, start=1):
        lines.append(Text(f"row {number}", style="bold"))
        for column, value in zip(table.columns, row, strict=True):
            lines.append(Text(f"  {column.title:<{width}}  {column.show(value)}"))
    return Group(*lines)


@dataclass(frozen=True)
class _Fitted:
    """A table in a terminal's width; it breaks words only where nothing else helps."""

    table: Table
    compact: bool

    def __rich_console__(self, console: Any, options: ConsoleOptions) -> RenderResult:
        rich_table = _make_rich_table(self.table, compact=self.compact)
        columns = rich_table.columns
        cells = [[str(cell) for cell in (column.header, *column.cells)] for column in columns]
        widths = [max(map(cell_len, texts)) for texts in cells]
        # Columns whose text is cut go first, the last of them before the others.
        cut_order = [j + 1 if column.cut else 0 for j, column in enumerate(self.table.columns)]
        min_widths = [
            1
            if order
            else width
            if column.no_wrap
            else max((cell_len(word) for text in texts for word in text.split()), default=0)
            for order, column, texts, width in zip(cut_order, columns, cells, widths, strict=True)
        ]
        total = Measurement.get(console, options.update(width=10**6), rich_table).maximum
        for _ in range(total - options.max_width):
            # Narrow by one character a column that is cut, else the widest; columns that are
            # aligned at the right come last.
            candidates = [
                (columns[j].justify == "left", cut_order[j], width, j)
                for j, width in enumerate(widths)
                if width > min_widths[j]
            ]
            if not candidates:
                break
            widths[max(candidates)[-1]] -= 1
        else:
            for column, width in zip(columns, widths, strict=True):
                column.width = width
        yield rich_table


def _make_rich_table(table: Table, *, compact: bool = False, wrap: bool = True) -> RichTable:
    rich_table = RichTable(
        box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=0 if compact else (0, 1)
    )
    has_text = any(column.kind == "text" for column in table.columns)
    for column in table.columns:
        rich_table.add_column(
            Text(column.title, no_wrap=column.cut or None),
            justify="right" if column.is_right_aligned else "left",
            overflow="ellipsis" if column.cut else "fold",
            # Wrap text before a number would be broken.
            no_wrap=not wrap or (has_text and column.kind == "number"),
        )
    for i, row in enumerate(table.rows):
        rich_table.add_row(
            *(
                Text(
                    column.show(value),
                    style=table.styles.get((i, j), ""),
                    no_wrap=column.cut or None,
                )
                for j, (column, value) in enumerate(zip(table.columns, row, strict=True))
            )
        )
    return rich_table


def table_as_markdown(table: Table) -> str:
    """Return a GitHub table with its title above and its notes below."""
    lines = []
    if table.title:
        lines += [f"### {escape_markdown(printable(table.title))}", ""]
    if table.subtitle:
        lines += [escape_markdown(printable(table.subtitle)), ""]
    lines.append(_markdown_row([escape_markdown(column.title) for column in table.columns]))
    lines.append(_markdown_row(["---:" if c.is_right_aligned else "---" for c in table.columns]))
    lines += [_markdown_row(map(escape_markdown, texts)) for texts in table.texts()]
    if table.notes:
        lines += ["", *(f"- {escape_markdown(printable(note))}" for note in table.notes)]
    return "".join(f"{line}\n" for line in lines)


def _markdown_row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def table_as_html(table: Table) -> str:
    """Return an HTML table with its title above and its notes below; all text is escaped."""

    def cell(tag: str, text: str, about: str = "") -> str:
        title = f' title="{_escape_html(about)}"' if about else ""
        return f"<{tag}{title}>{_escape_html(text)}</{tag}>"

    heads = (cell("th", column.title, column.meaning) for column in table.columns)
    rows = ("".join(cell("td", text) for text in texts) for texts in table.texts())
    return (
        f"<p><b>{_escape_html(table.title)}</b><br>{_escape_html(table.subtitle)}</p>"
        f"<table><thead><tr>{''.join(heads)}</tr></thead>"
        f"<tbody>{''.join(f'<tr>{row}</tr>' for row in rows)}</tbody></table>"
        f"<p><small>{'<br>'.join(map(_escape_html, table.notes))}</small></p>"
    )


def _escape_html(text: str) -> str:
    return escape(printable(text))


# LaTeX that compiles for any stored text

_SPECIAL = {
    **{c: f"\\{c}" for c in "{}$&#_%"},
    "\\": "\\textbackslash{}",
    "~": "\\textasciitilde{}",
    "^": "\\textasciicircum{}",
    "<": "\\textless{}",
    ">": "\\textgreater{}",
    "|": "\\textbar{}",
    '"': "\\textquotedbl{}",
    "`": "\\textasciigrave{}",
    "±": "$\\pm$",
    "†": "\\textdagger{}",
}

_LIGATURE = re.compile("(?<=-)(?=-)|(?<=,)(?=,)|(?<=')(?=')")
"""Places where LaTeX would join two characters into a third."""

_NUMBER = re.compile(r"[+-]\d+(\.\d+)?")

PREAMBLE = r"""% For \input. The preamble of the document needs:
% \usepackage[T1]{fontenc}
% \usepackage{textcomp}
% \usepackage{booktabs}
% \usepackage{graphicx}
"""


def tables_as_latex(tables: Sequence[Table], ending: Sequence[str] = ()) -> str:
    r"""Return tables for `\input`, with the packages they need and the ending as comments."""
    texts = ("".join(f"{line}\n" for line in _list_latex_lines(table)) for table in tables)
    below = "".join(f"% {escape_latex(line)}\n" for line in ending)
    return "\n".join(filter(None, (PREAMBLE, *texts, below)))


def escape_latex(text: str) -> str:
    """Return text that LaTeX prints unchanged; characters other than ASCII become code points."""
    escaped = "".join(
        _SPECIAL.get(c) or (c if c.isascii() else f"\\texttt{{U+{ord(c):04X}}}")
        for c in printable(text)
    )
    return _LIGATURE.sub("{}", escaped)


def _list_latex_lines(table: Table) -> Iterator[str]:
    yield "\\begin{table}[p]\n\\centering"
    title = f"{table.title} ({table.subtitle})" if table.subtitle else table.title
    yield f"\\caption{{{escape_latex(title)}}}"
    yield "\\resizebox{\\ifdim\\width>\\linewidth\\linewidth\\else\\width\\fi}{!}{%"
    places = "".join("r" if column.is_right_aligned else "l" for column in table.columns)
    yield f"\\begin{{tabular}}{{{places}}}\n\\toprule"
    yield _latex_row([escape_latex(column.title) for column in table.columns])
    yield "\\midrule"
    for i, texts in enumerate(table.texts()):
        yield _latex_row([_latex_cell(c, (i, j) in table.bold) for j, c in enumerate(texts)])
    yield "\\bottomrule\n\\end{tabular}}"
    for note in table.notes:
        yield f"\\par\\smallskip\\footnotesize {escape_latex(note)}"
    yield "\\end{table}"


def _latex_cell(text: str, bold: bool) -> str:
    if _NUMBER.fullmatch(text):
        return f"$\\mathbf{{{text}}}$" if bold else f"${text}$"
    return f"\\textbf{{{escape_latex(text)}}}" if bold else escape_latex(text)


def _latex_row(cells: Sequence[str]) -> str:
    # A cell that begins with [ or * would be an argument of the \\ before it.
    safe = [f"{{{cell}}}" if cell.startswith(("[", "*")) else cell for cell in cells]
    return " & ".join(safe) + " \\\\"


# For programs


def table_as_json(table: Table) -> str:
    """Return {"columns": [...], "rows": [[...], ...], "truncated": ...}; bytes as hex digits."""
    names = [column.name for column in table.columns]
    rows = [list(map(_make_exact, row)) for row in table.rows]
    return to_json({"columns": names, "rows": rows, "truncated": table.truncated})


def table_as_csv(table: Table) -> str:
    """Return a heading and a line for each row; null is empty, control characters are escaped.

    Text that a spreadsheet would take for a formula gets an apostrophe in front.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([escape_csv(column.name) for column in table.columns])
    writer.writerows(
        [escape_csv(v) if isinstance(v, str) else _make_exact(v) for v in row] for row in table.rows
    )
    return out.getvalue()


@lru_cache(10_000)
def escape_csv(text: str) -> str:
    """Return text for a cell of a CSV file that is harmless in a terminal and a spreadsheet."""
    shown = printable(text)
    return f"'{shown}" if shown.startswith(FORMULA) else shown


def _make_exact(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def flag_as_stored(value: Any) -> Any:
    """Return a flag as databases store it, 1 or 0, and any other value unchanged."""
    return int(value) if isinstance(value, bool) else value


def table_as_parquet(table: Table) -> bytes:
    """Return a Parquet file, the same bytes for the same rows.

    A column has the type of its values or, without values, that of the views' column of the same
    name. Control characters in text are escaped, as in the other formats.
    """
    import pyarrow as pa
    from pyarrow import parquet

    names = [column.name for column in table.columns]
    arrays = [
        _make_array(name, values) for name, values in zip(names, _transpose(table), strict=True)
    ]
    out = io.BytesIO()
    arrow_table = pa.Table.from_arrays(arrays, names=list(map(printable, names)))
    parquet.write_table(arrow_table, out, compression="zstd")
    return out.getvalue()


_STATISTICS = frozenset(
    {"standard_deviation", "difference_standard_error", "low", "high", "mean_low", "mean_high"}
)
"""Numbers of a board that no view has; with one seed they have no values."""


def _make_array(name: str, values: Sequence[Any]) -> "pa.Array":
    import pyarrow as pa

    if not any(value is not None for value in values):
        types = {str: pa.string(), int: pa.int64(), float: pa.float64()}
        declared = (view.c[name] for view in views.tables.values() if name in view.c)
        kinds = (types[column.type.python_type] for column in declared)
        other = pa.float64() if name in _STATISTICS else pa.string()
        return pa.array(values, type=next(kinds, other))
    if not any(isinstance(value, str) for value in values):
        with suppress(pa.ArrowException, OverflowError):  # values of several types, or too large
            return pa.array(list(map(flag_as_stored, values)))
    return pa.array([None if v is None else printable(v) for v in values], type=pa.string())
