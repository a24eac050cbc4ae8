"""Curves over training as pictures: a panel for each measure, a line for each factorization."""

import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from lcma.harness.files import file_name, write_file
from lcma.harness.results.curves import CurveChart, CurveLine, CurvePanel, Level, LineKey
from lcma.harness.show.curves import describe_chart, describe_chart_key
from lcma.harness.show.figures import (
    BLACK,
    INK,
    LINE_COLOURS,
    add_text,
    figure_bytes,
    find_box,
    new_figure,
    tidy_axes,
)
from lcma.harness.show.targets import PictureTarget
from lcma.harness.text import printable

DASHES: tuple[Any, ...] = (
    (0, (5, 1.5)),
    (0, (2, 1)),
    (0, (6, 1.5, 1.5, 1.5)),
    (0, (1, 1)),
    (0, (8, 1.5, 1.5, 1.5, 1.5, 1.5)),
)
MARKERS = "os^Dv<>Ph*pd"
"""With the dashes they tell lines apart without their colours."""

BAND = 4
"""Most seeds of a mean that are drawn one by one; more are drawn as a band."""

DIFFERENCES = (
    "Differences are paired by seed, with the 95 % t-interval of their mean as a band; below zero "
    "is better than the conventional rule."
)

EARLY = 0.2
"""Share of the training whose values may leave the axis, where a flow falls steeply."""

_WIDTH, _PANEL, _BETWEEN, _ROW = 628, 300, 66, 16
"""Pixels: width and height of a panel, between panels, and of a line below them."""

_GREY = "#6B6B6B"

Style = dict[str, Any]
"""Appearance of a line, as Matplotlib takes it."""

_AREA: Style = {"alpha": 0.15, "lw": 0}
_SEED: Style = {"lw": 0.7}
_LOST: Style = {"ls": "", "marker": "X", "ms": 9, "mec": "white", "mew": 0.8}
_UNDONE: Style = {"ls": "", "marker": "o", "ms": 6, "mfc": "white", "mew": 1.2}
_BAR: Style = {"color": _GREY, "lw": 0.9, "ls": (0, (1, 3))}


@dataclass(frozen=True)
class AxisRange:
    """The values that an axis shows, and the largest that it does not."""

    low: float
    high: float
    beyond: float | None

    def holds(self, value: float) -> bool:
        """Return whether the axis shows a value."""
        return self.low <= value <= self.high


def draw_charts(charts: Sequence[CurveChart], target: PictureTarget) -> list[Path]:
    """Draw each chart into the folder, or the only one as the file.

    Raises UserError where it cannot be written, or for one file and several charts.
    """
    target.require_one(len(charts), "pictures", "--flow, --dataset or --where")
    return [draw_chart(chart, target) for chart in charts]


def draw_chart(chart: CurveChart, target: PictureTarget) -> Path:
    """Draw the panels of one chart below each other, with their legend beside them."""
    styles = _choose_styles(
        dict.fromkeys(line.key for panel in chart.panels for line in panel.lines)
    )
    ranges = [find_axis_range(panel) for panel in chart.panels]
    compared = find_compared_panel(chart)
    count = len(chart.panels) + (compared is not None)
    height = count * _PANEL + (count - 1) * _BETWEEN
    # The panels fill the figure; what stands around them is in the picture too.
    figure = new_figure(_WIDTH, height)
    figure.subplots_adjust(0, 0, 1, 1, hspace=_BETWEEN / _PANEL)
    last = max(s.steps for p in chart.panels for line in p.lines for s in line.seeds)
    places = iter(figure.subplots(count, squeeze=False)[:, 0])
    for k, panel in enumerate(chart.panels):
        axes = next(places)
        _draw_panel(axes, panel, ranges[k], styles, last, k)
        if panel.part is not None:
            _draw_bars(axes, chart.bars, ranges[k])
        if panel is compared:
            _draw_differences(next(places), panel, styles, last)

    def write(y: float, text: str, size: float, **how: Any) -> None:
        add_text(figure, -52 / _WIDTH, y / height, text, size, **how)

    write(height + 52, chart.key.title, 12, weight="bold")
    write(height + 30, describe_chart_key(chart), 9)
    bottom = min(-70, _add_legend(figure, chart, styles, ranges) - _ROW)
    explained = [] if compared is None else [DIFFERENCES]
    for note in [*explained, *_beyond(chart.panels, ranges), *chart.notes]:
        for line in textwrap.wrap(printable(note), 160):
            write(bottom, line, 8.5, color=_GREY)
            bottom -= _ROW
    title = f"Curves over training: {chart.key.title}"
    content = figure_bytes(figure, target.form, title, describe_chart(chart), find_box(figure))
    return write_file(target.path(_name(chart)), content)


