"""Pictures of contribution maps, budgets side by side or two sets compared, and of tables that
changed in training."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
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
from lcma.harness.show.figures import BAR, Panel, Rgb, Row, draw_grid
from lcma.harness.show.pictures import (
    channel_names,
    channels_differ,
    colour_exits,
    exit_legend,
    find_exit_splits,
)
from lcma.harness.train.online import SplitHistory

MOST = 8
"""Most columns in a picture of maps."""

IN_FULL = 2
"""Most columns in a picture that shows every channel of the maps."""

PALE = 0.25
"""Share of a colour that is left where two tables agree."""

MOST_LOOKS = 12
"""Most tables of a split in a picture of those that changed in training."""

_BETWEEN = 24
_SIDE = {1: 128, 2: 96}
"""Largest side of a panel in pixels, by the number of columns."""

_HISTORY_SIDE, _NAME = 128, 60
"""Side of a channel in a history at the first split, in pixels, and the room for a row's name."""

Values = NDArray[Any]


@dataclass(frozen=True)
class MapColumn:
    """A set of maps in a picture: the heading above it, and its maps by split.

    ``letter`` is that of the word whose tables are drawn.
    """

    heading: str
    maps: Sequence[ContributionMap]
    letter: str = "L"

    @property
    def word(self) -> str:
        """Name of the word."""
        return WORDS[self.letter]


