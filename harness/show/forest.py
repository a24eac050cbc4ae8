"""The forest plot: differences paired by seed around zero, a panel for each group of a board.

Rules are compared by their differences and not by their means: seeds move all rules of a seed
together, so intervals of means overlap where no difference contains zero.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.transforms import blended_transform_factory

from lcma.harness.files import write_file
from lcma.harness.results.board import ENOUGH, Board, BoardRow, Group, name_measure
from lcma.harness.results.statistics import PairedTest
from lcma.harness.show.board import name_row, summarize_group
from lcma.harness.show.figures import (
    BLUE,
    INK,
    VERMILION,
    add_text,
    figure_bytes,
    find_box,
    new_figure,
)
from lcma.harness.show.targets import require_picture
from lcma.harness.text import format_number, printable
from lcma.sweeps.errors import UserError

_WIDTH, _ROW, _HEAD = 520, 24, 72
"""Pixels: width of the axis, height of a row, and of a panel's title with what is below it."""

_GREY = "#6B6B6B"


def draw_forest(board: Board, path: Path) -> Path:
    """Draw the differences of each group from its reference row, all on one scale.

    A small dot is a seed, the line the 95 % t-interval, the large mark the mean: filled where the
    interval of six seeds or more tells the row from the one that it is compared with.

    Raises:
        UserError: No group has a row to compare with another, or the file cannot be written.
    """
    groups = [group for group in board.groups if compared_rows(group)]
    if not groups:
        raise UserError("nothing to draw: no row has a seed in common with the one compared with")
    if len({(group.measure, group.unit) for group in groups}) != 1:
        raise ValueError("the groups of a board have one measure")
    height = sum(_HEAD + _ROW * len(compared_rows(group)) for group in groups)
    figure = new_figure(_WIDTH, height)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_ylim(height, 0)
    for side in ("top", "left", "right"):
        axes.spines[side].set_visible(False)
    axes.tick_params(axis="x", labelsize=9, colors=INK)
    axes.tick_params(axis="y", left=False, labelleft=False)
    axes.axvline(0.0, color=INK, lw=1.0, ls=(0, (4, 3)), zorder=1)
    left = blended_transform_factory(axes.transAxes, axes.transData)
    top = 0
    for group in groups:
        add_text(axes, -0.36, top + 22, _title(group), 11, weight="bold", transform=left)
        add_text(axes, -0.36, top + 40, _below(group), 9, color=_GREY, transform=left)
        top += _HEAD
        for row in compared_rows(group):
            found = row.difference
            assert found is not None
            y = top - _ROW / 2 + 4
            _draw_row(axes, y, row, seed_differences(group, row), group.direction)
            add_text(axes, -0.36, y, name_row(row), 10, transform=left)
            add_text(axes, 1.04, y, _words(found), 10, transform=left)
            top += _ROW
    marks = "Small dots: seeds. Lines: 95 % intervals. Filled: the interval of "
    marks += f"{ENOUGH} seeds or more is without zero."
    add_text(axes, -0.36, height + 62, marks, 9, color=_GREY, transform=left)
    first = groups[0]
    better = {"lower": "left: better", "higher": "right: better"}.get(first.direction or "", "")
    what = name_measure(first.measure)
    axes.set_xlabel(
        f"difference in {what}, paired by seed ({better})", fontsize=10, color=INK, parse_math=False
    )
    about = " ".join(sentence for group in groups for sentence in summarize_group(group))
    title = "Differences from the row that each table is compared with"
    return write_file(
        path, figure_bytes(figure, require_picture(path), title, about, find_box(figure))
    )


def compared_rows(group: Group) -> list[BoardRow]:
    """Return the rows that have a difference, best first."""
    rows = [row for row in group.rows if row.difference is not None and not row.reference]
    return sorted(rows, key=lambda row: _order(row, group.direction))


def _order(row: BoardRow, direction: str | None) -> float:
    assert row.difference is not None
    return -row.difference.mean if direction == "higher" else row.difference.mean


def seed_differences(group: Group, row: BoardRow) -> Mapping[int, float]:
    """Return a row's difference from the group's reference at each seed that both have."""
    reference = next((one for one in group.rows if one.reference), None)
    if reference is None:
        return {}
    return {s: row.by_seed[s] - reference.by_seed[s] for s in row.seeds if s in reference.by_seed}


def _draw_row(
    axes: Any, y: float, row: BoardRow, seeds: Mapping[int, float], direction: str | None
) -> None:
    found, clear = row.difference, row.than_reference in ("better", "worse")
    assert found is not None
    worse = (found.mean > 0) == (direction != "higher")
    colour = (VERMILION if worse else BLUE) if clear else INK
    axes.plot(
        list(seeds.values()), [y + 7] * len(seeds), ls="", marker="o", ms=2.6, color=_GREY, mew=0
    )
    if found.low is not None:
        axes.plot([found.low, found.high], [y, y], color=colour, lw=2.2, solid_capstyle="butt")
    axes.plot(
        [found.mean],
        [y],
        ls="",
        marker="o",
        ms=7,
        mec=colour,
        mfc=colour if clear else "white",
        mew=1.6,
        zorder=3,
    )


def _title(group: Group) -> str:
    return f"{printable(group.flow)} on {printable(group.set_name)}"


def _below(group: Group) -> str:
    reference = next(row for row in group.rows if row.reference)
    mean = "" if reference.mean is None else f" ({format_number(reference.mean, 3)})"
    profile = f"{printable(group.profile)}, {group.steps} steps"
    settings = f"; {printable(group.settings)}" if group.settings else ""
    return f"{profile}{settings}; minus {reference.label}{mean}"


def _words(found: PairedTest) -> str:
    half = found.half_width
    text = format_number(found.mean, 3, sign=True)
    text += "" if half is None else f" ± {format_number(half, 3)}"
    return f"{text}, n = {found.n}"
