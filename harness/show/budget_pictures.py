"""Pictures of budget curves: differences from the longest budget, costs, and the map."""

import math
import textwrap
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from lcma.harness.files import file_name, write_file
from lcma.harness.results.budgets import BudgetCurve, BudgetRow
from lcma.harness.results.statistics import PairedTest, subtract_by_seed
from lcma.harness.show.budgets import (
    curve_title,
    describe_curve_key,
    list_rows,
    list_sentences,
    name_axis,
    name_row,
)
from lcma.harness.show.figures import (
    BLACK,
    BLUE,
    DPI,
    GREEN,
    INK,
    ORANGE,
    PURPLE,
    SKY_BLUE,
    VERMILION,
    add_text,
    figure_bytes,
    new_figure,
    tidy_axes,
)
from lcma.harness.show.labels import Box, choose_boxes, shared_area
from lcma.harness.show.targets import PictureTarget
from lcma.harness.text import printable
from lcma.sweeps.measures import BITS_PER_DIM

SEEDS = "#8A8A8A"
SPLITS = (BLUE, ORANGE, GREEN, PURPLE, VERMILION, SKY_BLUE, BLACK)
_SIZE = (1100, 820)
"""Width and height in pixels."""


def draw_budget_curves(curves: Sequence[BudgetCurve], target: PictureTarget) -> list[Path]:
    """Draw each curve into the folder, or the only one as the file.

    Raises UserError where it cannot be written, or for one file and several curves.
    """
    options = "--flow, --dataset, --factorization or --where"
    target.require_one(len(curves), "curves", options)
    return [_draw_curve(curve, target) for curve in curves]


def _draw_curve(curve: BudgetCurve, target: PictureTarget) -> Path:
    figure = new_figure(*_SIZE)
    title, (answer, *_) = curve_title(curve.key), list_sentences(curve)
    size = min(12.0, 1650 / max(len(printable(title)), 1))  # a long one as small as it has to be
    add_text(figure, 0.06, 0.972, title, size, weight="bold")
    add_text(figure, 0.06, 0.945, describe_curve_key(curve.key), 9)
    for k, line in enumerate(textwrap.wrap(answer, 125)):
        add_text(figure, 0.06, 0.917 - 0.023 * k, line, 10)
    _draw_differences(figure.add_axes((0.085, 0.51, 0.885, 0.33)), curve)
    _draw_front(figure.add_axes((0.085, 0.075, 0.385, 0.3)), curve)
    _draw_map(figure.add_axes((0.555, 0.075, 0.415, 0.3)), curve)
    return write_file(target.path(_name(curve)), figure_bytes(figure, target.form, title, answer))


def _draw_differences(axes: Any, curve: BudgetCurve) -> None:
    found, longest = curve.smallest, curve.rows[-1]
    sign = -1 if curve.direction == "higher" else 1
    _set_budgets(axes, [row.budget or 0 for row in curve.rows])
    if found is not None:
        margin = {"color": BLUE, "alpha": 0.2, "lw": 0, "label": f"margin, {found.margin:g}"}
        axes.axhspan(*sorted((0, sign * found.margin)), **margin)
    axes.axhline(0, color=BLUE, lw=1)
    base = None if curve.conventional is None else curve.conventional.from_longest
    if base is not None:
        if base.low is not None and base.high is not None:
            axes.axhspan(base.low, base.high, color=VERMILION, alpha=0.13, lw=0)
        axes.axhline(base.mean, color=VERMILION, ls=(0, (5, 2)), label="conventional")
    for k, row in enumerate(curve.rows):
        own = [*subtract_by_seed(row.by_seed, longest.by_seed).values()]
        axes.plot([k] * len(own), own, "o", color=SEEDS, ms=4, alpha=0.8)
        smallest = None if found is None else found.budget
        enough = smallest is not None and (row.budget or 0) >= smallest
        if row.from_longest is not None:
            _draw_interval(axes, k + 0.12, row.from_longest, GREEN if enough else INK)
    axes.plot([], [], "o", color=SEEDS, ms=4, label="a seed")
    for colour, label in ((GREEN, "mean, 95 %: enough"), (INK, "mean, 95 %: not shown to be")):
        axes.plot([], [], "D-", color=colour, ms=6, label=label)
    what = (
        "bits/dim minus those"
        if curve.measure == BITS_PER_DIM
        else f"{name_axis(curve)} minus that"
    )
    axes.set_ylabel(f"{what} of {longest.budget} steps")
    _add_legend(axes, 5)


def _draw_interval(axes: Any, x: float, test: PairedTest, colour: str) -> None:
    if test.low is not None and test.high is not None:
        axes.plot([x, x], [test.low, test.high], color=colour, lw=1.6)
    axes.plot(x, test.mean, "D", color=colour, ms=6, mec="white", zorder=4)


