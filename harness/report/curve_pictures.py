"""Curves over training as pictures: a panel for each measure, a line for each factorization."""

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from lcma.harness.files import file_name, write_file
from lcma.harness.report.curves import describe_chart, describe_chart_key
from lcma.harness.report.figures import INK, add_text, figure_bytes, new_figure, tidy_axes
from lcma.harness.report.targets import PictureTarget
from lcma.harness.results.curves import Chart, Level, Line, LineKey, Panel, SeedCurve
from lcma.harness.text import printable

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Of Okabe and Ito, without the yellow, which is too pale for a line. Black is the conventional."""

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
"""Seeds of a mean that are drawn one by one at most; of more there is a band."""

EARLY = 0.2
"""Share of the training whose values may leave the axis, where a flow falls steeply."""

_WIDTH, _PANEL, _BETWEEN, _HEAD = 1120, 300, 66, 74
_LEFT, _RIGHT, _LEGEND = 72, 700, 840
_ROW, _WRAP = 16, 32
_GREY = "#6B6B6B"


@dataclass(frozen=True)
class Style:
    """How a line is told from the others."""

    colour: str
    dashes: Any
    marker: str
    width: float
    offset: float


@dataclass(frozen=True)
class Range:
    """The values that an axis shows, and the largest that it does not."""

    low: float
    high: float
    beyond: float | None

    def holds(self, value: float) -> bool:
        """Whether the axis shows it."""
        return self.low <= value <= self.high


def draw_charts(charts: Sequence[Chart], target: PictureTarget) -> list[Path]:
    """A picture of each chart into the folder, or of the only one as the file.

    Raises UserError where it cannot be written, or for one file and several charts.
    """
    target.require_one(len(charts), "pictures", "--flow, --dataset or --profile")
    return [draw_chart(chart, target) for chart in charts]


def draw_chart(chart: Chart, target: PictureTarget) -> Path:
    """The panels of one chart below each other, with their legend beside them."""
    keys = list(dict.fromkeys(line.key for panel in chart.panels for line in panel.lines))
    styles = dict(zip(keys, _styles(keys), strict=True))
    ranges = [_range(panel) for panel in chart.panels]
    handles, labels = _legend(chart, styles, ranges)
    notes = [
        line
        for note in [*_beyond(chart.panels, ranges), *chart.notes]
        for line in textwrap.wrap(printable(note), 160)
    ]
    panels = len(chart.panels) * (_PANEL + _BETWEEN)
    rows = sum(label.count("\n") + 1 for label in labels)
    height = _HEAD + max(panels, rows * _ROW + 20) + len(notes) * _ROW + 14
    figure = new_figure(_WIDTH, height)
    size = min(12.0, 12 * 95 / max(1, len(chart.key.title)))
    add_text(figure, 20 / _WIDTH, 1 - 22 / height, chart.key.title, size, weight="bold")
    add_text(figure, 20 / _WIDTH, 1 - 44 / height, describe_chart_key(chart), 9)
    last = max(s.steps for p in chart.panels for line in p.lines for s in line.seeds)
    for k, panel in enumerate(chart.panels):
        bottom = height - _HEAD - k * (_PANEL + _BETWEEN) - _PANEL
        axes = figure.add_axes(
            (_LEFT / _WIDTH, bottom / height, (_RIGHT - _LEFT) / _WIDTH, _PANEL / height)
        )
        _draw_panel(axes, panel, ranges[k], styles, last, k)
        if panel.part is not None:
            _draw_bars(axes, chart.bars, ranges[k])
    _draw_legend(figure, handles, labels, 1 - (_HEAD - 8) / height)
    for k, line in enumerate(notes):
        at = (len(notes) - k) * _ROW / height
        add_text(figure, 20 / _WIDTH, at, line, 8.5, color=_GREY)
    title = f"Curves over training: {chart.key.title}"
    content = figure_bytes(figure, target.form, title, describe_chart(chart))
    return write_file(target.path(_name(chart)), content)


def _styles(keys: Sequence[LineKey]) -> Iterator[Style]:
    place = 0
    for k, key in enumerate(keys):
        offset = 0.015 * (k % 8)
        if key.conventional:
            yield Style("#000000", "-", "", 2.2, offset)
            continue
        colour, dashes = COLOURS[place % len(COLOURS)], DASHES[place % len(DASHES)]
        yield Style(colour, dashes, MARKERS[place % len(MARKERS)], 1.6, offset)
        place += 1


def _range(panel: Panel) -> Range:
    """All that comes after the early steps, and what comes before where there is room."""
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
        return Range(low - 0.04 * room, max(most, high) + 0.05 * room, None)
    return Range(low - 0.04 * room, high + 0.05 * room, most)


def _draw_panel(
    axes: Any, panel: Panel, within: Range, styles: dict[LineKey, Style], last: int, group: int
) -> None:
    tidy_axes(axes)
    for line in panel.lines:
        style = styles[line.key]
        members = [seed for seed in line.seeds if seed.in_mean]
        if len(members) > BAND:
            _draw_band(axes, line, members, style)
        for seed in line.seeds:
            if seed.points and (not seed.in_mean or 1 < len(members) <= BAND):
                x, y = zip(*seed.points, strict=True)
                axes.plot(x, y, color=style.colour, lw=0.7, alpha=0.45)
        if line.mean:
            x, y = zip(*line.mean, strict=True)
            axes.plot(
                *(x, y),
                color=style.colour,
                ls=style.dashes,
                lw=style.width,
                marker=style.marker or None,
                ms=5,
                mec="white",
                mew=0.6,
                markevery=(style.offset, 0.12),
                zorder=3,
                gid=f"mean-{group}-{list(styles).index(line.key)}",
            )
        for seed in line.seeds:
            _draw_end(axes, seed, style, within)
    axes.set_xlim(0, last * 1.01)
    axes.set_ylim(within.low, within.high)
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    axes.set_xlabel("training step", fontsize=10, color=INK)
    axes.set_ylabel(panel.label, fontsize=10, color=INK, parse_math=False)


def _draw_band(axes: Any, line: Line, members: Sequence[SeedCurve], style: Style) -> None:
    values = [dict(seed.points) for seed in members]
    steps = [step for step, _ in line.mean]
    low = [min(of[step] for of in values) for step in steps]
    high = [max(of[step] for of in values) for step in steps]
    axes.fill_between(steps, low, high, color=style.colour, alpha=0.15, lw=0)


def _draw_end(axes: Any, seed: SeedCurve, style: Style, within: Range) -> None:
    """A cross where a training was lost, a ring where one goes on."""
    if not seed.points or seed.state == "done":
        return
    step, value = seed.points[-1]
    at = step, min(max(value, within.low), within.high)
    more = {"color": style.colour, "ls": "", "zorder": 4, "clip_on": False}
    if seed.lost:
        axes.plot(*at, marker="X", ms=9, mec="white", mew=0.8, **more)
    else:
        axes.plot(*at, marker="o", ms=6, mfc="white", mew=1.2, **more)


def _draw_bars(axes: Any, bars: Sequence[Level], within: Range) -> None:
    """Bars within the axis, each with its name beside it; names keep apart."""
    room = (within.high - within.low) * 13 / _PANEL
    free = within.low
    for bar in sorted(bars, key=lambda bar: bar.bits_per_dim):
        if not within.holds(bar.bits_per_dim):
            continue
        axes.axhline(bar.bits_per_dim, color=_GREY, lw=0.9, ls=(0, (1, 3)), zorder=1)
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


def _legend(
    chart: Chart, styles: dict[LineKey, Style], ranges: Sequence[Range]
) -> tuple[list[Any], list[str]]:
    lines = [line for panel in chart.panels for line in panel.lines]
    handles: list[Any] = []
    labels = []
    for key, style in styles.items():
        n = max(line.n for line in lines if line.key == key)
        handles.append(
            Line2D(
                *([], []),
                color=style.colour,
                ls=style.dashes,
                lw=style.width,
                marker=style.marker or None,
                ms=6,
                mec="white",
                mew=0.6,
            )
        )
        labels.append("\n".join(textwrap.wrap(f"{key.name}, n\u00a0=\u00a0{n}", _WRAP)))
    counts = [line.n for line in lines]
    seeds = [seed for line in lines for seed in line.seeds if seed.points]
    if any(1 < n <= BAND for n in counts) or any(not seed.in_mean for seed in seeds):
        handles.append(Line2D([], [], color=_GREY, lw=0.7))
        labels.append("a seed")
    if any(n > BAND for n in counts):
        handles.append(Patch(color=_GREY, alpha=0.25, lw=0))
        labels.append("lowest to highest seed")
    if any(seed.lost for seed in seeds):
        handles.append(Line2D([], [], color=_GREY, ls="", marker="X", ms=8, mec="white"))
        labels.append("diverged or failed here")
    if any(not seed.lost and seed.state != "done" for seed in seeds):
        handles.append(Line2D([], [], color=_GREY, ls="", marker="o", ms=6, mfc="white"))
        labels.append("not done yet")
    if any(
        within.holds(bar.bits_per_dim)
        for panel, within in zip(chart.panels, ranges, strict=True)
        for bar in chart.bars
        if panel.part is not None
    ):
        handles.append(Line2D([], [], color=_GREY, lw=0.9, ls=(0, (1, 3))))
        labels.append("bar: codec or simple density,\non test")
    return handles, labels


def _draw_legend(figure: Any, handles: Sequence[Any], labels: Sequence[str], top: float) -> None:
    legend = figure.legend(
        handles,
        ["x"] * len(labels),  # one that starts with '_' would be left out
        loc="upper left",
        bbox_to_anchor=(_LEGEND / _WIDTH, top),
        frameon=False,
        fontsize=8.5,
        handlelength=3.4,
        borderaxespad=0,
        labelcolor=INK,
    )
    for text, label in zip(legend.get_texts(), labels, strict=True):
        text.set_parse_math(False)
        text.set_text(label)


def _beyond(panels: Sequence[Panel], ranges: Sequence[Range]) -> Iterator[str]:
    for panel, within in zip(panels, ranges, strict=True):
        if within.beyond is not None:
            yield (
                f"{panel.label}: values above {within.high:.4g}, up to {within.beyond:.4g}, are "
                "beyond the axis."
            )


def _name(chart: Chart) -> str:
    key = chart.key
    return file_name(
        *("curves", key.flow, key.dataset, key.variant, key.profile),
        *(key.recipe_id[:8], key.data_digest[:8]),
    )
