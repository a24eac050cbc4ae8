"""Curves over training as tables, and in words for whoever cannot see a picture."""

from collections.abc import Iterator, Sequence
from typing import Any

from lcma.harness.results.curves import CurveChart, CurveLine
from lcma.harness.show.tables import Table, TableColumn
from lcma.harness.text import printable


def tabulate_chart(chart: CurveChart) -> Table:
    """Return the last value of each line's mean."""
    columns = [TableColumn("factorization")]
    columns += [TableColumn(name, kind="number") for name in ("n", "seeds", "lost")]
    for panel in chart.panels:
        columns.append(TableColumn(panel.part or panel.label, kind="number", places=4))
        columns.append(TableColumn("at step", kind="number"))
    rows = tuple(_list_rows(chart))
    return Table(tuple(columns), rows, title=chart.title, under=chart.under, notes=chart.notes)


def _list_rows(chart: CurveChart) -> Iterator[tuple[Any, ...]]:
    for lines in zip(*(panel.lines for panel in chart.panels), strict=True):
        seeds = max((line.seeds for line in lines), key=len)
        lost = sum(seed.lost for seed in seeds) or None
        ends = [line.mean[-1] if line.mean else (None, None) for line in lines]
        values = [number for step, value in ends for number in (value, step)]
        yield (lines[0].name, max(line.n for line in lines), len(seeds), lost, *values)


def describe_chart(chart: CurveChart) -> str:
    """Return the last value of every line in words, and its difference from conventional."""
    sentences = []
    for panel in chart.panels:
        sentences.append(f"{panel.label}: {_describe_ends(panel.lines)}.")
        if panel.differences:
            ends = _describe_ends(panel.differences, "+")
            sentences.append(f"Differences from conventional: {ends}.")
    return " ".join([*sentences, *chart.notes])


def _describe_ends(lines: Sequence[CurveLine], sign: str = "") -> str:
    ends = []
    for line in lines:
        if line.mean:
            step, mean = line.mean[-1]
            half = f" ± {line.band[-1][2] - mean:.4f}" if sign and line.band else ""
            said = f"{mean:{sign}.4f}{half} at step {step} (n = {line.n})"
            ends.append(f"{printable(line.name)} {said}")
    return ", ".join(ends) or "none"