def _draw_front(axes: Any, curve: BudgetCurve) -> None:
    tidy_axes(axes)
    axes.set_ylabel(name_axis(curve))
    unit = "device seconds" if curve.cost == "seconds" else "images"
    axes.set_xlabel(f"{unit}, pretraining by itself and training")
    rows = [row for row in list_rows(curve) if getattr(row, curve.cost) is not None]
    if not rows:
        _say_nothing(axes, "costs are not known")
        return
    axes.set_xscale("log")
    on = sorted((getattr(row, curve.cost), row.holdout) for row in rows if row.on_front)
    if on:
        axes.step(*zip(*on, strict=True), where="post", color=BLUE, lw=1.2, label="Pareto front")
    for row in rows:
        at, colour = getattr(row, curve.cost), VERMILION if row.budget is None else BLUE
        axes.errorbar(at, row.holdout, yerr=row.half_width, color=colour, lw=1, alpha=0.5)
        face = colour if row.on_front else "white"
        axes.plot(at, row.holdout, "o", color=colour, mfc=face, ms=7, zorder=4)
        if row.knee:
            axes.plot(at, row.holdout, "o", color=INK, mfc="none", ms=14, label="knee")
    axes.margins(x=0.14)
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    if on:
        _add_legend(axes, 2)
    _name_points(axes, [(name_row(row), getattr(row, curve.cost), row) for row in rows], on)


def _name_points(
    axes: Any, points: Sequence[tuple[str, float, BudgetRow]], front: Sequence[tuple[float, float]]
) -> None:
    """Write each point's name beside it, where it covers least of points, intervals and front.

    Where points are so close that names would cover one another, those on the front have theirs.
    """
    points = sorted(points, key=lambda point: not point[2].on_front)
    axes.autoscale_view()  # what follows is in pixels of the axes as they will be

    def box(x: tuple[float, float], y: tuple[float, float], room: float) -> Box:
        (a, b), (c, d) = axes.transData.transform([*zip(x, y, strict=True)])
        return ((a + c) / 2, (b + d) / 2, abs(c - a) / 2 + room, abs(d - b) / 2 + room)

    drawn = []
    for _, at, row in points:
        half = row.half_width or 0.0
        drawn += [
            box((at, at), (row.holdout, row.holdout), 5),
            box((at, at), (row.holdout - half, row.holdout + half), 1),
        ]
    for (a, b), (c, d) in pairwise(front):
        drawn += [box((a, c), (b, b), 1), box((c, c), (b, d), 1)]
    offsets, labels = [], []
    for name, at, row in points:
        x, y, *_ = box((at, at), (row.holdout, row.holdout), 0)
        width = 3.2 * len(name)  # half of it, about
        beside = [(side * (width + 9), up) for side in (1, -1) for up in (8, -8)]
        offsets.append([*beside, (0, 14), (0, -14)])
        labels.append([(x + right, y + up, width, 5.5) for right, up in offsets[-1]])
    kept: list[Box] = []
    for k, place in enumerate(choose_boxes(labels, drawn)):
        (name, at, row), own = points[k], labels[k][place]
        if any(shared_area(own, other) for other in kept):
            continue
        kept.append(own)
        axes.annotate(
            name,
            (at, row.holdout),
            xytext=tuple(pixels * 72 / DPI for pixels in offsets[k][place]),
            textcoords="offset points",
            fontsize=8,
            color=INK,
            ha="center",
            va="center",
        )


def _draw_map(axes: Any, curve: BudgetCurve) -> None:
    if not curve.stability:
        tidy_axes(axes)
        _say_nothing(axes, "no maps in the database")
        return
    budgets = sorted({one.budget for one in curve.stability})
    _set_budgets(axes, budgets)
    kinds = (
        ("rank_correlation", "rank correlation", "o-"),
        ("overlap", "overlap of what stays", "s--"),
        ("mask_share", "mask share", "^:"),
    )
    for split in sorted({one.split for one in curve.stability}):
        colour = SPLITS[(split - 1) % len(SPLITS)]
        own = [one for one in curve.stability if one.split == split]
        for name, _, style in kinds:
            known = [one for one in own if getattr(one, name) is not None]
            x = [budgets.index(one.budget) for one in known]
            axes.plot(x, [getattr(one, name) for one in known], style, color=colour, ms=4)
        axes.plot([], [], "-", color=colour, lw=4, label=f"split {split}")
    for _, label, style in kinds:
        axes.plot([], [], style, color=INK, ms=4, label=label)
    axes.set_ylim(min(0.0, axes.get_ylim()[0]), 1.03)
    axes.set_ylabel(f"map against that of {curve.stability[0].longest} steps")
    _add_legend(axes, 3)


def _set_budgets(axes: Any, budgets: Sequence[int]) -> None:
    """Set an axis with a place for each budget, all equally far apart."""
    tidy_axes(axes)
    most = axes.bbox.width // (7 * len(str(max(budgets))) + 10)
    shown = range(0, len(budgets), math.ceil(len(budgets) / max(most, 1)))
    axes.set_xticks(shown, [str(budgets[k]) for k in shown])
    axes.set_xlim(-0.5, len(budgets) - 0.5)
    axes.set_xlabel("budget: steps of pretraining")


def _say_nothing(axes: Any, text: str) -> None:
    axes.set(xticks=[], yticks=[])
    axes.text(0.5, 0.5, text, ha="center", va="center", transform=axes.transAxes, color=INK)


def _add_legend(axes: Any, columns: int) -> None:
    """Add a legend above the axes, where it covers nothing."""
    where = {"loc": "lower left", "bbox_to_anchor": (-0.01, 0.98)}
    axes.legend(fontsize=8, frameon=False, ncols=columns, **where)


def _name(curve: BudgetCurve) -> str:
    key = curve.key
    return file_name(
        *("budgets", key.flow, key.dataset, key.variant, key.profile, key.factorization),
        *(key.protocol, key.recipe_id[:8], key.data_digest[:8], key.precision),
        *(() if curve.measure == BITS_PER_DIM else (curve.measure,)),
        *(() if key.map_options is None else (key.map_options,)),
    )
