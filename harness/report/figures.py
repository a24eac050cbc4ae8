"""Matplotlib's figures as files: PNG or SVG, the same bytes for the same picture."""

import io
import re
from typing import Any
from xml.sax.saxutils import escape

from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from lcma.harness.report.formats import Format
from lcma.harness.report.text import printable

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


def figure_bytes(figure: Figure, form: Format, title: str, about: str = "") -> bytes:
    """The file. In SVG ``title`` and ``about`` are the words for whoever cannot see it."""
    if form is Format.svg:
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
