"""What was typed at the prompt before, in a file that is nobody else's."""

import contextlib
import os

from prompt_toolkit.history import FileHistory, History, InMemoryHistory

from lcma.harness.cache import cache_folder

NAME = "sql-history"


class PrivateHistory(FileHistory):
    """A file whose loss, or whose disk's, stops no prompt."""

    def store_string(self, string: str) -> None:
        with contextlib.suppress(OSError):
            super().store_string(string)


def open_history() -> History:
    """The history in the folder LCMA_CACHE or the person's cache, readable by its owner alone;
    where no file can be kept there, one that lasts as long as the prompt."""
    folder = cache_folder()
    if folder is None:
        return InMemoryHistory()
    file = folder / NAME
    try:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.fchmod(descriptor, 0o600)
        finally:
            os.close(descriptor)
    except OSError:
        return InMemoryHistory()
    return PrivateHistory(str(file))
