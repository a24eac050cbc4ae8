"""Pictures of results: the forest plot of a board, curves over training, and budget curves.

The last values of curves are also a table, and the picture's description.
"""

import math
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any

import altair as alt

from lcma.harness.files import make_file_name
from lcma.harness.results.board import MIN_SEEDS, Board, BoardRow, Group, name_measure
from lcma.harness.results.budgets import BudgetCurve
from lcma.harness.results.curves import CurveChart, CurveLine
from lcma.harness.results.statistics import subtract_by_seed
from lcma.harness.show import budgets, charts
from lcma.harness.show.board import format_pair, name_row
from lcma.harness.show.tables import Table, TableColumn
from lcma.harness.show.targets import PictureTarget, require_picture
from lcma.harness.text import format_number, printable
from lcma.sweeps.errors import UserError
from lcma.sweeps.measures import BITS_PER_DIM

Datasets = dict[str, list[dict[str, Any]]]


def _interval(summary: Any) -> dict[str, Any]:
    return {name: getattr(summary, name) for name in ("mean", "low", "high", "n")}


# The forest plot shows differences and not means: a seed may move all rules together, so that
# intervals of means overlap although the interval of a difference excludes zero.


def draw_forest(board: Board, path: Path) -> Path:
    """Draw the differences of each group from its reference row, all on one scale.

    A small dot is a seed, the line the 95 % t-interval, and the large mark the mean. It is filled
    where the interval of six seeds or more excludes zero.

    Raises:
        UserError: No group has a row to compare with another, or the file cannot be written.
    """
    require_picture(path)
    groups = [(group, rows) for group in board.groups if (rows := list_compared(group))]
    if not groups:
        raise UserError("nothing to draw: no row has a seed in common with the reference row")
    first, _ = groups[0]
    better = {"lower": "left: better", "higher": "right: better"}.get(first.direction or "", "")
    axis = f"difference in {name_measure(first.measure)}, paired by seed ({better})"
    datasets, panels, sentences = Datasets(), [], []
    for k, (group, rows) in enumerate(groups, start=1):
        reference = next(row for row in group.rows if row.reference)
        mean = "" if reference.mean is None else f" ({format_number(reference.mean, 3)})"
        settings = f"; {group.settings}" if group.settings else ""
        subtitle = (
            f"{group.profile}, {group.steps} steps{settings}; minus {name_row(reference)}{mean}"
        )
        head = alt.Title(f"{group.flow} on {group.set_name}", subtitle=subtitle, frame="bounds")
        datasets[f"rows{k}"] = [
            {"label": name_row(row), "than": row.than_reference} | _interval(row.difference)
            for row in rows
        ]
        datasets[f"seeds{k}"] = [
            {"label": name_row(row), "value": value}
            for row in rows
            for value in subtract_by_seed(row.by_seed, reference.by_seed).values()
        ]
        panel = charts.forest(axis if k == len(groups) else None, str(k))
        panels.append(panel.properties(width=520, title=head))
        pairs = ((row, row.difference) for row in rows)
        texts = (f"{name_row(row)} {format_pair(pair)}" for row, pair in pairs if pair is not None)
        setting = f"{group.flow} on {group.set_name}, {group.steps} steps"
        sentences.append(f"{setting}: {', '.join(texts)}.")
    marks = "Small dots: seeds. Lines: 95 % intervals. Filled: the interval of "
    marks += f"{MIN_SEEDS} seeds or more excludes zero."
    title = "Differences from the reference row of each table"
    picture = charts.stack(panels, [marks], x="shared")
    return charts.write_chart(picture, datasets, path, title, " ".join(sentences))


def list_compared(group: Group) -> list[BoardRow]:
    """Return the rows that have a difference, best first."""
    rows = [row for row in group.rows if row.difference is not None and not row.reference]
    return sorted(rows, key=attrgetter("difference.mean"), reverse=group.direction == "higher")


# Curves over training: a panel for each measure, a line for each factorization

MAX_SINGLE_SEEDS = 4
"""Up to so many seeds of a mean are drawn one by one; more are drawn as a band."""

EARLY = 0.2
"""First share of a training, where values fall steeply and may lie outside the axis."""


