"""Matplotlib's figures as PNG, SVG or PDF, the same bytes for the same picture; grids of arrays."""

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import numpy as np
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator
from matplotlib.transforms import Bbox
from numpy.typing import NDArray

from lcma.harness.files import write_file
from lcma.harness.show.targets import PictureFormat, format_of
from lcma.harness.text import printable, printable_lines

DPI = 100
INK = "#222222"

BLACK = "#000000"
ORANGE = "#E69F00"
SKY_BLUE = "#56B4E9"
GREEN = "#009E73"
YELLOW = "#F0E442"
BLUE = "#0072B2"
VERMILION = "#D55E00"
PURPLE = "#CC79A7"
"""Colours of Okabe and Ito, which colour-blind people tell apart."""

AREA_COLOURS = (ORANGE, SKY_BLUE, GREEN, PURPLE, VERMILION, BLUE, YELLOW)
LINE_COLOURS = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY_BLUE)
"""Those of the first, the second, ...; for lines without the yellow, which is too pale."""

_SVG: Any = {
    "svg.hashsalt": "lcma",  # ids follow from what they name, not from chance
    "svg.fonttype": "none",  # text can be searched, copied and read aloud
    "svg.image_inline": True,
    "image.composite_image": False,  # which would interpolate
}
_PDF: Any = {"pdf.fonttype": 42, "image.composite_image": False}
"""Letters as outlines that journals accept."""
_NOTHING_IN_PDF = ("Creator", "Producer", "CreationDate")
_NOTHING = ("Creator", "Date", "Format", "Type")


def new_figure(width: float, height: float) -> Figure:
    """Return an empty white figure of so many pixels."""
    figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI, facecolor="white", layout=None)
    FigureCanvasAgg(figure)
    return figure


def find_box(figure: Figure) -> Bbox:
    """Return what is seen of a figure with a margin around it, as whole pixels in inches."""
    seen = figure.get_tightbbox().extents * DPI + np.array([-1, -1, 1, 1]) * 20
    return Bbox.from_extents(*np.round(seen) / DPI)


def figure_bytes(
    figure: Figure, form: PictureFormat, title: str, about: str = "", box: Bbox | None = None
) -> bytes:
    """Return a figure as a file, or the part of it that a box in inches encloses.

    In SVG ``title`` and ``about`` are the words for whoever cannot see it.
    """
    if form is PictureFormat.svg:
        return _svg(figure, printable(title), printable(about), box)
    out = io.BytesIO()
    if form is PictureFormat.pdf:
        with rc_context(_PDF):
            about_file = dict.fromkeys(_NOTHING_IN_PDF) | {"Title": printable(title)}
            figure.savefig(out, format="pdf", dpi=DPI, metadata=about_file, bbox_inches=box)
    else:
        figure.savefig(out, format="png", dpi=DPI, metadata={"Software": None}, bbox_inches=box)
    return out.getvalue()


def _svg(figure: Figure, title: str, about: str, box: Bbox | None) -> bytes:
    out = io.StringIO()
    with rc_context(_SVG):
        figure.savefig(
            out, format="svg", dpi=DPI, metadata=dict.fromkeys(_NOTHING), bbox_inches=box
        )
    size = figure.get_size_inches() if box is None else box.size
    width, height = (round(inches * DPI) for inches in size)
    words = f"<title>{escape(title)}</title>" + (f"<desc>{escape(about)}</desc>" if about else "")
    # Matplotlib sizes a picture in points: in pixels, the cells of an array are whole ones.
    text, found = re.subn(
        r'<svg ([^>]*?)width="[^"]*pt" height="[^"]*pt"([^>]*)>',
        lambda tag: f'<svg {tag[1]}width="{width}" height="{height}"{tag[2]} role="img">\n {words}',
        out.getvalue(),
        count=1,
    )
    # Matplotlib names an image by its content, and two may show the same.
    text = re.sub(r'(<image [^>]*?) id="[^"]*"', r"\1", text)
    assert found, "Matplotlib has changed the first tag of an SVG"
    # Matplotlib writes spaces as ones that do not break.
    return "\xa0".join(map(printable_lines, text.split("\xa0"))).encode()


def tidy_axes(axes: Any) -> None:
    """Set axes with two sides open, small ticks and pale lines across."""
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.tick_params(labelsize=9, colors=INK)
    axes.grid(axis="y", color="#E4E4E4", lw=0.7)
    axes.set_axisbelow(True)


def add_text(
    figure: Any, x: float, y: float, text: str, size: float, *, weight: str = "normal", **how: Any
) -> None:
    """Add a line of text to a figure or to axes, in their coordinates, shown as it is."""
    shown = printable(text)
    how = {"color": INK, "va": "center"} | how
    figure.text(x, y, shown, fontsize=size, weight=weight, parse_math=False, **how)


