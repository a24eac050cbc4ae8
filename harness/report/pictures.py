"""Pictures: index tables and samples."""

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.colors import to_rgb
from numpy.typing import NDArray
from PIL import Image

from lcma.harness.data.manifest import PartName
from lcma.harness.data.prepared import Prepared
from lcma.harness.files import write_file
from lcma.harness.report.figures import Canvas, Rgb, text_width
from lcma.harness.report.targets import PictureFormat, format_of
from lcma.models import SplitTable
from lcma.models.factorization import surviving_ids
from lcma.sweeps.errors import UserError

LEAVING = (
    "#E69F00",
    "#56B4E9",
    "#009E73",
    "#CC79A7",
    "#D55E00",
    "#0072B2",
    "#F0E442",
)
"""Colours of the dimensions that leave at split 1, 2, ... (Okabe and Ito)."""

STAYING = "#3B3B3B"
"""Colour of the dimensions that are still there."""

Shape = tuple[int, int, int]

_MARGIN, _GAP, _PANEL = 20, 24, 176
_TITLE, _HEADING, _ENTRY = 44, 22, 150


def fates(tables: Sequence[SplitTable], shape: Shape) -> NDArray[np.int64]:
    """At which split each dimension leaves, from 1; 0 where it stays. (C, H, W) as the input."""
    found = np.zeros(math.prod(shape), dtype=np.int64)
    for split, (table, ids) in enumerate(
        zip(tables, surviving_ids(tables, shape), strict=False), start=1
    ):
        found[ids.ravel()[table.left]] = split
    return found.reshape(shape)


@dataclass(frozen=True)
class Panel:
    """Where one channel of one table lies in the picture of `draw_tables`, in pixels.

    Entry (h, w) is the square of ``scale`` pixels whose upper left corner is at
    (top + h scale, left + w scale). ``channel`` is None where one panel stands for all.
    """

    row: int
    split: int
    channel: int | None
    left: int
    top: int
    scale: int


