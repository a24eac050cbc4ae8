"""Untrusted text made safe to show, short forms of numbers, and JSON."""

import json
from datetime import UTC, datetime
from typing import Any


def printable(value: object) -> str:
    """Return one line with control, bidirectional and other invisible characters escaped.

    So stored text can neither control a terminal nor look like other text.
    """
    text = str(value)
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text
    )


def printable_lines(value: object) -> str:
    """Return text as `printable` does, except that line breaks stay."""
    text = str(value)
    return text if text.isprintable() else "\n".join(map(printable, text.split("\n")))


def format_number(value: float | None, places: int = 4, *, sign: bool = False) -> str:
    """Return a number with that many decimals, '-' for None. A zero after rounding has no sign.

    Example:
        >>> format_number(-0.0002, 3, sign=True)
        '0.000'
    """
    if value is None:
        return "-"
    return f"{value:{'+' if sign and round(value, places) else ''}z.{places}f}"


def format_count(number: int, noun: str) -> str:
    """Return a number with its noun, such as '1 job', '2 jobs' or '2,000 jobs'."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def short_id(digest: str) -> str:
    """Return the first eight characters of an id."""
    return printable(digest)[:8]


def format_time(seconds: float) -> str:
    """Return Unix seconds as a time in UTC; the number itself if it is outside the calendar."""
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (OverflowError, ValueError, OSError):
        return printable(seconds)


def format_duration(seconds: float) -> str:
    """Return seconds in their largest unit, such as '90 s', '12 min', '5.0 h' or '3.0 days'."""
    if seconds < 600:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 172800 else f"{seconds / 86400:.1f} days"


def format_size(length: int) -> str:
    """Return bytes in their largest unit, such as '900 B', '1.5 MiB' or '20.0 GiB'."""
    if length < 1024:
        return f"{length} B"
    units = ("KiB", "MiB", "GiB", "TiB", "PiB")
    power = min(len(units), (length.bit_length() - 1) // 10)
    return f"{length / 1024**power:.1f} {units[power - 1]}"


def escape_markdown(text: str) -> str:
    """Return text that Markdown shows without interpreting it."""
    for character in "\\`*_[]<>|#~&$":
        text = text.replace(character, "\\" + character)
    return text


def to_json(value: Any) -> str:
    """Return ASCII JSON, indented, with keys in the given order."""
    return json.dumps(value, indent=2, allow_nan=False)