def draw_curves(chart: CurveChart, target: PictureTarget, shown: Sequence[str] = ()) -> Path:
    """Draw the panels of a chart below each other, with their legend beside them.

    The names of the sweeps or trials that are ``shown`` stand in the file's name, so that pictures
    of two sweeps on one recipe have two names. Raises UserError where the file cannot be written.
    """
    names = {
        lines[0].name: f"{printable(lines[0].name)}, n = {max(line.n for line in lines)}"
        for lines in zip(*(panel.lines for panel in chart.panels), strict=True)
    }
    datasets, panels, marks = Datasets(), list[alt.LayerChart](), set[str]()

    def add(
        lines: Sequence[CurveLine], title: str, levels: Mapping[str, float], **more: Any
    ) -> None:
        low, high = _find_range(lines, *([0.0] if more else []))
        number = str(len(panels))
        drawn = _list_points(lines, names, (low, high))
        drawn["levels"] = [
            {"name": name, "value": value} for name, value in levels.items() if low <= value <= high
        ]
        marks.update(_list_marks(drawn, differences="zero" in more))
        datasets.update({f"{name}{number}": rows for name, rows in drawn.items()})
        panels.append(charts.curves(title, [*names.values()], number, (low, high), **more))

    compared = next((panel for panel in chart.panels if panel.differences), None)
    for panel in chart.panels:
        add(panel.lines, panel.label, chart.bars if panel.part else {})
        if panel is compared:
            add(panel.differences, f"{panel.label}: difference from conventional", {}, zero=True)
    caption = " ".join(sentence for mark, sentence in _MARKS.items() if mark in marks)
    below = [line for note in (caption, *chart.notes) for line in textwrap.wrap(note, 140)]
    sized = [panel.properties(width=628, height=300) for panel in panels]
    head = alt.Title(chart.title, subtitle=chart.subtitle, frame="bounds")
    picture = charts.stack([charts.stack(sized, below)]).properties(title=head)
    facts = [chart.key[name] for name in ("flow", "dataset", "variant", "profile")]
    ids = [chart.key[name][:8] for name in ("recipe_id", "data_digest")]
    path = target.path(make_file_name("curves", *shown, *facts, *ids))
    title = f"Curves over training: {chart.title}"
    return charts.write_chart(picture, datasets, path, title, _describe_chart(chart))


_MARKS = {
    "bands": "Bands: lowest to highest seed.",
    "intervals": "Bands of differences, which are paired by seed: the 95 % t-interval of the mean.",
    "seeds": "Thin lines: single seeds.",
    "lost": "Crosses: diverged or failed.",
    "unfinished": "Rings: not done yet.",
    "levels": "Dotted: codecs and simple densities, on the test part.",
}
"""What the marks of curves mean; a caption has those that are drawn."""


def _list_marks(drawn: Datasets, *, differences: bool) -> Iterator[str]:
    if any("low" in row for row in drawn["lines"]):
        yield "intervals" if differences else "bands"
    yield from (name for name in ("seeds", "levels") if drawn[name])
    yield from ("lost" if row["lost"] else "unfinished" for row in drawn["ends"])


def tabulate_curves(chart: CurveChart) -> Table:
    """Return the last value of each line's mean."""
    columns = [TableColumn("factorization")]
    columns += [TableColumn(name, kind="number") for name in ("n", "seeds", "lost")]
    for panel in chart.panels:
        columns.append(TableColumn(panel.part or panel.label, kind="number", places=4))
        columns.append(TableColumn("at step", kind="number"))
    rows = []
    for lines in zip(*(panel.lines for panel in chart.panels), strict=True):
        seeds = max((line.seeds for line in lines), key=len)
        lost = sum(seed.lost for seed in seeds) or None
        ends = [line.mean[-1] if line.mean else (None, None) for line in lines]
        values = [number for step, value in ends for number in (value, step)]
        rows.append((lines[0].name, max(line.n for line in lines), len(seeds), lost, *values))
    return Table(tuple(columns), tuple(rows), chart.title, chart.subtitle, chart.notes)


def _describe_chart(chart: CurveChart) -> str:
    """Return the last value of every line in words, and its difference from conventional."""
    sentences = []
    for panel in chart.panels:
        ends = ", ".join(_describe_ends(panel.lines)) or "none"
        sentences.append(f"{panel.label}: {ends}.")
        if panel.differences:
            ends = ", ".join(_describe_ends(panel.differences, "+")) or "none"
            sentences.append(f"Differences from conventional: {ends}.")
    return " ".join([*sentences, *chart.notes])


def _describe_ends(lines: Sequence[CurveLine], sign: str = "") -> Iterator[str]:
    for line in lines:
        if line.mean:
            step, mean = line.mean[-1]
            half = f" ± {line.band[-1][2] - mean:.4f}" if sign and line.band else ""
            end = f"{format_number(mean, sign=bool(sign))}{half} at step {step} (n = {line.n})"
            yield f"{printable(line.name)} {end}"


