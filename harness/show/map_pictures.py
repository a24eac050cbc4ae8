"""Pictures of maps, budgets below each other or two sets compared, and of tables that changed."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lcma.db import ContributionMap
from lcma.harness.results.maps import (
    WORDS,
    choose_evenly,
    find_unit,
    image_shape,
    make_word_tables,
    require_alike,
)
from lcma.harness.show.grids import (
    BAR,
    Colours,
    Panel,
    Rgb,
    Row,
    channel_names,
    colour_exits,
    draw_grid,
    exit_legend,
    find_exit_splits,
)
from lcma.harness.train.online import SplitHistory

MOST = 8
"""Most budgets in a picture of maps."""

PALE = 0.25
"""Share of a colour that is left where two tables agree."""

MOST_LOOKS = 12
"""Most tables of a split in a picture of those that changed in training."""

SEQUENTIAL = (
    *("#00224E", "#0C3470", "#35456C", "#50576C", "#666970", "#7D7C78"),
    *("#948E77", "#AEA371", "#C8B866", "#E5CF52", "#FEE838"),
)
DIVERGING = (
    *("#7F3B08", "#B35806", "#E08214", "#FDB863", "#FEE0B6", "#F7F7F7"),
    *("#D8DAEB", "#B2ABD2", "#8073AC", "#542788", "#2D004B"),
)
"""Colours of values: cividis, and PuOr around zero, which colour-blind people tell apart."""

_BETWEEN = 24
_SIDE = 96
"""Largest side of a panel in pixels."""

_HISTORY_SIDE, _NAME = 128, 60
"""Side of a channel in a history at the first split, in pixels, and the room for a row's name."""

Values = NDArray[Any]


@dataclass(frozen=True)
class MapColumn:
    """A set of maps in a picture: its heading, and its maps by split.

    ``letter`` is that of the word whose tables are drawn.
    """

    heading: str
    maps: Sequence[ContributionMap]
    letter: str = "L"

    @property
    def word(self) -> str:
        """Name of the word."""
        return WORDS[self.letter]

    @property
    def exits(self) -> NDArray[np.int64]:
        """The splits at which its table factors dimensions out."""
        tables = make_word_tables(self.letter, self.maps)
        return find_exit_splits(tables, image_shape(self.maps))


def draw_maps(columns: Sequence[MapColumn], title: str, below: Sequence[str], path: Path) -> Path:
    """Draw maps below each other by split, and what their word leaves out up to it.

    All channels of a map and their mean, and beside them those of the table. The colours of a split
    share one scale, in their unit. The lines of ``below`` stand under the title. All have one shape
    and number of splits, else UserError, as where it cannot be written; ValueError for no maps or
    more than `MOST`.
    """
    if not columns or not columns[0].maps or len(columns) > MOST:
        raise ValueError(f"{len(columns)} columns cannot be drawn")
    for column in columns:
        require_alike(columns[0].maps, column.maps)
    splits = len(columns[0].maps)
    exits = [column.exits for column in columns]
    rows = []
    for split in range(1, splits + 1):
        maps = [column.maps[split - 1] for column in columns]
        colours = _share_colours(maps)
        for k, column in enumerate(columns):
            of_map = _show_map(_list_values(maps[k]), colours, column.heading)
            of_table = _show_table(colour_exits(exits[k], split, splits), column.word)
            rows.append(Row([*of_map, *of_table], "" if k else f"split {split}"))
    return draw_grid(path, rows, title, below, exit_legend(splits))


def draw_comparison(
    one: MapColumn,
    other: MapColumn,
    titles: tuple[str, str],
    path: Path,
) -> Path:
    """Draw two sets of maps, the first minus the second, and the tables of their words.

    The two maps of a split share one scale in their unit; the difference has its own, the same on
    both sides of 0. Dimensions are pale where the two tables agree. UserError where the sets differ
    in shape or number of splits, or it cannot be written.
    """
    require_alike(one.maps, other.maps)
    pair, splits = (one, other), len(one.maps)
    exits = [column.exits for column in pair]
    rows = []
    for split in range(1, splits + 1):
        maps = [column.maps[split - 1] for column in pair]
        shared, (a, b) = _share_colours(maps), map(_list_values, maps)
        tables = [colour_exits(found, split, splits) for found in exits]
        agree = (tables[0] == tables[1]).all(axis=-1, keepdims=True)
        for k, column in enumerate(pair):
            drawn = np.where(agree, _pale(tables[k]), tables[k])
            of_map = _show_map((a, b)[k], shared, f"{'AB'[k]}, {column.heading}")
            of_table = _show_table(drawn, f"{column.word} of {'AB'[k]}")
            rows.append(Row([*of_map, *of_table], "" if k else f"split {split}"))
        most = float(np.abs(a - b).max()) or 1.0
        rows.append(Row(_show_map(a - b, Colours(-most, most, shared.unit, DIVERGING), "A - B")))
    legend = [*exit_legend(splits), ("pale: A and B agree", "none")]
    return draw_grid(path, rows, "Two maps: A, B and A - B", titles, legend)


