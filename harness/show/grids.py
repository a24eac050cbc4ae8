"""Grids of pixels with captions: index tables, images, and contact sheets of prepared data sets."""

import base64
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.cells import cell_len

from lcma.harness.data.manifest import PartName
from lcma.harness.data.prepared_set import PreparedSet
from lcma.harness.results.map_statistics import find_exit_splits
from lcma.harness.show.targets import (
    BLUE,
    FONT,
    GREEN,
    GREY,
    INK,
    ORANGE,
    PURPLE,
    SKY_BLUE,
    VERMILION,
    YELLOW,
    write_picture,
)
from lcma.harness.text import printable
from lcma.models import SplitTable
from lcma.sweeps.errors import UserError

AREA_COLOURS = (ORANGE, SKY_BLUE, GREEN, PURPLE, VERMILION, BLUE, YELLOW)
"""Colours of the dimensions that each split factors out, in the order of splits."""

KEPT_COLOUR = "#3B3B3B"
"""Colour of the dimensions that are left."""

STOPS = (
    *("#00224E", "#0C3470", "#35456C", "#50576C", "#666970", "#7D7C78"),
    *("#948E77", "#AEA371", "#C8B866", "#E5CF52", "#FEE838"),
)
"""Colours of values, evenly spaced: cividis, which colour-blind people can read."""

SCALE_WIDTH = 92
"""Pixels before a panel that a scale of its colours needs."""

_LINE, _CAPTION, _ROW_GAP, _MARGIN = 22, 16, 14, 16
"""Pixels of a line of text, of a line of a caption, between rows, and around the picture."""

_SIDE = 88
"""Largest side of a channel of a table, in pixels."""

Rgb = NDArray[np.uint8]
Shape = tuple[int, int, int]


@dataclass(frozen=True)
class Colours:
    """A scale of colours over the values from ``low`` to ``high``."""

    low: float
    high: float
    unit: str

    @classmethod
    def of(cls, values: NDArray[Any], unit: str) -> "Colours":
        """Return a scale over all values, which may be equal."""
        low, high = float(values.min()), float(values.max())
        return cls(low, high, unit) if low < high else cls(low - 0.5, high + 0.5, unit)

    def paint(self, values: NDArray[Any]) -> Rgb:
        """Return the colours of values, in another axis at the end."""
        place = (values - self.low) / (self.high - self.low) * (len(STOPS) - 1)
        mixed = [np.interp(place, range(len(STOPS)), channel) for channel in read_colours(STOPS).T]
        return np.round(np.stack(mixed, axis=-1)).astype(np.uint8)


@dataclass(frozen=True)
class Panel:
    """An array (H, W, 3) in a grid."""

    rgb: Rgb
    scale: int  # pixels a side of each entry
    title: str = ""  # directly above the array
    heading: str = ""  # above the title
    caption: tuple[str, ...] = ()  # lines below the array
    gap: int = 6  # pixels before the array
    colours: Colours | None = None  # drawn as a scale in the gap


