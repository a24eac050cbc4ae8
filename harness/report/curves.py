"""Curves over training in words: for a terminal, as JSON, and for whoever cannot see a picture."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Group as Lines
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from lcma.harness.results.curves import Chart, Charts, Line, LineKey
from lcma.harness.text import format_number, printable


def render_curves(found: Charts) -> RenderableType:
    """For a terminal: the last value of each line's mean."""
    parts: list[RenderableType] = []
    for chart in found.charts:
        table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
        table.add_column("factorization", overflow="fold")
        for heading in ("n", "seeds", "lost"):
            table.add_column(heading, justify="right", no_wrap=True)
        for panel in chart.panels:
            heading = panel.part or panel.label
            table.add_column(printable(heading), justify="right", overflow="fold")
            table.add_column("at step", justify="right", no_wrap=True)
        for key, lines in _by_line(chart):
            shown = [line for line in lines if line is not None]
            seeds = max(shown, key=lambda line: len(line.seeds)).seeds
            lost = sum(seed.lost for seed in seeds)
            table.add_row(
                Text(key.name),
                *(str(max(line.n for line in shown)), str(len(seeds)), str(lost) if lost else "-"),
                *(text for line in lines for text in _last(line)),
            )
        parts += [
            Text(chart.key.title, style="bold"),
            Text(describe_chart_key(chart), style="dim"),
            table,
        ]
        parts += [*(Text(printable(note), style="dim") for note in chart.notes), Text()]
    if found.left_out:
        shown_of = f"{len(found.charts)} of {len(found.charts) + found.left_out} pictures are drawn"
        parts += [Text(f"{shown_of}: choose with --flow, --dataset or --profile."), Text()]
    return Lines(*parts)


def curves_as_records(found: Charts, pictures: Sequence[Path]) -> list[dict[str, Any]]:
    """For JSON: the points that are drawn."""
    return [
        asdict(chart) | {"picture": str(picture)}
        for chart, picture in zip(found.charts, pictures, strict=True)
    ]


def describe_chart_key(chart: Chart) -> str:
    """What exactly keeps other curves out."""
    return f"{chart.key.under}, {chart.steps} training steps"


def describe_chart(chart: Chart) -> str:
    """The last value of every line."""
    said = []
    for panel in chart.panels:
        ends = [
            f"{line.key.name} {line.mean[-1][1]:.4f} at step {line.mean[-1][0]} (n = {line.n})"
            for line in panel.lines
            if line.mean
        ]
        said.append(f"{panel.label}: {', '.join(ends) or 'no mean'}.")
    return " ".join([*said, *chart.notes])


def _by_line(chart: Chart) -> Iterator[tuple[LineKey, list[Line | None]]]:
    keys = dict.fromkeys(line.key for panel in chart.panels for line in panel.lines)
    for key in keys:
        of = [{line.key: line for line in panel.lines}.get(key) for panel in chart.panels]
        yield key, of


def _last(line: Line | None) -> tuple[str, str]:
    if line is None or not line.mean:
        return "-", "-"
    step, value = line.mean[-1]
    return format_number(value), str(step)
