"""A figure measured in pixels, so that one cell of an array is a whole number of them."""

import io

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
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
        bar = self._figure.colorbar(colours, cax=axes)
        bar.outline.set_visible(False)
        bar.ax.tick_params(labelsize=11 * 72 / DPI, colors=INK, width=0.6, length=3)
        bar.set_label(unit, fontsize=11 * 72 / DPI, color=INK)

    def png(self) -> bytes:
        """The picture as a PNG file."""
        out = io.BytesIO()
        self._figure.savefig(out, format="png", dpi=DPI, metadata={"Software": None})
        return out.getvalue()
