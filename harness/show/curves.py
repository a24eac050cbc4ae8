"""Curves over training as tables, as JSON, and in words for whoever cannot see a picture."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lcma.harness.results.curves import CurveChart, CurveLine, LineKey
from lcma.harness.show.tables import Table, TableColumn


def tabulate_chart(chart: CurveChart) -> Table:
    """Return the last value of each line's mean."""
    columns = [TableColumn("factorization")]
    columns += [TableColumn(name, kind="number") for name in ("n", "seeds", "lost")]
    for panel in chart.panels:
        columns.append(TableColumn(panel.part or panel.label, kind="number", places=4))
        columns.append(TableColumn("at step", kind="number"))
    return Table(
        tuple(columns),
        tuple(_list_rows(chart)),
        title=chart.key.title,
        under=describe_chart_key(chart),
        notes=chart.notes,
    )


def _list_rows(chart: CurveChart) -> Iterator[tuple[Any, ...]]:
    for key in dict.fromkeys(line.key for panel in chart.panels for line in panel.lines):
        lines = [_find_line(panel.lines, key) for panel in chart.panels]
        shown = [line for line in lines if line is not None]
        seeds = max((line.seeds for line in shown), key=len)
        row: list[Any] = [key.name, max(line.n for line in shown), len(seeds)]
        row.append(sum(seed.lost for seed in seeds) or None)
        for line in lines:
            row += reversed(line.mean[-1] if line is not None and line.mean else (None, None))
        yield tuple(row)


def _find_line(lines: Sequence[CurveLine], key: LineKey) -> CurveLine | None:
    return next((line for line in lines if line.key == key), None)


def curves_as_records(
    charts: Sequence[CurveChart], pictures: Sequence[Path]
) -> list[dict[str, Any]]:
    """Return the points that are drawn, for JSON."""
    return [
        asdict(chart) | {"picture": str(picture)}
        for chart, picture in zip(charts, pictures, strict=True)
    ]


def describe_chart_key(chart: CurveChart) -> str:
    """Return what exactly keeps other curves out."""
    return f"{chart.key.under}, {chart.steps} training steps"


def describe_chart(chart: CurveChart) -> str:
    """Return the last value of every line in words, and its difference from conventional."""
    sentences = []
    for panel in chart.panels:
        ends = [
            f"{line.key.name} {line.mean[-1][1]:.4f} at step {line.mean[-1][0]} (n = {line.n})"
            for line in panel.lines
            if line.mean
        ]
        sentences.append(f"{panel.label}: {', '.join(ends) or 'no mean'}.")
        if panel.differences:
            apart = [_describe_difference(line) for line in panel.differences if line.mean]
            sentences.append(f"Differences from conventional: {', '.join(apart) or 'none'}.")
    return " ".join([*sentences, *chart.notes])


def _describe_difference(line: CurveLine) -> str:
    step, mean = line.mean[-1]
    half = f" ± {line.band[-1][2] - mean:.4f}" if line.band else ""
    return f"{line.key.name} {mean:+.4f}{half} at step {step} (n = {line.n})"
