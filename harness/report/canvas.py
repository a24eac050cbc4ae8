"""A figure measured in pixels, so that one cell of an array is a whole number of them."""

import io
from functools import cache
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from harness.report.text import plain

DPI = 100
INK = "#222222"

Rgb = NDArray[np.uint8]


class Canvas:
    """A white picture of ``width`` x ``height`` pixels; (0, 0) is the upper left corner."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self._figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI, facecolor="white")
        FigureCanvasAgg(self._figure)

    def image(self, rgb: Rgb, left: int, top: int, scale: int) -> None:
        """Draw rgb (h, w, 3), each entry as a square of ``scale`` pixels."""
        large = rgb.repeat(scale, axis=0).repeat(scale, axis=1)
        bottom = self.height - top - len(large)
        self._figure.figimage(large, left, bottom, origin="upper")

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
        self._figure.text(
            x / self.width,
            1 - y / self.height,
            plain(text),
            fontsize=size * 72 / DPI,
            ha=align,
            va="center",
            weight=weight,
            color=colour,
            parse_math=False,
        )

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

    def png(self) -> bytes:
        """The picture as a PNG file."""
        out = io.BytesIO()
        self._figure.savefig(out, format="png", dpi=DPI, metadata={"Software": None})
        return out.getvalue()


def text_width(text: str, size: int = 13, weight: str = "normal") -> int:
    """Pixels that `Canvas.text` takes for a line."""
    font = FontProperties(size=size * 72 / DPI, weight=weight)
    width, _, _ = _renderer().get_text_width_height_descent(plain(text), font, False)
    return int(np.ceil(width))


@cache
def _renderer() -> Any:
    agg: Any = FigureCanvasAgg(Figure(dpi=DPI))  # its methods have no types
    return agg.get_renderer()
