"""Pictures of contribution maps: budgets side by side, and two sets compared."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from numpy.typing import NDArray

from lcma.db import ContributionMap
from lcma.harness.report.figures import Canvas, Rgb, text_width
from lcma.harness.report.pictures import (
    channel_names,
    channels_differ,
    draw_legend,
    exit_colours,
    find_exit_splits,
    legend_width,
    title_width,
)
from lcma.harness.results.maps import SplitComparison, image_shape, make_word_tables, require_alike

MOST = 8
"""Most columns in a picture of maps."""

IN_FULL = 2
"""Most columns in a picture that shows every channel of the maps."""

PALE = 0.25
"""Share of a colour that is left where two tables agree."""

_MARGIN, _GUTTER, _GAP, _BETWEEN = 20, 92, 6, 24
_TITLES, _HEADING, _CAPTION, _LETTER = 80, 22, 34, 16
_SIDE = {1: 128, 2: 96}
"""Largest side of a panel in pixels, by the number of columns."""

Values = NDArray[np.floating]
What = Literal["map", "table", "difference"]


@dataclass(frozen=True)
class MapColumn:
    """A set of maps in a picture: the heading above it, and its maps by split."""

    heading: str
    maps: Sequence[ContributionMap]


@dataclass(frozen=True)
class MapPanel:
    """Place of a panel of `draw_maps` or `draw_comparison`, in pixels.

    Entry (h, w) is the square of ``scale`` pixels whose upper left corner is at (top + h scale,
    left + w scale). ``channel`` is None for the mean of a map's channels, and for a table that is
    alike in all of them.
    """

    column: int
    split: int
    what: What
    channel: int | None
    left: int
    top: int
    scale: int


def lay_out_maps(columns: Sequence[MapColumn]) -> tuple[MapPanel, ...]:
    """Return the panels of `draw_maps`: for each column and split maps, and beside them tables.

    In full, all channels of the map and their mean in a line with the table's channels; where there
    are more columns the mean alone, and beside it the table's channels on top of each other.
    """
    channels, height, width = image_shape(columns[0].maps)
    differ = any(channels_differ(_low_exits(column)) for column in columns)
    of_table: list[int | None] = [*range(channels)] if differ else [None]
    side = max(height, width)
    offsets: list[tuple[What, int | None, int, int, int]]  # channel, left, top, scale
    if len(columns) <= IN_FULL:
        scale = max(1, _SIDE[len(columns)] // side)
        of_map: list[int | None] = [*range(channels), None] if channels > 1 else [None]
        step, tall = width * scale + _GAP, height * scale
        offsets = [("map", c, k * step, 0, scale) for k, c in enumerate(of_map)]
        start = len(of_map) * step + _GAP
        offsets += [("table", c, start + k * step, 0, scale) for k, c in enumerate(of_table)]
        wide = start + len(of_table) * step - _GAP
    else:
        small = max(1, round(52 / side))
        scale = small * (len(of_table) if differ else 2)
        small = small if differ else scale
        step, start = height * small + 2, width * scale + _GAP
        offsets = [("map", None, 0, 0, scale)]
        offsets += [("table", c, start, k * step, small) for k, c in enumerate(of_table)]
        wide = start + width * small + (_LETTER if differ else 0)
        tall = len(of_table) * step - 2
    return tuple(
        MapPanel(
            column=k,
            split=split,
            what=what,
            channel=channel,
            left=_MARGIN + _GUTTER + k * (wide + _BETWEEN) + left,
            top=_TITLES + 2 * _HEADING + (split - 1) * (tall + _HEADING + _CAPTION) + top,
            scale=of,
        )
        for split in range(1, len(columns[0].maps) + 1)
        for k in range(len(columns))
        for what, channel, left, top, of in offsets
    )


def draw_maps(columns: Sequence[MapColumn], title: str, below: str, path: Path) -> Path:
    """Draw maps side by side, a row for each split, and what low factors out up to it.

    The colours of a row share one scale, in nats. ``below`` stands under the title. All columns
    have one shape and number of splits, else UserError, as where it cannot be written; ValueError
    for no maps or more columns than `MOST`.
    """
    if not columns or not columns[0].maps or len(columns) > MOST:
        raise ValueError(f"{len(columns)} columns cannot be drawn")
    for column in columns:
        require_alike(columns[0].maps, column.maps)
    shape, splits = image_shape(columns[0].maps), len(columns[0].maps)
    panels = lay_out_maps(columns)
    done = [_low_exits(column) for column in columns]
    in_full = len(columns) == 1
    texts = {
        (k, split): _caption(column.maps[split - 1], in_full=in_full)
        for k, column in enumerate(columns)
        for split in range(1, splits + 1)
    }
    captions = texts.values() if in_full else ()
    canvas = _canvas(path, panels, shape, splits, (title, below), captions)
    for split in range(1, splits + 1):
        row = [panel for panel in panels if panel.split == split]
        shown = [
            (p, _channel(columns[p.column].maps[split - 1].values, p.channel))
            for p in row
            if p.what == "map"
        ]
        scale = _one_scale([values for _, values in shown])
        for panel, values in shown:
            canvas.image(_rgb(scale, values), panel.left, panel.top, panel.scale)
        for panel in row:
            if panel.what == "table":
                colours = exit_colours(splits)[_so_far(done[panel.column], panel)]
                canvas.image(colours, panel.left, panel.top, panel.scale)
            _name(canvas, panel, shape, stacked=len(columns) > IN_FULL)
        top, tall = row[0].top, _row_height(row, shape)
        canvas.text(_MARGIN, top - _HEADING // 2, f"split {split}", size=12, weight="bold")
        canvas.colour_bar(scale, _MARGIN, top, tall, "nats")
        for k, column in enumerate(columns):
            left = min(p.left for p in row if p.column == k)
            if split == 1:
                above = top - _HEADING - _HEADING // 2
                canvas.text(left, above, column.heading, size=13, weight="bold")
            canvas.text(left, top + tall + 12, texts[k, split], size=11)
    return canvas.save(path, title, below)


def lay_out_comparison(shape: tuple[int, int, int], splits: int) -> tuple[MapPanel, ...]:
    """Return the panels of `draw_comparison`: columns 0 and 1 are the two sets."""
    channels, height, width = shape
    scale = max(1, _SIDE[1] // max(height, width))
    step = width * scale + _GAP
    panels = []
    for split in range(1, splits + 1):
        row = height * scale + _HEADING + _CAPTION
        top = _TITLES + 2 * _HEADING + (split - 1) * row
        left = _MARGIN + _GUTTER

        def panel(
            column: int,
            what: What,
            channel: int | None,
            at: int,
            split: int = split,
            top: int = top,
        ) -> None:
            panels.append(MapPanel(column, split, what, channel, at, top, scale))

        panel(0, "map", None, left)
        panel(1, "map", None, left + step)
        panel(0, "difference", None, left + 2 * step + _BETWEEN)
        left += 3 * step + _BETWEEN + _GUTTER + _GAP
        for column in (0, 1):
            for channel in range(channels):
                panel(column, "table", channel, left + channel * step)
            left += channels * step + _BETWEEN
    return tuple(panels)


def draw_comparison(
    one: MapColumn,
    other: MapColumn,
    numbers: Sequence[SplitComparison],
    titles: tuple[str, str],
    path: Path,
) -> Path:
    """Draw two sets of maps, the first minus the second, and the tables that low makes of them.

    Means over channels. The two maps of a split share one scale in nats; the difference has its
    own, the same on both sides of 0. Dimensions are pale where the two tables agree. UserError
    where the sets differ in shape or number of splits, or it cannot be written.
    """
    require_alike(one.maps, other.maps)
    pair, shape, splits = (one, other), image_shape(one.maps), len(one.maps)
    panels = lay_out_comparison(shape, splits)
    done = [_low_exits(column) for column in pair]
    texts = [_compared(comparison) for comparison in numbers]
    canvas = _canvas(path, panels, shape, splits, titles, texts, alike=True)
    note = "pale: A and B agree"
    canvas.text(legend_width(splits) - _GAP, _TITLES - 14, note, size=12)
    for split in range(1, splits + 1):
        row = [panel for panel in panels if panel.split == split]
        means = [_channel(column.maps[split - 1].values, None) for column in pair]
        shared, diverging = _one_scale(means), _around_zero(means[0] - means[1])
        for panel in row:
            size = (shape[2] * panel.scale, shape[1] * panel.scale)
            canvas.frame(panel.left, panel.top, *size)
            if panel.what == "map":
                rgb = _rgb(shared, means[panel.column])
            elif panel.what == "difference":
                rgb = _rgb(diverging, means[0] - means[1])
                bar = panel.left + size[0] + _GAP
                canvas.colour_bar(diverging, bar, panel.top, size[1], "nats")
            else:
                ours, theirs = (_so_far(of, panel) for of in done)
                colours = exit_colours(splits)[(ours, theirs)[panel.column]]
                rgb = np.where((ours == theirs)[..., None], _pale(colours), colours)
            canvas.image(rgb, panel.left, panel.top, panel.scale)
            _name_compared(canvas, panel, shape)
            if split == 1 and panel.what == "table" and panel.channel == 0:
                above = panel.top - _HEADING - _HEADING // 2
                heading = f"low of {'AB'[panel.column]}, {pair[panel.column].heading}"
                canvas.text(panel.left, above, heading, size=13, weight="bold")
        top, tall = row[0].top, _row_height(row, shape)
        canvas.text(_MARGIN, top - _HEADING // 2, f"split {split}", size=12, weight="bold")
        canvas.colour_bar(shared, _MARGIN, top, tall, "nats")
        canvas.text(_MARGIN + _GUTTER, top + tall + 12, texts[split - 1], size=11)
    return canvas.save(path, "Two contribution maps: A, B and A - B", "; ".join(titles))


def _canvas(
    path: Path,
    panels: Sequence[MapPanel],
    shape: tuple[int, int, int],
    splits: int,
    titles: tuple[str, str],
    captions: Iterable[str],
    *,
    alike: bool = False,
) -> Canvas:
    """Return a canvas with two lines at its top, ``alike`` or the second smaller, and the legend.

    It is wide enough for captions that start beside the colour bars.
    """
    right = max(p.left + shape[2] * p.scale for p in panels) + _LETTER + _MARGIN
    bottom = max(p.top + shape[1] * p.scale for p in panels) + _CAPTION
    widths = [right, legend_width(splits) + 150, *map(title_width, titles)]
    widths += [_MARGIN + _GUTTER + text_width(text, 11) + _MARGIN for text in captions]
    canvas = Canvas.for_file(path, max(widths), bottom)
    canvas.text(_MARGIN, 18, titles[0], size=16, weight="bold")
    size, weight = (16, "bold") if alike else (12, "normal")
    canvas.text(_MARGIN, 42, titles[1], size=size, weight=weight)
    draw_legend(canvas, splits, _MARGIN, _TITLES - 21)
    return canvas


def _low_exits(column: MapColumn) -> NDArray[np.int64]:
    return find_exit_splits(make_word_tables("L", column.maps), image_shape(column.maps))


def _so_far(done: NDArray[np.int64], panel: MapPanel) -> NDArray[np.int64]:
    """Return what is factored out up to the panel's split, of its channel."""
    exits = done[panel.channel or 0]
    return np.where(exits <= panel.split, exits, 0)


