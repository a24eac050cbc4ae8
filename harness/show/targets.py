"""Files, formats and colours of pictures, and writing them.

Drawing libraries are not imported at the top: every command of `lcma` reads the formats for its
options.
"""

import io
import os
import re
import resource
from dataclasses import dataclass
from enum import StrEnum
from html import escape
from pathlib import Path

from lcma.harness.files import require_replaceable, write_file
from lcma.harness.text import printable
from lcma.sweeps.errors import UserError

FOLDER = Path("lcma-pictures")
"""Default folder of pictures."""


class PictureFormat(StrEnum):
    png = "png"
    svg = "svg"
    pdf = "pdf"


@dataclass(frozen=True)
class PictureTarget:
    """A folder for pictures of one format."""

    folder: Path
    form: PictureFormat = PictureFormat.png

    def path(self, name: str) -> Path:
        """Return the file of the picture of that name."""
        return self.folder / f"{name}.{self.form}"


def format_of(path: Path) -> PictureFormat | None:
    """Return the format of the file's suffix, or None."""
    ending = path.suffix.lower().removeprefix(".")
    return PictureFormat(ending) if ending in set(PictureFormat) else None


def require_picture(path: Path) -> None:
    """Raise UserError for a file without the suffix of a format, or that is not replaced."""
    if format_of(path) is None:
        raise UserError(f"{path} is not a picture: give a file name ending in .png, .svg or .pdf")
    require_replaceable(path)


def picture_target(out: Path | None, form: PictureFormat | None) -> PictureTarget:
    """Return where a command draws; raise UserError where ``out`` is a file or names a picture."""
    folder = out or FOLDER
    if not folder.is_dir() and (os.path.lexists(folder) or format_of(folder)):
        raise UserError(
            f"--out {folder} is not a folder: give --out DIR, and --format png, svg or pdf"
        )
    return PictureTarget(folder, form or PictureFormat.png)


# Writing

INK, GREY = "#222222", "#6B6B6B"
BLUE, VERMILION, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
ORANGE, SKY_BLUE, YELLOW = "#E69F00", "#56B4E9", "#F0E442"
"""Colours of Okabe and Ito, which colour-blind people can distinguish."""

FONT = "Liberation Sans, Arial, sans-serif"
"""vl-convert contains the first font, so a picture is the same on every machine.

Nothing is bold: with two fonts, their order in a PDF of vl-convert would vary.
"""

DRAWING_ADDRESSES = 66 * 2**30
"""Addresses, of which few become memory, that V8 in vl-convert reserves for its first picture."""


def require_addresses() -> None:
    """Raise UserError if this process may not have the addresses that drawing takes.

    V8 would end the process with a trace of its stack.
    """
    most = resource.getrlimit(resource.RLIMIT_AS)[0]
    if most != resource.RLIM_INFINITY and most < DRAWING_ADDRESSES:
        raise UserError(
            f"pictures take {DRAWING_ADDRESSES >> 30} GiB of addresses (little of it becomes "
            f"memory), and `ulimit -v` allows {most >> 30}: raise it with `ulimit -v unlimited`"
        )


_RESOURCES = re.compile(rb"(?:^ */\w+ \d+ 0 R\n)+", re.MULTILINE)
"""References of a page of a PDF, which vl-convert lists in a random order."""


def write_picture(svg: str, path: Path, title: str, about: str) -> Path:
    """Write an SVG in the format of the path's suffix, PNG by default, and return the path.

    The same picture gives the same bytes. In SVG, ``title`` and ``about`` describe it for people
    who cannot see it. Raises UserError where the file cannot be written.
    """
    import vl_convert
    from PIL import Image

    form = format_of(path) or PictureFormat.png
    if form is PictureFormat.png:
        out = io.BytesIO()
        drawn = Image.open(io.BytesIO(vl_convert.svg_to_png(svg)))
        drawn.convert("RGB").save(out, format="PNG")  # smaller without an alpha channel
        return write_file(path, out.getvalue())
    if form is PictureFormat.pdf:
        return write_file(path, _RESOURCES.sub(_sort_lines, vl_convert.svg_to_pdf(svg)))
    description = f"<title>{escape(printable(title), quote=False)}</title>"
    description += f"<desc>{escape(printable(about), quote=False)}</desc>" if about else ""
    first, _, rest = svg.partition(">")
    return write_file(path, f'{first} role="img">{description}{rest}'.encode())


def _sort_lines(match: re.Match[bytes]) -> bytes:
    return b"".join(sorted(match[0].splitlines(keepends=True)))
