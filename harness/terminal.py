"""Stored text for Rich's tables, and who is at the terminal."""

import getpass
import socket

from rich.text import Text

from lcma.harness.text import printable


def text_cell(value: object, style: str = "") -> Text:
    """Return stored text for a cell, of which no markup is read; '-' for None."""
    return Text("-" if value is None else printable(value), style=style)


def user_name() -> str:
    """Return the user and the machine, as USER@HOST."""
    return f"{getpass.getuser()}@{socket.gethostname()}"