def _choose_styles(keys: Iterable[LineKey]) -> dict[LineKey, Style]:
    others = zip(cycle(LINE_COLOURS), cycle(DASHES), cycle(MARKERS))
    styles: dict[LineKey, Style] = {}
    for k, key in enumerate(keys):
        if key.conventional:
            style: Style = {"color": BLACK, "ls": "-", "lw": 2.2}
        else:
            colour, dashes, marker = next(others)
            style = {"color": colour, "ls": dashes, "lw": 1.6, "marker": marker, "ms": 5}
        styles[key] = style | {"mec": "white", "mew": 0.6, "markevery": (0.015 * (k % 8), 0.12)}
    return styles


def find_axis_range(panel: CurvePanel) -> AxisRange:
    """Return all values after the early steps, and those of the early steps if there is room."""
    means = [line.mean for line in panel.lines if line.mean]
    kept = means or [seed.points for line in panel.lines for seed in line.seeds]
    kept += [s.points for line in panel.lines for s in line.seeds if s.in_mean]
    last = max((points[-1][0] for points in kept if points), default=0)
    values = [value for points in kept for step, value in points if step >= EARLY * last]
    shown = [value for line in panel.lines for s in line.seeds for _, value in s.points]
    alive = [seed for line in panel.lines for seed in line.seeds if not seed.lost]
    low = min([*values, *(value for seed in alive for _, value in seed.points)])
    high, most = max(values), max(shown)
    room = max(high - low, 1e-3, 1e-6 * abs(high))
    if most <= high + 0.35 * room:
        return AxisRange(low - 0.04 * room, max(most, high) + 0.05 * room, None)
    return AxisRange(low - 0.04 * room, high + 0.05 * room, most)


def _draw_panel(
    axes: Any,
    panel: CurvePanel,
    within: AxisRange,
    styles: Mapping[LineKey, Style],
    last: int,
    group: int,
) -> None:
    tidy_axes(axes)
    for k, (key, style) in enumerate(styles.items()):
        for line in panel.lines:
            if line.key == key:
                _draw_line(axes, line, style, within, f"mean-{group}-{k}")
    axes.set_xlim(0, last * 1.01)
    axes.set_ylim(within.low, within.high)
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    axes.set_xlabel("training step", fontsize=10, color=INK)
    axes.set_ylabel(panel.label, fontsize=10, color=INK, parse_math=False)


def find_compared_panel(chart: CurveChart) -> CurvePanel | None:
    """Return the panel whose differences are drawn, the first that has any."""
    return next((panel for panel in chart.panels if panel.differences), None)


def find_difference_range(panel: CurvePanel) -> AxisRange:
    """Return zero and all differences with their intervals, but for those of the early steps."""
    last = max((line.mean[-1][0] for line in panel.differences if line.mean), default=0)
    late = [point for line in panel.differences for point in line.band if point[0] >= EARLY * last]
    means = [point for line in panel.differences for point in line.mean if point[0] >= EARLY * last]
    values = [0.0, *(end for _, *ends in late for end in ends), *(value for _, value in means)]
    room = 0.05 * max(max(values) - min(values), 1e-3)
    return AxisRange(min(values) - room, max(values) + room, None)


def _draw_differences(
    axes: Any, panel: CurvePanel, styles: Mapping[LineKey, Style], last: int
) -> None:
    tidy_axes(axes)
    within = find_difference_range(panel)
    for k, line in enumerate(panel.differences):
        style = styles[line.key]
        if line.band:
            axes.fill_between(*zip(*line.band, strict=True), color=style["color"], **_AREA)
        if line.mean:
            axes.plot(*zip(*line.mean, strict=True), **style, zorder=3, gid=f"difference-{k}")
    axes.axhline(0, color=BLACK, lw=1.2, zorder=2)
    axes.set_xlim(0, last * 1.01)
    axes.set_ylim(within.low, within.high)
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    axes.set_xlabel("training step", fontsize=10, color=INK)
    label = f"{panel.label}: difference from conventional"
    axes.set_ylabel(label, fontsize=10, color=INK, parse_math=False)