def draw_maps(columns: Sequence[MapColumn], title: str, below: Sequence[str], path: Path) -> Path:
    """Draw maps side by side, a row for each split, and what their word leaves out up to it.

    In full, all channels of a map and their mean, and beside them those of the table; where there
    are more columns the mean alone, and the table's channels on top of each other. The colours of a
    row share one scale, in their unit. The lines of ``below`` stand under the title. All columns
    have one shape and number of splits, else UserError, as where it cannot be written; ValueError
    for no maps or more columns than `MOST`.
    """
    if not columns or not columns[0].maps or len(columns) > MOST:
        raise ValueError(f"{len(columns)} columns cannot be drawn")
    for column in columns:
        require_alike(columns[0].maps, column.maps)
    (channels, *sides), splits = image_shape(columns[0].maps), len(columns[0].maps)
    names = channel_names(channels)
    exits = [_find_exits(column) for column in columns]
    if not any(map(channels_differ, exits)):
        exits = [found[:1] for found in exits]
        names = (" = ".join(names),)
    in_full = len(columns) <= IN_FULL
    small = max(1, round(52 / max(sides)))
    scale = max(1, _SIDE[len(columns)] // max(sides)) if in_full else small * max(2, len(names))
    if len(names) > 1 and not in_full:
        below = [*below, f"{columns[0].word}: {', '.join(names)} from the top"]
    rows = []
    for split in range(1, splits + 1):
        maps = [column.maps[split - 1] for column in columns]
        shown = [_name_values(item, in_full=in_full) for item in maps]
        colours = _share_colours([values for some in shown for values in some.values()])
        panels: list[Panel] = []
        for k, column in enumerate(columns):
            of_map = [Panel(_colour(colours, v), scale, name) for name, v in shown[k].items()]
            of_map[0] = replace(
                of_map[0],
                heading=column.heading if split == 1 else "",
                gap=_BETWEEN if k else BAR,
                colours=None if k else colours,
                unit=find_unit(maps[k].score),
            )
            tables = colour_exits(exits[k], split, splits)
            if in_full:
                titles = names if channels > 1 else [column.word]
                of_table = [Panel(rgb, scale, n) for rgb, n in zip(tables, titles, strict=True)]
                heading = f"what {column.word} keeps" if split == 1 else ""
                of_table[0] = replace(of_table[0], heading=heading, gap=_BETWEEN)
            else:
                of_table = [Panel(_stack(tables), scale // len(names), column.word)]
            panels += [*of_map, *of_table]
        rows.append(Row(panels, f"split {split}"))
    return draw_grid(path, rows, title, below, exit_legend(splits))


def draw_comparison(
    one: MapColumn,
    other: MapColumn,
    titles: tuple[str, str],
    path: Path,
) -> Path:
    """Draw two sets of maps, the first minus the second, and the tables of their words.

    Means over channels. The two maps of a split share one scale in their unit; the difference has
    its own, the same on both sides of 0. Dimensions are pale where the two tables agree. UserError
    where the sets differ in shape or number of splits, or it cannot be written.
    """
    require_alike(one.maps, other.maps)
    pair, splits = (one, other), len(one.maps)
    channels, *sides = image_shape(one.maps)
    scale = max(1, _SIDE[1] // max(sides))
    exits = [_find_exits(column) for column in pair]
    units = {find_unit(column.maps[0].score) for column in pair}
    unit = units.pop() if len(units) == 1 else ""
    rows = []
    for split in range(1, splits + 1):
        a, b = (_mean(column.maps[split - 1]) for column in pair)
        shared, diverging = _share_colours([a, b]), _centre_colours(a - b)
        difference = _colour(diverging, a - b)
        panels = [
            Panel(_colour(shared, a), scale, "A", gap=BAR, colours=shared, unit=unit),
            Panel(_colour(shared, b), scale, "B"),
            Panel(difference, scale, "A - B", gap=BAR + _BETWEEN, colours=diverging, unit=unit),
        ]
        tables = [colour_exits(found, split, splits) for found in exits]
        agree = (tables[0] == tables[1]).all(axis=-1, keepdims=True)
        for k, column in enumerate(pair):
            drawn = np.where(agree, _pale(tables[k]), tables[k])
            names = channel_names(channels) if channels > 1 else [""]
            of_table = [Panel(rgb, scale, name) for rgb, name in zip(drawn, names, strict=True)]
            heading = f"{column.word} of {'AB'[k]}, {column.heading}" if split == 1 else ""
            of_table[0] = replace(of_table[0], heading=heading, gap=_BETWEEN)
            panels += of_table
        rows.append(Row(panels, f"split {split}"))
    legend = [*exit_legend(splits), ("pale: A and B agree", "none")]
    return draw_grid(path, rows, "Two maps: A, B and A - B", titles, legend)


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


def _find_exits(column: MapColumn) -> NDArray[np.int64]:
    return find_exit_splits(make_word_tables(column.letter, column.maps), image_shape(column.maps))


def _name_values(item: ContributionMap, *, in_full: bool) -> dict[str, Values]:
    channels = len(item.values)
    if channels == 1:
        return {"map": item.values[0]}
    each = dict(zip(channel_names(channels), item.values, strict=True)) if in_full else {}
    return each | {"mean": _mean(item)}


def _mean(item: ContributionMap) -> Values:
    return np.asarray(item.values.mean(axis=0, dtype=np.float64))


def _share_colours(shown: Sequence[Values]) -> ScalarMappable:
    low, high = min(float(v.min()) for v in shown), max(float(v.max()) for v in shown)
    if low == high:
        low, high = low - 0.5, high + 0.5
    return ScalarMappable(Normalize(low, high), colormaps["cividis"])


def _centre_colours(difference: Values) -> ScalarMappable:
    most = float(np.abs(difference).max()) or 1.0
    return ScalarMappable(Normalize(-most, most), colormaps["PuOr"])


def _colour(colours: ScalarMappable, values: Values) -> Rgb:
    return np.asarray(colours.to_rgba(values, bytes=True))[..., :3]


def _pale(colours: Rgb) -> Rgb:
    return np.round(PALE * colours + (1 - PALE) * 255).astype(np.uint8)


def _stack(channels: Rgb) -> Rgb:
    """Return channels (C, H, W, 3) on top of each other, with a white line between."""
    apart = np.pad(channels, ((0, 0), (0, 1), (0, 0), (0, 0)), constant_values=255)
    return apart.reshape(-1, *channels.shape[2:])[:-1]
