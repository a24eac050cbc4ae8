"""Stored text for Rich's tables, and who is at the terminal."""

import getpass
import socket
from contextlib import suppress

from rich.text import Text

from lcma.harness.text import printable


def text_cell(value: object, style: str = "") -> Text:
    """Return stored text for a cell, of which no markup is read; '-' for None."""
    return Text("-" if value is None else printable(value), style=style)


def user_name() -> str:
    """Return the user and the machine, as USER@HOST; HOST for a user id without a name."""
    user = ""
    with suppress(KeyError, OSError):  # as in containers
        user = f"{getpass.getuser()}@"
    return f"{user}{socket.gethostname()}"
