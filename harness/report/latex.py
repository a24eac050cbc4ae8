"""Tables as LaTeX documents that compile as they are, whatever was stored."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lcma.db import QueryResult
from lcma.harness.report.text import printable

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
"""Where two characters would become another one."""

_NUMBER = re.compile(r"[+-]\d+(\.\d+)?")

_HEAD = r"""\documentclass{article}
\usepackage[T1]{fontenc}
\usepackage{textcomp}
\usepackage{booktabs}
\usepackage{graphicx}
\begin{document}
"""


@dataclass(frozen=True)
class Section:
    """A table with what stands above and below. ``bold`` are the places (row, column) of cells in
    bold, ``left`` how many columns are text."""

    title: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()
    bold: frozenset[tuple[int, int]] = frozenset()
    left: int = 1


def escape_latex(text: str) -> str:
    """Text that LaTeX prints as it stands; other characters than ASCII as their code points."""
    escaped = "".join(_SPECIAL.get(c) or _ascii(c) for c in printable(text))
    return _LIGATURE.sub("{}", escaped)


def latex_document(sections: Sequence[Section], ending: Sequence[str] = ()) -> str:
    """A whole document; a table is cut out of it from `table` to `table`."""
    lines = [line for section in sections for line in _table(section)]
    lines += [f"{escape_latex(line)}\n" for line in ending]
    return _HEAD + "\n".join([*lines, "\\mbox{}", "\\end{document}"]) + "\n"


def latex_of_rows(found: QueryResult, title: str) -> str:
    """A document with one table of rows, numbers in full."""
    rows = [["" if v is None else _shown(v) for v in row] for row in found.rows]
    columns = list(zip(*found.rows, strict=True)) or [()] * len(found.columns)
    left = 0
    for values in columns:
        if all(isinstance(v, int | float | None) for v in values):
            break
        left += 1
    return latex_document([Section(title, found.columns, rows, left=left)])


def _table(section: Section) -> Iterator[str]:
    numbers = len(section.headings) - section.left
    yield "\\begin{table}[p]\n\\centering"
    yield f"\\caption{{{escape_latex(section.title)}}}"
    yield "\\resizebox{\\ifdim\\width>\\linewidth\\linewidth\\else\\width\\fi}{!}{%"
    yield f"\\begin{{tabular}}{{{'l' * section.left}{'r' * numbers}}}\n\\toprule"
    yield _line([escape_latex(heading) for heading in section.headings])
    yield "\\midrule"
    for i, row in enumerate(section.rows):
        cells = [f"${c}$" if _NUMBER.fullmatch(c) else escape_latex(c) for c in row]
        yield _line(
            [f"\\textbf{{{c}}}" if (i, j) in section.bold else c for j, c in enumerate(cells)]
        )
    yield "\\bottomrule\n\\end{tabular}}"
    for note in section.notes:
        yield f"\\par\\smallskip\\footnotesize {escape_latex(note)}"
    yield "\\end{table}\n\\clearpage"


def _line(cells: Sequence[str]) -> str:
    # A cell that begins with [ or * would be an argument of the \\ before it.
    safe = [f"{{{cell}}}" if cell.startswith(("[", "*")) else cell for cell in cells]
    return " & ".join(safe) + " \\\\"


def _ascii(character: str) -> str:
    return character if character.isascii() else f"\\texttt{{U+{ord(character):04X}}}"


def _shown(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)
