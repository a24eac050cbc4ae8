"""Where pictures go, and in which format: a folder, or one file by the ending of its name.

Nothing here imports Matplotlib: every command of `lcma` reads the formats for its options.
"""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from lcma.sweeps.errors import UserError

FOLDER = Path("lcma-pictures")
"""Where pictures go by default."""


class PictureFormat(StrEnum):
    """Of a picture."""

    png = "png"
    svg = "svg"


@dataclass(frozen=True)
class PictureTarget:
    """A folder for pictures of one format, or with ``single`` the file of the only one."""

    out: Path
    form: PictureFormat = PictureFormat.png
    single: bool = False

    def path(self, name: str) -> Path:
        """The file of the picture of that name."""
        return self.out if self.single else self.out / f"{name}.{self.form}"

    def require_one(self, count: int, what: str, options: str) -> None:
        """UserError for one file and several pictures."""
        if self.single and count != 1:
            raise UserError(
                f"{self.out} is one picture, and there are {count} {what}: choose one with "
                f"{options}, or give a folder"
            )


def format_of(path: Path) -> PictureFormat | None:
    """The format that the file's name says, None where it says none."""
    ending = path.suffix.lower().removeprefix(".")
    return PictureFormat(ending) if ending in set(PictureFormat) else None


def picture_target(out: Path | None, asked: PictureFormat | None) -> PictureTarget:
    """Where to draw, for a verb that takes a folder or one file by --out.

    A name with the ending of a format is a file, unless there is a folder of that name. Raises
    UserError where the file's name contradicts the format that is asked for.
    """
    place = out or FOLDER
    said = None if place.is_dir() else format_of(place)
    if said is not None and asked not in (None, said):
        raise UserError(
            f"--out {place} is the name of a file in {said}, and --format says {asked}: leave one "
            "of them out"
        )
    return PictureTarget(place, said or asked or PictureFormat.png, single=said is not None)


def picture_folder(out: Path | None, asked: PictureFormat | None) -> PictureTarget:
    """The same for a verb that takes a folder alone."""
    found = picture_target(out, asked)
    if found.single:
        raise UserError(
            f"--out {found.out} is the name of a file, and pictures of this verb go to a folder: "
            f"give --out DIR --format {found.form}"
        )
    return found