# Grids of arrays

Rgb = NDArray[np.uint8]

BAR = 92
"""Least gap before a panel with a scale of its colours, in pixels."""

_LINE, _CAPTION, _BETWEEN = 22, 16, 14
"""Pixels of a line of text, and between rows."""


@dataclass(frozen=True)
class Panel:
    """An array (H, W, 3) in a grid, each entry a square of ``scale`` pixels.

    ``title`` is right above it, ``heading`` above that, and the lines of ``caption`` below it.
    ``gap`` pixels lie before it, with the scale of its ``colours`` in its ``unit``, if it has one.
    """

    rgb: Rgb
    scale: int
    title: str = ""
    heading: str = ""
    caption: tuple[str, ...] = ()
    gap: int = 6
    colours: ScalarMappable | None = None
    unit: str = ""

    @property
    def width(self) -> int:
        """Return its width in pixels."""
        return int(self.rgb.shape[1]) * self.scale

    @property
    def height(self) -> int:
        """Return its height in pixels."""
        return int(self.rgb.shape[0]) * self.scale


@dataclass(frozen=True)
class Row:
    """Panels side by side; ``name`` stands before their titles."""

    panels: Sequence[Panel]
    name: str = ""


def draw_grid(
    path: Path,
    rows: Sequence[Row],
    title: str,
    below: Sequence[str] = (),
    legend: Sequence[tuple[str, str]] = (),
) -> Path:
    """Draw rows of panels below a title, lines, and a legend of labels and colours.

    A cell of an array is a whole number of pixels, and the picture as large as what is in it. The
    name of the file says the format, PNG where it says none. Raises UserError where it cannot be
    written.
    """
    # One pair of axes in pixels for all, from the title at (0, 0) down.
    figure = new_figure(1, 1)
    page = figure.add_axes((0, 0, 1, 1))
    page.set(xlim=(0, 1), ylim=(0, 1))
    page.set_axis_off()

    def write(x: int, y: int, text: str, pixels: int, weight: str = "normal") -> None:
        if text:
            add_text(page, x, -y, text, pixels * 72 / DPI, weight=weight)

    write(0, 0, title, 16, "bold")
    for k, line in enumerate(below, start=1):
        write(0, _LINE * k, line, 12)
    top = _LINE * (1 + len(below))
    if legend:
        _add_legend(page, legend, top)
        top += _LINE + 4
    for row in rows:
        top += _LINE * any(panel.heading for panel in row.panels)
        write(0, top, row.name, 12, "bold")
        left = 0
        height = max(panel.height for panel in row.panels)
        for panel in row.panels:
            left += panel.gap
            write(left, top - _LINE, panel.heading, 13, "bold")
            write(left, top, panel.title, 12)
            _add_panel(page, panel, left, top + _LINE // 2)
            for k, line in enumerate(panel.caption):
                write(left, top + _LINE + _CAPTION * k + height, line, 11)
            left += panel.width
        lines = max(len(panel.caption) for panel in row.panels)
        top += _LINE + height + _BETWEEN + (_LINE + _CAPTION * (lines - 1)) * (lines > 0)
    form = format_of(path) or PictureFormat.png
    return write_file(path, figure_bytes(figure, form, title, "; ".join(below), find_box(figure)))


def _add_panel(page: Any, panel: Panel, left: int, top: int) -> None:
    right, bottom = left + panel.width, top + panel.height
    # Not interpolated, an image is stored in SVG entry by entry and stays sharp at any size.
    page.imshow(
        panel.rgb, extent=(left, right, -bottom, -top), interpolation="none", aspect="auto"
    ).set_clip_on(False)
    if panel.colours is None:
        return
    place = (left - BAR, -bottom, 12, panel.height)
    axes = page.inset_axes(place, transform=page.transData)
    # A common factor of the labels would stand above the bar, where there is no room for it.
    bar = page.figure.colorbar(
        panel.colours,
        cax=axes,
        ticks=MaxNLocator(max(2, min(8, panel.height // 24))),
        format=FuncFormatter(lambda value, _: f"{value:.3g}"),
    )
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=11 * 72 / DPI, colors=INK, width=0.6, length=3)
    bar.set_label(panel.unit, fontsize=11 * 72 / DPI, color=INK)


def _add_legend(page: Any, legend: Sequence[tuple[str, str]], top: int) -> None:
    page.legend(
        handles=[Patch(color=colour, label=label) for label, colour in legend],
        loc="center left",
        bbox_to_anchor=(0, -top),
        bbox_transform=page.transData,
        ncols=len(legend),
        frameon=False,
        fontsize=12 * 72 / DPI,
        labelcolor=INK,
        handlelength=1,
        handleheight=1,
        handletextpad=0.5,
        borderpad=0,
        borderaxespad=0,
    )