def _list_values(item: ContributionMap) -> Values:
    """Return the channels of a map and, of several, their mean."""
    values = np.asarray(item.values, dtype=np.float64)
    return values if len(values) == 1 else np.concatenate([values, values.mean(0, keepdims=True)])


def _share_colours(maps: Sequence[ContributionMap]) -> Colours:
    values = np.stack([_list_values(item) for item in maps])
    low, high = float(values.min()), float(values.max())
    if low == high:
        low, high = low - 0.5, high + 0.5
    units = {find_unit(item.score) for item in maps}
    return Colours(low, high, units.pop() if len(units) == 1 else "", SEQUENTIAL)


def _show_map(values: Values, colours: Colours, heading: str) -> list[Panel]:
    names = (*channel_names(len(values) - 1), "mean") if len(values) > 1 else ("map",)
    scale = max(1, _SIDE // max(values.shape[1:]))
    first, *others = (
        Panel(colours.paint(one), scale, name) for one, name in zip(values, names, strict=True)
    )
    return [replace(first, heading=heading, gap=BAR, colours=colours), *others]


def _show_table(channels: Rgb, heading: str) -> list[Panel]:
    names = channel_names(len(channels)) if len(channels) > 1 else ("",)
    scale = max(1, _SIDE // max(channels.shape[1:3]))
    first, *others = (Panel(rgb, scale, name) for rgb, name in zip(channels, names, strict=True))
    return [replace(first, heading=heading, gap=_BETWEEN), *others]


def draw_history(history: Sequence[SplitHistory], title: str, path: Path) -> Path:
    """Draw the tables of a training in which they changed: a row for each split, a column for the
    first table and for each look that changed it, by step.

    A table is drawn on the grid of its split's input, all channels in one panel, and is pale in the
    windows that its look left as they were. UserError where it cannot be written.
    """
    splits, (_, channels, _, side) = len(history), history[0].kept.shape
    scale = max(1, _HISTORY_SIDE // side)
    rows, left_out = [], []
    for split, one in enumerate(history, start=1):
        shown = choose_evenly(range(len(one.steps)), MOST_LOOKS)
        if len(shown) < len(one.steps):
            left_out.append(f"{len(one.steps) - len(shown)} of split {split}")
        panels: list[Panel] = []
        for look in shown:
            rgb = colour_exits(np.where(one.kept[look], 0, split), split, splits)
            if look:
                same = ~one.changed[look - 1].repeat(2, axis=1).repeat(2, axis=2)
                rgb = np.where(same[..., None], _pale(rgb), rgb)
            share = one.shares[look]
            words = f"step {one.steps[look]}" + ("" if share is None else f": {share:.1%}")
            gap = _BETWEEN if panels else _NAME
            panels.append(Panel(_lay_out(rgb, channels), scale, words, gap=gap))
        rows.append(Row(panels, f"split {split}"))
    below = ["the first table, and that after each look that changed it: share of windows changed"]
    if left_out:
        below.append(f"not drawn, evenly between: {', '.join(left_out)}")
    legend = [*exit_legend(splits), ("pale: window as before", "none")]
    return draw_grid(path, rows, title, below, legend)


def _lay_out(channels: Rgb, rows: int) -> Rgb:
    """Return channels (C, H, W, 3) in one array, so many on top of each other, the next ones beside
    them, with a white line between."""
    rows = rows if len(channels) % rows == 0 else len(channels)
    apart = np.pad(channels, ((0, 0), (0, 1), (0, 1), (0, 0)), constant_values=255)
    count, height, width, _ = apart.shape
    grid = apart.reshape(count // rows, rows, height, width, 3).transpose(1, 2, 0, 3, 4)
    return grid.reshape(rows * height, count // rows * width, 3)[:-1, :-1]


def _pale(colours: Rgb) -> Rgb:
    return np.round(PALE * colours + (1 - PALE) * 255).astype(np.uint8)