def draw_grid(
    path: Path,
    rows: Sequence[Sequence[Panel]],
    title: str,
    below: Sequence[str] = (),
    legend: Sequence[tuple[str, str]] = (),
) -> Path:
    """Draw rows of panels below a title, lines of text, and a legend of labels and colours.

    The file's suffix sets the format, PNG by default. Raises UserError where the file cannot be
    written.
    """
    parts, edges = list[str](), [0.0]

    def show(rgb: Rgb, x: int, y: int, width: int, height: int, *, smooth: bool = False) -> None:
        out = io.BytesIO()
        Image.fromarray(rgb).save(out, format="PNG")
        url = f"data:image/png;base64,{base64.b64encode(out.getvalue()).decode()}"
        place = f'x="{x}" y="{y}" width="{width}" height="{height}" preserveAspectRatio="none"'
        style = "" if smooth else ' style="image-rendering: pixelated"'
        parts.append(f'<image {place}{style} xlink:href="{url}"/>')
        edges.append(x + width)

    def write(x: int, y: int, text: str, size: int = 12, how: str = f'fill="{INK}"') -> float:
        """Write text centred at the height ``y``, and return approximately where it ends."""
        shown = printable(text)
        at = f'x="{x}" y="{y + 0.35 * size:g}" font-size="{size}"'
        parts.append(f"<text {at} {how}>{escape(shown)}</text>" if shown else "")
        edges.append(x + 0.53 * size * cell_len(shown))
        return edges[-1]

    top = 8  # the height of the line or row that is drawn next
    write(0, top, title, 15)
    for line in below:
        top += _CAPTION
        write(0, top + 4, line, 12, f'fill="{GREY}"')
    if legend:
        top, right = top + _LINE + 8, 0
        for label, colour in legend:
            parts.append(
                f'<rect x="{right}" y="{top - 6}" width="12" height="12" fill="{colour}"/>'
            )
            right = int(write(right + 18, top, label)) + 18
    top += _LINE + 8
    for row in rows:
        top += _LINE * any(panel.heading for panel in row)
        left, deepest = 0, 0
        for panel in row:
            left += panel.gap
            height, width = (side * panel.scale for side in panel.rgb.shape[:2])
            write(left, top - _LINE, panel.heading, 14)
            write(left, top, panel.title)
            show(panel.rgb, left, top + _LINE // 2, width, height)
            if panel.colours is not None:
                low, high = panel.colours.low, panel.colours.high
                bar, begin, end = left - SCALE_WIDTH, top + 11, top + 11 + height
                shades = panel.colours.paint(np.linspace(high, low, 64)[:, None])
                show(shades, bar, begin, 12, height, smooth=True)
                middle = (begin + end) // 2
                write(bar + 17, begin + 5, f"{high:.3g}", 11)
                write(bar + 17, middle, f"{(low + high) / 2:.3g}", 11)
                write(bar + 17, end - 5, f"{low:.3g}", 11)
                turn = f'transform="rotate(-90 {left - 20} {middle})"'
                how = f'fill="{INK}" text-anchor="middle" {turn}'
                write(left - 20, middle, panel.colours.unit, 11, how)
            for k, line in enumerate(panel.caption, start=1):
                write(left, top + height + 6 + _CAPTION * k, line, 11)
            left, deepest = left + width, max(deepest, height + _CAPTION * len(panel.caption))
        top += _LINE + deepest + _ROW_GAP
    wide, high = math.ceil(max(edges)) + 2 * _MARGIN, top + 2 * _MARGIN - _LINE
    size = f'width="{wide}" height="{high}" viewBox="{-_MARGIN} {-_MARGIN} {wide} {high}"'
    names = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    white = f'<rect x="{-_MARGIN}" y="{-_MARGIN}" width="{wide}" height="{high}" fill="white"/>'
    svg = f'<svg {names} {size} font-family="{FONT}">{white}{"".join(parts)}</svg>'
    panels = (panel for row in rows for panel in row if panel.caption)
    about = [*below, *(", ".join((panel.title, *panel.caption)) for panel in panels)]
    return write_picture(svg, path, title, "; ".join(about))


# Index tables as in the paper's Figure 1


def draw_tables(
    named: Mapping[str, Sequence[SplitTable]], shape: Shape, path: Path, title: str = ""
) -> Path:
    """Draw index tables as in the paper's Figure 1, on the grid of the input image (C, H, W).

    A row for each factorization and a column for each split show which dimensions are factored out
    so far, and at which split. All channels are drawn where those of any table differ. Raises
    UserError where the file cannot be written.
    """
    splits = max(map(len, named.values()))
    exits = [find_exit_splits(tables, shape) for tables in named.values()]
    names = channel_names(shape[0])
    shown = shape[0] if any((by_channel != by_channel[:1]).any() for by_channel in exits) else 1
    scale = max(2, _SIDE // max(shape[1:]))
    rows = []
    for k, (name, tables) in enumerate(named.items()):
        panels = []
        for split in range(1, len(tables) + 1):
            for channel, rgb in enumerate(colour_exits(exits[k][:shown], split, splits)):
                is_first = channel == 0
                heading = f"after split {split}" if is_first and k == 0 else ""
                gap = 24 if is_first and split > 1 else 4 * (channel > 0)
                label = name if is_first and split == 1 else ""
                panels.append(Panel(rgb, scale, label, heading, gap=gap))
        rows.append(panels)
    below = [f"for each split: {(', ' if shown > 1 else ' = ').join(names)}"] if names[1:] else []
    return draw_grid(path, rows, title or "Index tables", below, exit_legend(splits))


def read_colours(colours: Sequence[str]) -> Rgb:
    """Return the colours '#RRGGBB' as an array (N, 3)."""
    return np.array([list(bytes.fromhex(colour[1:])) for colour in colours], dtype=np.uint8)


def colour_exits(exits: NDArray[np.int64], split: int, splits: int) -> Rgb:
    """Return the colours of exits, as `find_exit_splits` returns them, up to a split.

    Raises UserError for more splits than there are colours.
    """
    if splits > len(AREA_COLOURS):
        raise UserError(
            f"tables of {splits} splits cannot be drawn: there are colours for {len(AREA_COLOURS)}"
        )
    return read_colours([KEPT_COLOUR, *AREA_COLOURS])[np.where(exits <= split, exits, 0)]


def exit_legend(splits: int) -> list[tuple[str, str]]:
    """Return the legend of `colour_exits`."""
    meanings = [f"factored out at split {k + 1}" for k in range(splits)]
    return [*zip(meanings, AREA_COLOURS, strict=False), ("stays", KEPT_COLOUR)]


def channel_names(channels: int) -> tuple[str, ...]:
    """Return the names of channels in a picture."""
    if channels == 3:
        return ("red", "green", "blue")
    return tuple(f"channel {c}" for c in range(channels)) if channels > 1 else ("",)


# Images


def tile_images(images: NDArray[np.uint8], columns: int, scale: int) -> Rgb:
    """Return an array (H, W, 3) of images (N, C, H, W) in rows, with two white pixels between.

    Raises ValueError for no images, or for channels other than 1 or 3.
    """
    count, channels, height, width = images.shape
    if count < 1 or channels not in (1, 3):
        raise ValueError(f"no grid of images of shape {images.shape}")
    columns = min(columns, count)
    rows = -(-count // columns)
    tall, wide = height * scale + 2, width * scale + 2
    cells = np.full((rows * columns, tall, wide, 3), 255, dtype=np.uint8)
    cells[:count, 2:, 2:] = images.transpose(0, 2, 3, 1).repeat(scale, 1).repeat(scale, 2)
    grid = cells.reshape(rows, columns, tall, wide, 3).swapaxes(1, 2)
    edges = ((0, 2), (0, 2), (0, 0))
    return np.pad(grid.reshape(rows * tall, columns * wide, 3), edges, constant_values=255)


# Contact sheets: images of a prepared set, to look at before training on them

SHEET_PARTS: tuple[PartName, ...] = ("test", "train")

_COLUMNS, _MAX_IMAGES, _CELL = 16, 80, 64


def draw_contact_sheet(prepared: PreparedSet, path: Path) -> Path:
    """Draw up to 80 images each of the test part and of train, evenly spaced.

    Float images are rounded for the picture. Raises UserError where the file cannot be written.
    """
    rows = []
    for part in SHEET_PARTS:
        images = prepared.part(part).images
        shown = min(len(images), _MAX_IMAGES)
        sample = images[np.arange(shown) * len(images) // shown]
        sample = np.clip(np.round(sample), 0, 255).astype(np.uint8)
        channels = sample if sample.shape[1] == 3 else sample[:, :1]
        grid = tile_images(channels, _COLUMNS, max(1, _CELL // sample.shape[2]))
        choice = "" if shown == len(images) else f", {shown} of them evenly spaced"
        rows.append([Panel(grid, 1, f"{part}: {len(images):,} images{choice}", gap=0)])
    manifest = prepared.manifest
    title = f"{manifest.name} ({manifest.variant}), digest {manifest.digest[:12]}"
    return draw_grid(path, rows, title)
