"""Matplotlib's figures as files: PNG or SVG, the same bytes for the same picture."""

import io
import re
from functools import cache
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import numpy as np
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from lcma.harness.files import write_file
from lcma.harness.report.targets import PictureFormat, format_of
from lcma.harness.text import printable

DPI = 100
INK = "#222222"

_SVG: Any = {
    "svg.hashsalt": "lcma",  # ids follow from what they name, not from chance
    "svg.fonttype": "none",  # text can be searched, copied and read aloud
    "svg.image_inline": True,
    "image.composite_image": False,  # which would interpolate
}
_NOTHING = ("Creator", "Date", "Format", "Type")


def new_figure(width: float, height: float) -> Figure:
    """An empty white figure of so many pixels."""
    figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI, facecolor="white", layout=None)
    FigureCanvasAgg(figure)
    return figure


def figure_bytes(figure: Figure, form: PictureFormat, title: str, about: str = "") -> bytes:
    """The file. In SVG ``title`` and ``about`` are the words for whoever cannot see it."""
    if form is PictureFormat.svg:
        return _svg(figure, printable(title), printable(about))
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=DPI, metadata={"Software": None})
    return out.getvalue()


def _svg(figure: Figure, title: str, about: str) -> bytes:
    out = io.StringIO()
    with rc_context(_SVG):
        figure.savefig(out, format="svg", dpi=DPI, metadata=dict.fromkeys(_NOTHING))
    width, height = (round(inches * DPI) for inches in figure.get_size_inches())
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
    return text.encode()


def tidy_axes(axes: Any) -> None:
    """Two sides open, small ticks, pale lines across."""
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.tick_params(labelsize=9, colors=INK)
    axes.grid(axis="y", color="#E4E4E4", lw=0.7)
    axes.set_axisbelow(True)


def add_text(
    figure: Any, x: float, y: float, text: str, size: float, *, weight: str = "normal", **how: Any
) -> None:
    """A line of text at a share of the figure's width and height, shown as it is."""
    said = printable(text)
    how = {"color": INK, "va": "center"} | how
    figure.text(x, y, said, fontsize=size, weight=weight, parse_math=False, **how)


# A figure measured in pixels, so that one cell of an array is a whole number of them

Rgb = NDArray[np.uint8]


class Canvas:
    """A white picture of ``width`` x ``height`` pixels; (0, 0) is the upper left corner.

    It is saved in the ``form`` that it was made for.
    """

    def __init__(self, width: int, height: int, form: PictureFormat = PictureFormat.png) -> None:
        self.width, self.height, self.form = width, height, form
        self._figure = new_figure(width, height)
        self._pixels: Any = None

    @classmethod
    def of(cls, path: Path, width: int, height: int) -> "Canvas":
        """A canvas for a file, in the format that its name says: PNG where it says none."""
        return cls(width, height, format_of(path) or PictureFormat.png)

    def image(self, rgb: Rgb, left: int, top: int, scale: int) -> None:
        """Draw rgb (h, w, 3), each entry as a square of ``scale`` pixels."""
        height, width = rgb.shape[0] * scale, rgb.shape[1] * scale
        if self.form is PictureFormat.png:
            large = rgb.repeat(scale, axis=0).repeat(scale, axis=1)
            self._figure.figimage(large, left, self.height - top - height, origin="upper")
            return
        # Not interpolated, an image is stored entry by entry and stays sharp at any size.
        self._whole().imshow(
            rgb, extent=(left, left + width, top + height, top), interpolation="none", aspect="auto"
        )

    def frame(self, left: int, top: int, width: int, height: int) -> None:
        """A grey line around what is drawn next on this rectangle."""
        self.image(np.full((height + 2, width + 2, 3), 0xB0, np.uint8), left - 1, top - 1, 1)

    def text(
        self,
        x: int,
        y: int,
        text: str,
        *,
        size: int = 13,
        align: str = "left",
        weight: str = "normal",
        colour: str = INK,
    ) -> None:
        """A line whose middle is at height ``y``; ``size`` in pixels. Shown as it is."""
        across, up, points = x / self.width, 1 - y / self.height, size * 72 / DPI
        add_text(self._figure, across, up, text, points, weight=weight, ha=align, color=colour)

    def colour_bar(
        self, colours: ScalarMappable, left: int, top: int, height: int, unit: str
    ) -> None:
        """A vertical bar with ticks, 12 pixels wide."""
        bottom = self.height - top - height
        axes = self._figure.add_axes(
            (left / self.width, bottom / self.height, 12 / self.width, height / self.height)
        )
        # A common factor of the labels would stand above the bar, where there is no room for it.
        ticks = MaxNLocator(max(2, min(8, height // 24)))
        plainly = FuncFormatter(lambda value, _: f"{value:.3g}")
        bar = self._figure.colorbar(colours, cax=axes, ticks=ticks, format=plainly)
        bar.outline.set_visible(False)
        bar.ax.tick_params(labelsize=11 * 72 / DPI, colors=INK, width=0.6, length=3)
        bar.set_label(unit, fontsize=11 * 72 / DPI, color=INK)

    def save(self, path: Path, title: str, about: str = "") -> Path:
        """Write the picture as a file and return its path; see `figures.content`.

        Raises UserError where it cannot be written.
        """
        return write_file(path, figure_bytes(self._figure, self.form, title, about))

    def _whole(self) -> Any:
        """Axes over all of the picture, in its pixels."""
        if self._pixels is None:
            self._pixels = self._figure.add_axes((0, 0, 1, 1))
            self._pixels.set(xlim=(0, self.width), ylim=(self.height, 0))
            self._pixels.set_axis_off()
        return self._pixels


def text_width(text: str, size: int = 13, weight: str = "normal") -> int:
    """Pixels that `Canvas.text` takes for a line."""
    font = FontProperties(size=size * 72 / DPI, weight=weight)
    width, _, _ = _renderer().get_text_width_height_descent(printable(text), font, False)
    return int(np.ceil(width))


@cache
def _renderer() -> Any:
    agg: Any = FigureCanvasAgg(Figure(dpi=DPI))  # its methods have no types
    return agg.get_renderer()
