"""Where pictures go, in which format and colours, and how they are written.

Nothing here imports what draws: every command of `lcma` reads the formats for its options.
"""

import io
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from html import escape
from pathlib import Path
from typing import Any

from lcma.harness.files import require_replaceable, write_file
from lcma.harness.text import printable
from lcma.sweeps.errors import UserError

FOLDER = Path("lcma-pictures")
"""Default folder of pictures."""


class PictureFormat(StrEnum):
    """Format of a picture."""

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
    """Return the format that the file's name says, None where it says none."""
    ending = path.suffix.lower().removeprefix(".")
    return PictureFormat(ending) if ending in set(PictureFormat) else None


def require_picture(path: Path) -> None:
    """Raise UserError for a file whose name says no format, or that is not replaced."""
    if format_of(path) is None:
        raise UserError(f"{path} is no picture: give a file's name in .png, .svg or .pdf")
    require_replaceable(path)


def picture_target(out: Path | None, form: PictureFormat | None) -> PictureTarget:
    """Return where a command draws. Raises UserError for what is no folder, or a picture's name."""
    folder = out or FOLDER
    if not folder.is_dir() and (os.path.lexists(folder) or format_of(folder)):
        raise UserError(
            f"--out {folder} is no folder: give --out DIR, and --format png, svg or pdf"
        )
    return PictureTarget(folder, form or PictureFormat.png)


# Writing

INK, GREY = "#222222", "#6B6B6B"
BLUE, VERMILION, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
ORANGE, SKY_BLUE, YELLOW = "#E69F00", "#56B4E9", "#F0E442"
"""Colours of Okabe and Ito, which colour-blind people tell apart."""

CATEGORIES = (INK, BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY_BLUE)

FONT = "Liberation Sans, Arial, sans-serif"
"""The first is in vl-convert, so that a picture is the same on every machine.

Nothing is bold: of two fonts vl-convert writes either first into a PDF.
"""

CONFIG: Mapping[str, Any] = {
    "aria": False,  # a picture is one thing with a title and a description
    "background": "white",
    "font": FONT,
    "padding": 16,
    "axis": {"labelColor": INK, "titleColor": INK, "gridColor": "#E4E4E4", "tickSize": 4}
    | {"domainColor": GREY, "tickColor": GREY, "titleFontWeight": "normal", "titleFontSize": 13}
    | {"labelFontSize": 12},
    "legend": {"labelColor": INK, "titleColor": INK, "labelLimit": 0, "labelFontSize": 12}
    | {"labelFont": FONT, "symbolType": "stroke", "symbolStrokeWidth": 2, "symbolSize": 400},
    "range": {"category": list(CATEGORIES)},
    "text": {"color": INK, "font": FONT, "fontSize": 13},
    "title": {"anchor": "start", "color": INK, "fontSize": 15, "fontWeight": "normal"}
    | {"font": FONT, "subtitleFont": FONT, "subtitleColor": GREY}
    | {"subtitleFontSize": 12, "frame": "group", "offset": 10},
    "view": {"stroke": None},
}

_RESOURCES = re.compile(rb"(?:^ */\w+ \d+ 0 R\n)+", re.MULTILINE)
"""What a page of a PDF refers to, which vl-convert lists in an order of chance."""


def write_picture(spec: Mapping[str, Any], path: Path, title: str, about: str) -> Path:
    """Write what Vega or Vega-Lite draws, in the format of the path, PNG where it says none.

    The same picture is the same bytes. In SVG ``title`` and ``about`` are the words for whoever
    cannot see it. Text is shown as `printable` gives it. Raises UserError where it cannot be
    written.
    """
    import vl_convert
    from PIL import Image

    draw = vl_convert.vega_to_svg if "marks" in spec else vl_convert.vegalite_to_svg
    svg, form = _number(draw(_escape_texts(spec))), format_of(path) or PictureFormat.png
    if form is PictureFormat.png:
        out = io.BytesIO()  # without a channel of opacity, and smaller
        drawn = Image.open(io.BytesIO(vl_convert.svg_to_png(svg)))
        drawn.convert("RGB").save(out, format="PNG")
        return write_file(path, out.getvalue())
    if form is PictureFormat.pdf:
        return write_file(path, _RESOURCES.sub(_sort_lines, vl_convert.svg_to_pdf(svg)))
    words = f"<title>{escape(printable(title), quote=False)}</title>"
    words += f"<desc>{escape(printable(about), quote=False)}</desc>" if about else ""
    first, _, rest = svg.partition(">")
    return write_file(path, f'{first} role="img">{words}{rest}'.encode())


def _number(svg: str) -> str:
    """Return a picture with its clips numbered anew: vl-convert counts on from the last one's."""
    found = dict.fromkeys(re.findall(r'id="(clip\d+)"', svg))
    places = {name: f"clip-{k}" for k, name in enumerate(found)}
    return re.sub(r'(id="|url\(#)(clip\d+)', lambda one: one[1] + places.get(one[2], one[2]), svg)


def _sort_lines(found: re.Match[bytes]) -> bytes:
    return b"".join(sorted(found[0].splitlines(keepends=True)))


def _escape_texts(value: Any) -> Any:
    """Return JSON-able values with every text as `printable` shows it."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, Mapping):
        return {printable(key): _escape_texts(one) for key, one in value.items()}
    return [_escape_texts(one) for one in value] if isinstance(value, list | tuple) else value