def _channel(values: Values, channel: int | None) -> Values:
    return np.asarray(values.mean(axis=0, dtype=np.float64) if channel is None else values[channel])


def _one_scale(shown: Sequence[Values]) -> ScalarMappable:
    low, high = min(float(v.min()) for v in shown), max(float(v.max()) for v in shown)
    if low == high:
        low, high = low - 0.5, high + 0.5
    return ScalarMappable(Normalize(low, high), colormaps["cividis"])


def _around_zero(difference: Values) -> ScalarMappable:
    most = float(np.abs(difference).max()) or 1.0
    return ScalarMappable(Normalize(-most, most), colormaps["PuOr"])


def _rgb(scale: ScalarMappable, values: Values) -> Rgb:
    return np.asarray(scale.to_rgba(values, bytes=True))[..., :3]


def _pale(colours: Rgb) -> Rgb:
    return np.round(PALE * colours + (1 - PALE) * 255).astype(np.uint8)


def _row_height(row: Sequence[MapPanel], shape: tuple[int, int, int]) -> int:
    return max(p.top + shape[1] * p.scale for p in row) - row[0].top


def _name(canvas: Canvas, panel: MapPanel, shape: tuple[int, int, int], *, stacked: bool) -> None:
    names = channel_names(shape[0])
    wide, tall = shape[2] * panel.scale, shape[1] * panel.scale
    if stacked and panel.channel is not None:
        beside = panel.left + wide + 4
        canvas.text(beside, panel.top + tall // 2, names[panel.channel][-1:], size=11)
        if panel.channel == 0:
            canvas.text(panel.left + wide // 2, panel.top - 11, "low", size=12, align="center")
        return
    whole = "mean" if shape[0] > 1 else ""
    if panel.what == "table":
        whole = "low" if stacked or shape[0] == 1 else f"low, {' = '.join(names)}"
    name = whole if panel.channel is None else names[panel.channel]
    if panel.what == "table" and panel.channel is not None:
        name = f"low, {name}"
    canvas.text(panel.left + wide // 2, panel.top - 11, name, size=12, align="center")


def _name_compared(canvas: Canvas, panel: MapPanel, shape: tuple[int, int, int]) -> None:
    names = channel_names(shape[0])
    name = {"map": "AB"[panel.column], "difference": "A - B", "table": ""}[panel.what]
    if panel.channel is not None and shape[0] > 1:
        name = names[panel.channel]
    elif panel.what != "table" and shape[0] > 1:
        name += ", mean"
    middle = panel.left + shape[2] * panel.scale // 2
    canvas.text(middle, panel.top - 11, name, size=12, align="center")


def _caption(item: ContributionMap, *, in_full: bool) -> str:
    numbers = item.statistics
    share = ""
    if numbers is not None and numbers.mask_share is not None:
        share = f"mask share {numbers.mask_share:.2f}"
    if not in_full:
        return share
    counted = f"{item.images} images"
    if item.clusters is not None:
        counted += f" in {item.clusters} clusters"
    errors = item.standard_errors[np.isfinite(item.standard_errors)]
    largest = f"{errors.max():.2g}" if errors.size else "unknown"
    text = (
        f"{counted}, log-det {item.mean_log_det:.2f} nats, largest standard error {largest}, "
        f"sum error {item.sum_error:.1g}"
    )
    if numbers is None or not share:
        return text
    return f"{text}, {share} (by chance {numbers.mask_share_by_chance:.2f})"


def _compared(numbers: SplitComparison) -> str:
    def shown(value: float | None) -> str:
        return "unknown" if value is None else f"{value:.2f}"

    return (
        f"difference: largest {numbers.largest_difference:.3g}, "
        f"rms {numbers.rms_difference:.3g} nats; "
        f"rank correlation {shown(numbers.rank_correlation)}, "
        f"in windows {shown(numbers.rank_correlation_in_windows)}; "
        f"IoU of what stays: low {numbers.iou_low:.2f}, high {numbers.iou_high:.2f} "
        f"(by chance {numbers.iou_by_chance:.2f})"
    )