def _draw_line(axes: Any, line: CurveLine, style: Style, within: AxisRange, name: str) -> None:
    colour = style["color"]
    if line.n > BAND and line.mean:
        axes.fill_between(*zip(*line.band, strict=True), color=colour, **_AREA)
    for seed in line.seeds:
        if seed.points and (not seed.in_mean or 1 < line.n <= BAND):
            axes.plot(*zip(*seed.points, strict=True), color=colour, alpha=0.45, **_SEED)
    if line.mean:
        axes.plot(*zip(*line.mean, strict=True), **style, zorder=3, gid=name)
    for seed in line.seeds:
        # A cross where a training was lost, a ring where one goes on.
        if seed.points and seed.state != "done":
            step, value = seed.points[-1]
            end = min(max(value, within.low), within.high)
            mark = _LOST if seed.lost else _UNDONE
            axes.plot(step, end, color=colour, zorder=4, clip_on=False, **mark)


def _draw_bars(axes: Any, bars: Sequence[Level], within: AxisRange) -> None:
    """Draw bars within the axis, each with its name beside it; names keep apart."""
    room = (within.high - within.low) * 13 / _PANEL
    free = within.low
    for bar in sorted(bars, key=lambda bar: bar.bits_per_dim):
        if not within.holds(bar.bits_per_dim):
            continue
        axes.axhline(bar.bits_per_dim, zorder=1, **_BAR)
        at = max(bar.bits_per_dim, free)
        free = at + room
        axes.annotate(
            printable(f"{bar.name} {bar.bits_per_dim:.3f}"),
            (1.0, at),
            (5, 0),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            fontsize=8,
            color=_GREY,
            va="center",
            annotation_clip=False,
            parse_math=False,
        )


def _add_legend(
    figure: Any,
    chart: CurveChart,
    styles: Mapping[LineKey, Style],
    ranges: Sequence[AxisRange],
) -> float:
    """Add the legend to the right of the panels, and return where it ends, in pixels."""
    lines = [line for panel in chart.panels for line in panel.lines]
    seeds = [seed for line in lines for seed in line.seeds if seed.points]
    entries: list[tuple[str, Any]] = []
    for key, style in styles.items():
        n = max(line.n for line in lines if line.key == key)
        entries.append((f"{key.name}, n\u00a0=\u00a0{n}", Line2D([], [], **style)))
    if any(1 < line.n <= BAND for line in lines) or any(not seed.in_mean for seed in seeds):
        entries.append(("a seed", Line2D([], [], color=_GREY, **_SEED)))
    if any(line.n > BAND for line in lines):
        entries.append(("lowest to highest seed", Patch(color=_GREY, alpha=0.25, lw=0)))
    if any(seed.lost for seed in seeds):
        entries.append(("diverged or failed here", Line2D([], [], color=_GREY, **_LOST)))
    if any(not seed.lost and seed.state != "done" for seed in seeds):
        entries.append(("not done yet", Line2D([], [], color=_GREY, **_UNDONE)))
    if any(
        panel.part is not None and within.holds(bar.bits_per_dim)
        for panel, within in zip(chart.panels, ranges, strict=True)
        for bar in chart.bars
    ):
        entries.append(("bar: codec or simple density, on test", Line2D([], [], **_BAR)))
    legend = figure.legend(
        [handle for _, handle in entries],
        ["x"] * len(entries),  # one that starts with '_' would be left out
        loc="upper left",
        bbox_to_anchor=(1 + 140 / _WIDTH, 1),
        frameon=False,
        fontsize=8.5,
        handlelength=3.4,
        borderaxespad=0,
        labelcolor=INK,
    )
    for text, (label, _) in zip(legend.get_texts(), entries, strict=True):
        text.set_parse_math(False)
        text.set_text("\n".join(textwrap.wrap(label, 32)))
    return float(legend.get_window_extent().y0)


def _beyond(panels: Sequence[CurvePanel], ranges: Sequence[AxisRange]) -> Iterator[str]:
    for panel, within in zip(panels, ranges, strict=True):
        if within.beyond is not None:
            yield (
                f"{panel.label}: values above {within.high:.4g}, up to {within.beyond:.4g}, are "
                "beyond the axis."
            )


def _name(chart: CurveChart) -> str:
    key = chart.key
    return file_name(
        "curves",
        key.flow,
        key.dataset,
        key.variant,
        key.profile,
        key.recipe_id[:8],
        key.data_digest[:8],
    )
