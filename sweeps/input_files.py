"""Checks of paths, files and texts from a user."""

import errno
import os
import re
import stat
from pathlib import Path
from typing import BinaryIO

from lcma.sweeps.errors import UserError

UNSTORABLE = re.compile("[\0\ud800-\udfff]")
"""Characters that no path or database can hold: NUL and lone surrogates. Python reads bytes that
are not UTF-8 as surrogates."""


def require_text(text: str, what: str) -> None:
    """Raise UserError if a text has characters that no database can hold."""
    if UNSTORABLE.search(text):
        raise UserError(f"{what} holds NUL or bytes that are not UTF-8: give another one")


def resolve_path(path: Path) -> Path:
    """Return an absolute path without links. Raises UserError if links form a circle."""
    try:
        return path.resolve()
    except RuntimeError:
        raise UserError(f"{path} is a link that leads in a circle: give another path") from None


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file, or a link to one, for reading. Raises OSError for anything else."""
    # Reading a FIFO or a device may never end.
    try:
        mode = path.stat().st_mode
    except ValueError as error:  # a NUL
        raise OSError(errno.EINVAL, str(error), str(path)) from None
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))
    return path.open("rb")