def table_panels(
    named: Sequence[tuple[str, Sequence[SplitTable]]], shape: Shape
) -> tuple[Panel, ...]:
    """The panels of `draw_tables`: one for each row and split, or three where channels differ."""
    channels, height, width = shape
    scale = max(2, (_PANEL if channels == 1 else _PANEL // 2) // max(height, width))
    three = [channels_differ(fates(tables, shape)) for _, tables in named]
    panel = width * scale
    column = (channels * (panel + 4) - 4 if any(three) else panel) + _GAP
    panels = []
    for row, (_, tables) in enumerate(named):
        top = _TITLE + 2 * _HEADING + row * (height * scale + _HEADING + 12) + _HEADING
        for split in range(1, len(tables) + 1):
            left = _MARGIN + (split - 1) * column
            if three[row]:
                for channel in range(channels):
                    at = left + channel * (panel + 4)
                    panels.append(Panel(row, split, channel, at, top, scale))
            else:
                panels.append(Panel(row, split, None, left, top, scale))
    return tuple(panels)


def draw_tables(
    named: Sequence[tuple[str, Sequence[SplitTable]]], shape: Shape, path: Path, title: str = ""
) -> Path:
    """Index tables as in the paper's Figure 1, on the grid of the input image (C, H, W).

    A row for each factorization, a column for each split: which dimensions have left so far, and
    when. Raises UserError where it cannot be written, ValueError for no tables.
    """
    if not named or not all(tables for _, tables in named):
        raise ValueError("no tables to draw")
    channels, height, width = shape
    splits = max(len(tables) for _, tables in named)
    panels = table_panels(named, shape)
    size = height * panels[0].scale
    right = max(p.left for p in panels) + width * panels[0].scale + _MARGIN
    title = title or "Index tables"
    canvas = Canvas.of(
        path,
        max(right, legend_width(splits), title_width(title)),
        max(p.top for p in panels) + size + _MARGIN,
    )
    canvas.text(_MARGIN, _TITLE // 2, title, size=16, weight="bold")
    draw_legend(canvas, splits, _MARGIN, _TITLE)
    done = [fates(tables, shape) for _, tables in named]
    colours = fate_colours(splits)
    for panel in panels:
        so_far = np.where(done[panel.row] <= panel.split, done[panel.row], 0)
        canvas.image(colours[so_far[panel.channel or 0]], panel.left, panel.top, panel.scale)
        if panel.row == 0 and not panel.channel:
            heading = f"after split {panel.split}"
            canvas.text(panel.left, _TITLE + _HEADING + 11, heading, size=12)
        if panel.split == 1 and not panel.channel:
            words = f"{named[panel.row][0]}{_which_channels(panel.channel, channels)}"
            canvas.text(panel.left, panel.top - _HEADING // 2, words, size=12, weight="bold")
    return canvas.save(path, title, f"Rows: {', '.join(name for name, _ in named)}")


def fate_colours(splits: int) -> Rgb:
    """Colours of `fates`, (splits + 1, 3). UserError for more splits than there are colours."""
    if splits > len(LEAVING):
        raise UserError(f"tables of more than {len(LEAVING)} splits cannot be drawn apart")
    return np.stack([_rgb(colour) for colour in (STAYING, *LEAVING[:splits])])


def draw_legend(canvas: Canvas, splits: int, left: int, top: int) -> None:
    """What the colours of `fates` mean, in a line 14 pixels high."""
    words = [f"leaves at split {k + 1}" for k in range(splits)]
    for k, colour in enumerate(np.roll(fate_colours(splits), -1, axis=0)):
        canvas.image(colour[None, None], left + _ENTRY * k, top, 14)
        canvas.text(left + _ENTRY * k + 20, top + 7, [*words, "stays"][k], size=12)


def legend_width(splits: int) -> int:
    """Pixels of a picture that holds `draw_legend`."""
    return _MARGIN + _ENTRY * (splits + 1)


def title_width(title: str) -> int:
    """Pixels of a picture that holds a title; a very long one is cut off."""
    return min(2 * _MARGIN + text_width(title, 16, "bold"), 1600)


def sample_grid(
    images: NDArray[np.uint8], path: Path, columns: int = 8, scale: int = 4, title: str = "Images"
) -> Path:
    """Images (N, C, H, W) in rows of ``columns``, each pixel a square of ``scale`` pixels.

    Two pixels of white lie between images. ``title`` says in an SVG what they are. Raises
    UserError where it cannot be written, ValueError for no images, or channels other than 1 or 3.
    """
    count, channels, height, width = images.shape
    if count < 1 or channels not in (1, 3):
        raise ValueError(f"no grid of images of shape {images.shape}")
    columns = min(columns, count)
    rows = -(-count // columns)
    gap, h, w = 2, height * scale, width * scale
    size = (rows * (h + gap) + gap, columns * (w + gap) + gap, 3)
    grid = np.full(size, 255, dtype=np.uint8)
    large = images.transpose(0, 2, 3, 1).repeat(scale, axis=1).repeat(scale, axis=2)
    for index, image in enumerate(large):
        row, column = divmod(index, columns)
        top, left = gap + row * (h + gap), gap + column * (w + gap)
        grid[top : top + h, left : left + w] = image
    if format_of(path) is PictureFormat.svg:
        canvas = Canvas(size[1], size[0], PictureFormat.svg)
        canvas.image(grid, 0, 0, 1)
        return canvas.save(path, title, f"{count} images in rows of {columns}")
    out = io.BytesIO()  # of any size, which a canvas of PNG is not
    Image.fromarray(grid).save(out, format="PNG")
    return write_file(path, out.getvalue())


def channel_names(channels: int) -> tuple[str, ...]:
    """What channels are called in a picture."""
    return ("R", "G", "B") if channels == 3 else tuple(f"channel {c}" for c in range(channels))


def channels_differ(found: NDArray[np.int64]) -> bool:
    """Whether `fates` are not alike in all channels."""
    return bool((found != found[:1]).any())


def _which_channels(channel: int | None, channels: int) -> str:
    if channels == 1:
        return ""
    names = channel_names(channels)
    return f"  ({' = '.join(names)})" if channel is None else f"  ({', '.join(names)})"


def _rgb(colour: str) -> Rgb:
    return np.round(np.array(to_rgb(colour)) * 255).astype(np.uint8)


# A contact sheet: images of a prepared set, to be looked at before anything is trained on them

SHOWN: tuple[PartName, ...] = ("test", "train")

_COLUMNS, _ROWS, _CELL = 16, 5, 64
_SHEET_MARGIN, _SHEET_TITLE, _SHEET_HEADING = 20, 44, 26


def draw_contact_sheet(prepared: Prepared, path: Path) -> Path:
    """Up to 80 images of the test part and as many of train, evenly spaced, as a PNG file.

    Float images are rounded for the picture. Raises UserError where it cannot be written.
    """
    manifest = prepared.manifest
    parts = [(part, prepared.part(part).images) for part in SHOWN]
    grids = [(part, len(images), *_grid(images)) for part, images in parts]
    title = f"{manifest.name} ({manifest.variant}), digest {manifest.digest[:12]}"
    width = max(*(grid.shape[1] for *_, grid in grids), title_width(title) - 2 * _SHEET_MARGIN)
    height = _SHEET_TITLE + sum(_SHEET_HEADING + len(grid) + _SHEET_MARGIN for *_, grid in grids)
    canvas = Canvas.of(path, width + 2 * _SHEET_MARGIN, height)
    canvas.text(_SHEET_MARGIN, _SHEET_TITLE // 2, title, size=16, weight="bold")
    top = _SHEET_TITLE
    for part, count, shown, grid in grids:
        some = "" if shown == count else f", {shown} of them evenly spaced"
        canvas.text(
            _SHEET_MARGIN, top + _SHEET_HEADING // 2, f"{part}: {count:,} images{some}", size=13
        )
        canvas.image(grid, _SHEET_MARGIN, top + _SHEET_HEADING, 1)
        top += _SHEET_HEADING + len(grid) + _SHEET_MARGIN
    return canvas.save(path, title)


def _grid(images: npt.NDArray[Any]) -> tuple[int, Rgb]:
    """How many images of (N, C, H, W) are shown, and them in rows, two pixels of white between."""
    shown = min(len(images), _COLUMNS * _ROWS)
    some = images[np.arange(shown) * len(images) // shown]
    pixels = np.clip(np.round(some), 0, 255).astype(np.uint8)
    colours = pixels if pixels.shape[1] == 3 else pixels[:, :1].repeat(3, axis=1)
    scale = max(1, _CELL // images.shape[2])
    large = colours.transpose(0, 2, 3, 1).repeat(scale, axis=1).repeat(scale, axis=2)
    height, width = large.shape[1:3]
    columns = min(_COLUMNS, shown)
    rows = -(-shown // columns)
    grid = np.full((rows * (height + 2) - 2, columns * (width + 2) - 2, 3), 255, dtype=np.uint8)
    for index, image in enumerate(large):
        row, column = divmod(index, columns)
        top, left = row * (height + 2), column * (width + 2)
        grid[top : top + height, left : left + width] = image
    return shown, grid
