"""A contact sheet: images of a prepared set, to be looked at before anything is trained on them."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lcma.harness.data.manifest import PartName
from lcma.harness.data.prepared import Prepared
from lcma.harness.report.canvas import Canvas, Rgb
from lcma.harness.report.pictures import title_width

SHOWN: tuple[PartName, ...] = ("test", "train")

_COLUMNS, _ROWS, _CELL = 16, 5, 64
_MARGIN, _TITLE, _HEADING = 20, 44, 26


def draw_contact_sheet(prepared: Prepared, path: Path) -> Path:
    """Up to 80 images of the test part and as many of train, evenly spaced, as a PNG file.

    Float images are rounded for the picture. Raises UserError where it cannot be written.
    """
    manifest = prepared.manifest
    parts = [(part, prepared.part(part).images) for part in SHOWN]
    grids = [(part, len(images), *_grid(images)) for part, images in parts]
    title = f"{manifest.name} ({manifest.variant}), digest {manifest.digest[:12]}"
    width = max(*(grid.shape[1] for *_, grid in grids), title_width(title) - 2 * _MARGIN)
    height = _TITLE + sum(_HEADING + len(grid) + _MARGIN for *_, grid in grids)
    canvas = Canvas.of(path, width + 2 * _MARGIN, height)
    canvas.text(_MARGIN, _TITLE // 2, title, size=16, weight="bold")
    top = _TITLE
    for part, count, shown, grid in grids:
        some = "" if shown == count else f", {shown} of them evenly spaced"
        canvas.text(_MARGIN, top + _HEADING // 2, f"{part}: {count:,} images{some}", size=13)
        canvas.image(grid, _MARGIN, top + _HEADING, 1)
        top += _HEADING + len(grid) + _MARGIN
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
