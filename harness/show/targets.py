"""Places and formats of pictures: a folder, or one file by the ending of its name.

Nothing here imports Matplotlib: every command of `lcma` reads the formats for its options.
"""

import os
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from lcma.harness.files import require_replaceable
from lcma.sweeps.errors import UserError

FOLDER = Path("lcma-pictures")
"""Default folder of pictures."""


class PictureFormat(StrEnum):
    """Format of a picture."""

    png = "png"
    svg = "svg"
    pdf = "pdf"


OTHER_ENDINGS = frozenset({"bmp", "eps", "gif", "jpeg", "jpg", "ps", "tif", "tiff", "webp"})
"""Endings of pictures' names in formats that are not drawn."""


class FigureWidth(StrEnum):
    """Width of a figure in a paper of two columns."""

    page = "page"
    column = "column"


@dataclass(frozen=True)
class PictureTarget:
    """A folder for pictures of one format, or with ``single`` the file of the only one."""

    out: Path
    form: PictureFormat = PictureFormat.png
    single: bool = False

    def path(self, name: str) -> Path:
        """Return the file of the picture of that name."""
        return self.out if self.single else self.out / f"{name}.{self.form}"

    def require_one(self, count: int, what: str, options: str) -> None:
        """Raise UserError for one file and several pictures."""
        if self.single and count != 1:
            raise UserError(
                f"{self.out} is one picture, and there are {count} {what}: choose one with "
                f"{options}, or give a folder"
            )


def format_of(path: Path) -> PictureFormat | None:
    """Return the format that the file's name says, None where it says none."""
    ending = _ending(path)
    return PictureFormat(ending) if ending in set(PictureFormat) else None


def _ending(path: Path) -> str:
    return path.suffix.lower().removeprefix(".")


def require_picture(path: Path) -> PictureFormat:
    """Return the format of one picture's file.

    Raises UserError where its name says none, and where what is there is not replaced.
    """
    form = format_of(path)
    if form is None:
        raise UserError(f"{path} is no picture: give a file's name in .png, .svg or .pdf")
    require_replaceable(path)
    return form


def picture_target(out: Path | None, requested: PictureFormat | None) -> PictureTarget:
    """Return where to draw, for a command whose --out is a folder or one file.

    A name with the ending of a format is a file, unless there is a folder of that name. Raises
    UserError where the file's name contradicts the format that is requested or says one that is not
    drawn, and where what is there is not replaced.
    """
    place = out or FOLDER
    named = None if place.is_dir() else format_of(place)
    if _ending(place) in OTHER_ENDINGS and not place.is_dir():
        raise UserError(f"--out {place}: pictures are png, svg or pdf, or go to a folder")
    if named is not None and requested not in (None, named):
        raise UserError(
            f"--out {place} is the name of a file in {named}, and --format says {requested}: "
            "leave one of them out"
        )
    if named is not None:
        require_replaceable(place)
    elif os.path.lexists(place) and not place.is_dir():
        raise UserError(
            f"--out {place} is no folder: give one, or a file's name in .png, .svg or .pdf"
        )
    return PictureTarget(place, named or requested or PictureFormat.png, single=named is not None)


def picture_folder(out: Path | None, requested: PictureFormat | None) -> PictureTarget:
    """Return where to draw, for a command whose --out is a folder only."""
    found = picture_target(out, requested)
    if found.single:
        raise UserError(
            f"--out {found.out} is the name of a file, and pictures of this command go to a "
            f"folder: give --out DIR --format {found.form}"
        )
    return found
