"""Pictures of index tables, grids of images, and contact sheets of prepared data sets."""

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from matplotlib.colors import to_rgba_array
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from lcma.harness.data.manifest import PartName
from lcma.harness.data.prepared import Prepared
from lcma.harness.files import write_file
from lcma.harness.show.figures import (
    AREA_COLOURS,
    DPI,
    Panel,
    Rgb,
    Row,
    add_text,
    draw_grid,
    figure_bytes,
    new_figure,
)
from lcma.harness.show.targets import FigureWidth, PictureFormat, format_of
from lcma.models import SplitTable
from lcma.models.factorization import surviving_ids
from lcma.sweeps.errors import UserError

KEPT_COLOUR = "#3B3B3B"
"""Colour of the dimensions that are still there; the others have `AREA_COLOURS`, by split."""

Shape = tuple[int, int, int]

# Index tables as in the paper's Figure 1

_SIDE = 88
"""Largest side of a table's channel, in pixels."""


def draw_tables(
    named: Sequence[tuple[str, Sequence[SplitTable]]], shape: Shape, path: Path, title: str = ""
) -> Path:
    """Draw index tables as in the paper's Figure 1, on the grid of the input image (C, H, W).

    A row for each factorization, and a column for each split, with all channels where those of any
    table differ: which dimensions are factored out so far, and when. Raises UserError where it
    cannot be written, ValueError for no tables.
    """
    if not named or not all(tables for _, tables in named):
        raise ValueError("no tables to draw")
    splits = max(len(tables) for _, tables in named)
    exits = [find_exit_splits(tables, shape) for _, tables in named]
    names = channel_names(shape[0])
    shown = shape[0] if any(map(channels_differ, exits)) else 1
    scale = max(2, _SIDE // max(shape[1:]))
    rows = []
    for k, (name, tables) in enumerate(named):
        panels = []
        for split in range(1, len(tables) + 1):
            for channel, rgb in enumerate(colour_exits(exits[k][:shown], split, splits)):
                first = channel == 0
                heading = f"after split {split}" if first and k == 0 else ""
                gap = 24 if first and split > 1 else 4 * (channel > 0)
                words = name if first and split == 1 else ""
                panels.append(Panel(rgb, scale, words, heading, gap=gap))
        rows.append(Row(panels))
    below = [f"for each split: {(', ' if shown > 1 else ' = ').join(names)}"] if names[1:] else []
    return draw_grid(path, rows, title or "Index tables", below, exit_legend(splits))


def find_exit_splits(tables: Sequence[SplitTable], shape: Shape) -> NDArray[np.int64]:
    """Return the split at which each dimension is factored out, from 1; 0 where it stays.

    The array is (C, H, W) as the input.
    """
    found = np.zeros(math.prod(shape), dtype=np.int64)
    for split, (table, ids) in enumerate(
        zip(tables, surviving_ids(tables, shape), strict=False), start=1
    ):
        found[ids.ravel()[table.left]] = split
    return found.reshape(shape)


def exit_colours(splits: int) -> Rgb:
    """Return the colours of `find_exit_splits`, (splits + 1, 3).

    Raises UserError for more splits than there are colours.
    """
    if splits > len(AREA_COLOURS):
        most = len(AREA_COLOURS)
        raise UserError(f"tables of more than {most} splits cannot be drawn apart")
    rgba = to_rgba_array([KEPT_COLOUR, *AREA_COLOURS[:splits]])
    return np.round(rgba[:, :3] * 255).astype(np.uint8)


def colour_exits(exits: NDArray[np.int64], split: int, splits: int) -> Rgb:
    """Return the colours of what is factored out up to a split, for each of `find_exit_splits`."""
    return exit_colours(splits)[np.where(exits <= split, exits, 0)]


def exit_legend(splits: int) -> list[tuple[str, str]]:
    """Return the meanings of the colours of `find_exit_splits`."""
    meanings = [f"factored out at split {k + 1}" for k in range(splits)]
    return [*zip(meanings, AREA_COLOURS, strict=False), ("stays", KEPT_COLOUR)]


def channel_names(channels: int) -> tuple[str, ...]:
    """Return what channels are called in a picture."""
    return (
        ("red", "green", "blue")
        if channels == 3
        else tuple(f"channel {c}" for c in range(channels))
    )


def channels_differ(exits: NDArray[np.int64]) -> bool:
    """Return whether `find_exit_splits` are not alike in all channels."""
    return bool((exits != exits[:1]).any())


# Grids of images


_LINE = 20
"""Pixels of a line of text above a grid."""


def sample_grid(
    images: NDArray[np.uint8],
    path: Path,
    columns: int = 8,
    scale: int = 4,
    title: str = "Images",
    above: Sequence[str] = (),
) -> Path:
    """Draw images (N, C, H, W) in rows of ``columns``, each pixel a square of ``scale`` pixels.

    Two pixels of white lie between images. ``title`` says in an SVG what they are, the lines of
    ``above`` stand above them. Raises UserError where it cannot be written, ValueError for no
    images, or channels other than 1 or 3.
    """
    grid = tile_images(images, columns, scale)
    tall, wide = grid.shape[:2]
    form = format_of(path)
    if form in (PictureFormat.svg, PictureFormat.pdf):
        height = _LINE * len(above) + tall
        figure = _write_lines(above, wide, height)
        width = figure.get_size_inches()[0] * DPI
        axes = figure.add_axes((0, 0, wide / width, tall / height))
        axes.imshow(grid, interpolation="none", aspect="auto")
        axes.set_axis_off()
        about = f"{len(images)} images in rows of {min(columns, len(images))}"
        return write_file(path, figure_bytes(figure, form, title, about))
    if above:
        text = _write_lines(above, wide, _LINE * len(above))
        drawn = figure_bytes(text, PictureFormat.png, title)
        lines = np.asarray(Image.open(io.BytesIO(drawn)).convert("RGB"))
        right = ((0, 0), (0, lines.shape[1] - wide), (0, 0))
        grid = np.vstack([lines, np.pad(grid, right, constant_values=255)])
    out = io.BytesIO()  # of any size, which a figure is not
    Image.fromarray(grid).save(out, format="PNG")
    return write_file(path, out.getvalue())


def _write_lines(lines: Sequence[str], width: int, height: int) -> Figure:
    """Return a figure of so many pixels with lines at its top, wider where one is longer."""
    figure = new_figure(width, height)
    for k, line in enumerate(lines):
        add_text(figure, 0, 1 - (k + 0.5) * _LINE / height, line, 12 * 72 / DPI)
    margin = 4
    longest = max((text.get_window_extent().width for text in figure.texts), default=0)
    width = max(width, math.ceil(longest) + 2 * margin)
    figure.set_size_inches(width / DPI, height / DPI)
    for text in figure.texts:
        text.set_x(margin / width)
    return figure


def tile_images(images: NDArray[np.uint8], columns: int, scale: int) -> Rgb:
    """Return one array (H, W, 3) with images (N, C, H, W) in rows, between two pixels of white.

    Raises ValueError for no images, or channels other than 1 or 3.
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


# Samples of several flows side by side, as in the paper's Figure 2

_PRINTED = {FigureWidth.page: (675, 3), FigureWidth.column: (325, 2)}
"""Pixels at 100 to an inch, and grids side by side."""

_APART = 12
"""Pixels between two grids."""


@dataclass(frozen=True)
class SampleGrid:
    """Images (N, C, H, W) with a name above and lines below them."""

    name: str
    lines: tuple[str, ...]
    images: NDArray[np.uint8]


def draw_sample_grids(
    grids: Sequence[SampleGrid],
    path: Path,
    title: str,
    width: FigureWidth,
    below: Sequence[str] = (),
) -> Path:
    """Draw square grids of images side by side, as wide as a page or a column of a paper.

    The lines of ``below`` stand under the title. Pixels are squares of a whole number of pixels,
    one at least, so that large images or many may be wider. Raises UserError where it cannot be
    written.
    """
    whole, beside = _PRINTED[width]
    tiled = [(grid, math.ceil(math.sqrt(len(grid.images)))) for grid in grids]
    room = (whole - (beside - 1) * _APART) // beside
    panels = [
        Panel(
            tile_images(
                grid.images,
                columns,
                max(1, (room - 2 * (1 + columns)) // (columns * grid.images.shape[-1])),
            ),
            1,
            grid.name,
            caption=grid.lines,
            gap=0,
        )
        for grid, columns in tiled
    ]
    rows = [
        Row([replace(panel, gap=_APART * (k > 0)) for k, panel in enumerate(line)])
        for line in (panels[k : k + beside] for k in range(0, len(panels), beside))
    ]
    return draw_grid(path, rows, title, below)


# Contact sheets: images of a prepared set, to be looked at before anything is trained on them

SHOWN: tuple[PartName, ...] = ("test", "train")

_COLUMNS, _MOST, _CELL = 16, 80, 64


def draw_contact_sheet(prepared: Prepared, path: Path) -> Path:
    """Draw up to 80 images of the test part and as many of train, evenly spaced.

    Float images are rounded for the picture. Raises UserError where it cannot be written.
    """
    rows = []
    for part in SHOWN:
        images = prepared.part(part).images
        shown = min(len(images), _MOST)
        some = np.clip(np.round(images[np.arange(shown) * len(images) // shown]), 0, 255)
        channels = some if some.shape[1] == 3 else some[:, :1]
        grid = tile_images(channels.astype(np.uint8), _COLUMNS, max(1, _CELL // some.shape[2]))
        choice = "" if shown == len(images) else f", {shown} of them evenly spaced"
        rows.append(Row([Panel(grid, 1, f"{part}: {len(images):,} images{choice}", gap=0)]))
    manifest = prepared.manifest
    title = f"{manifest.name} ({manifest.variant}), digest {manifest.digest[:12]}"
    return draw_grid(path, rows, title)