def _list_points(
    lines: Sequence[CurveLine], names: Mapping[str, str], extent: tuple[float, float]
) -> Datasets:
    """Return points of means, of seeds that are drawn one by one, and of early ends of seeds."""
    points_by_kind: Datasets = {"lines": [], "seeds": [], "ends": []}
    for line in lines:
        name = {"name": names[line.name]}
        band = (
            {}
            if line.seeds and line.n <= MAX_SINGLE_SEEDS
            else {step: ends for step, *ends in line.band}
        )
        for step, value in line.mean:
            ends = dict(zip(("low", "high"), band.get(step, ()), strict=False))
            points_by_kind["lines"].append(name | {"step": step, "value": value} | ends)
        for seed in line.seeds:
            points = [name | {"step": step, "value": value} for step, value in seed.points]
            if not seed.in_mean or 1 < line.n <= MAX_SINGLE_SEEDS:
                points_by_kind["seeds"] += [point | {"seed": seed.subject} for point in points]
            if points and seed.state != "done":
                inside = min(max(points[-1]["value"], extent[0]), extent[1])
                points_by_kind["ends"].append(points[-1] | {"value": inside, "lost": seed.lost})
    return points_by_kind


def _find_range(lines: Sequence[CurveLine], *more: float) -> tuple[float, float]:
    """Return the ends of an axis that ignores early steps, and lost trainings if others exist."""
    seeds = [seed for line in lines for seed in line.seeds]
    alive = [seed for seed in seeds if seed.points and not seed.lost] or seeds
    points = [point for line in lines for point in (*line.mean, *line.band)]
    points += [point for seed in alive for point in seed.points]
    last = max((step for step, *_ in points), default=0)
    late = [value for step, *values in points if step >= EARLY * last for value in values]
    low, high = min([*late, *more]), max([*late, *more])
    room = 0.05 * max(high - low, 1e-3, 1e-6 * abs(high))
    return low - room, high + room


# Budget curves: differences from the longest budget, and costs


def draw_budgets(curve: BudgetCurve, target: PictureTarget) -> Path:
    """Draw differences by budget, and costs. Raises UserError where the file cannot be written."""
    longest, answer = curve.rows[-1], curve.smallest
    smallest = math.inf if answer is None or answer.budget is None else answer.budget
    datasets: Datasets = {"means": [], "seeds": [], "base": []}
    for row in curve.rows:
        budget = {"budget": row.budget or 0}
        differences = subtract_by_seed(row.by_seed, longest.by_seed).items()
        datasets["seeds"] += [budget | {"seed": seed, "value": d} for seed, d in differences]
        if row.from_longest is not None:
            enough = {"enough": budget["budget"] >= smallest}
            datasets["means"].append(budget | _interval(row.from_longest) | enough)
    base = None if curve.conventional is None else curve.conventional.from_longest
    if base is not None:
        datasets["base"].append({"name": "conventional", "value": base.mean} | _interval(base))
    if answer is not None:
        low, high = sorted((0.0, (-1 if curve.direction == "higher" else 1) * answer.margin))
        margin = {"name": f"margin, {answer.margin:g}", "value": 0.0, "low": low, "high": high}
        datasets["base"].append(margin)
    axis = budgets.name_axis(curve)
    panels = [charts.budgets(f"{axis}, minus {longest.budget} steps")]
    if costs := _list_costs(curve):
        datasets["costs"] = costs
        unit = "device seconds" if curve.cost == "seconds" else "images"
        panels.append(charts.front(f"{unit}, with a pretraining of its own", axis))
    sentence, title = budgets.describe_answer(curve), budgets.curve_title(curve.key)
    sized = [panel.properties(width=800, height=270) for panel in panels]
    subtitle = [budgets.describe_curve_key(curve.key), *textwrap.wrap(sentence, 140)]
    head = alt.Title(textwrap.wrap(title, 110), subtitle=subtitle)
    parts = charts.stack(sized, [_BUDGETS], color="independent")
    path = target.path(_name_budgets(curve))
    return charts.write_chart(
        charts.stack([parts]).properties(title=head), datasets, path, title, sentence
    )


_BUDGETS = (
    "Dots: seeds. Diamonds: means with 95 % intervals, green where a budget is shown to be enough. "
    "Costs: filled marks are on the Pareto front."
)


def _list_costs(curve: BudgetCurve) -> list[dict[str, Any]]:
    """Return the costs of rows; the shortest, longest and smallest sufficient budget are named."""
    smallest, costs = curve.smallest, []
    named = {None, curve.rows[0].budget, curve.rows[-1].budget, smallest and smallest.budget}
    for row in budgets.list_rows(curve):
        if cost := getattr(row, curve.cost):
            half = row.half_width or 0.0
            interval = {"mean": row.holdout, "low": row.holdout - half, "high": row.holdout + half}
            name = budgets.name_row(row) if row.budget in named else ""
            costs.append(interval | {"name": name, "cost": cost, "on_front": row.on_front})
    return costs


def _name_budgets(curve: BudgetCurve) -> str:
    key = curve.key
    names = ("flow", "dataset", "variant", "profile", "factorization", "protocol")
    return make_file_name(
        *("budgets", *(key[name] for name in names)),
        *(key["recipe_id"][:8], key["data_digest"][:8], key["precision"]),
        *(() if curve.measure == BITS_PER_DIM else (curve.measure,)),
        *(() if key["map_options"] is None else (key["map_options"],)),
    )
