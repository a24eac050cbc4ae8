"""Curves over training for a terminal, as JSON, and in words for whoever cannot see a picture."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Group as Lines
from rich.console import RenderableType
from rich.text import Text

from lcma.harness.results.board import name_measure, name_unit
from lcma.harness.results.curves import (
    PLAIN,
    CurveChart,
    CurveCharts,
    CurveLine,
    CurvePanel,
    DifferenceLine,
    LineKey,
)
from lcma.harness.results.statistics import Summary
from lcma.harness.show.tables import Table, TableColumn, render_table
from lcma.harness.text import format_number, printable


def render_curves(found: CurveCharts) -> RenderableType:
    """Return the last value of each line's mean, for a terminal."""
    parts: list[RenderableType] = []
    for chart in found.charts:
        parts += [render_table(_table(chart), compact=True), Text()]
    if found.left_out:
        number = len(found.charts)
        are = "is" if number == 1 else "are"
        shown_of = f"{number} of {number + found.left_out} pictures {are} drawn"
        parts += [Text(f"{shown_of}: choose with --flow, --dataset or --where."), Text()]
    return Lines(*parts)


def _table(chart: CurveChart) -> Table:
    columns = [TableColumn("factorization")]
    columns += [TableColumn(name, kind="number") for name in ("n", "seeds", "lost")]
    for panel in chart.panels:
        columns.append(TableColumn(panel.part or panel.label, kind="number", places=4))
        columns.append(TableColumn("at step", kind="number"))
    notes = list(chart.notes)
    if chart.by is not None:
        measure = name_measure(chart.by.name)
        columns.append(TableColumn(measure, right=True))
        protocol = "" if chart.protocol == PLAIN else f" by protocol {printable(chart.protocol)}"
        what = (
            f"{measure} of trained trials{protocol}, in {name_unit(chart.by.unit)} "
            f"({chart.by.direction} is better): mean and half of the 95 % t-interval over seeds"
        )
        notes = [what, *notes]
    rows: list[tuple[Any, ...]] = []
    for key, lines in _by_line(chart):
        shown = [line for line in lines if line is not None]
        seeds = max(shown, key=lambda line: len(line.seeds)).seeds
        row: list[Any] = [key.name, max(line.n for line in shown), len(seeds)]
        row.append(sum(seed.lost for seed in seeds) or None)
        for line in lines:
            step, value = line.mean[-1] if line is not None and line.mean else (None, None)
            row += [value, step]
        if chart.by is not None:
            row.append(_describe_end(chart.ends.get(key.name)))
        rows.append(tuple(row))
    return Table(
        tuple(columns),
        tuple(rows),
        title=chart.key.title,
        under=describe_chart_key(chart),
        notes=tuple(notes),
    )


def curves_as_records(found: CurveCharts, pictures: Sequence[Path]) -> list[dict[str, Any]]:
    """Return the points that are drawn, for JSON."""
    return [
        _chart_dict(chart) | {"picture": str(picture)}
        for chart, picture in zip(found.charts, pictures, strict=True)
    ]


def _chart_dict(chart: CurveChart) -> dict[str, Any]:
    record = asdict(chart)
    kind, ends, protocol = (record.pop(name) for name in ("by", "ends", "protocol"))
    if kind is None:
        return record
    of_kind = {"measure": kind["name"], "unit": kind["unit"], "direction": kind["direction"]}
    return record | of_kind | {"protocol": protocol, "ends": ends}


def describe_chart_key(chart: CurveChart) -> str:
    """Return what exactly keeps other curves out."""
    return f"{chart.key.under}, {chart.steps} training steps"


def describe_chart(chart: CurveChart) -> str:
    """Return the last value of every line in words."""
    sentences = []
    for panel in chart.panels:
        sentences.append(f"{describe_panel(panel)}.")
        if panel.differences:
            sentences.append(f"{describe_differences(panel)}.")
    return " ".join([*sentences, *chart.notes])


def describe_panel(panel: CurvePanel) -> str:
    """Return the last value of every line of a panel."""
    ends = [
        f"{line.key.name} {line.mean[-1][1]:.4f} at step {line.mean[-1][0]} (n = {line.n})"
        for line in panel.lines
        if line.mean
    ]
    return f"{panel.label}: {', '.join(ends) or 'no mean'}"


def describe_differences(panel: CurvePanel) -> str:
    """Return the last difference of every line of a panel from the conventional one."""
    differences = [_describe_difference(line) for line in panel.differences if line.mean]
    return f"Differences from conventional: {', '.join(differences) or 'none'}"


def _describe_difference(line: DifferenceLine) -> str:
    step, mean = line.mean[-1]
    half = f" ± {line.band[-1][2] - mean:.4f}" if line.band else ""
    return f"{line.key.name} {mean:+.4f}{half} at step {step} (n = {line.n})"


def _by_line(chart: CurveChart) -> Iterator[tuple[LineKey, list[CurveLine | None]]]:
    keys = dict.fromkeys(line.key for panel in chart.panels for line in panel.lines)
    for key in keys:
        of = [{line.key: line for line in panel.lines}.get(key) for panel in chart.panels]
        yield key, of


def _describe_end(found: Summary | None) -> str:
    if found is None:
        return "-"
    half = "" if found.high is None else f" ± {format_number(found.high - found.mean)}"
    return f"{format_number(found.mean)}{half}, n = {found.n}"
