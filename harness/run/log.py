"""What an attempt says while it runs: its own steps, and what libraries warn of."""

import logging
import time
from collections import deque
from types import TracebackType
from typing import Self

LONGEST = 64 * 1024
"""Characters of a log that are kept, the last ones."""

own = logging.getLogger("lcma")
"""Where an attempt says what it does."""


class Log(logging.Handler):
    """Keeps what is logged in this process for the time of a block: everything of ours, and of
    others what is a warning or worse."""

    def __init__(self) -> None:
        super().__init__()
        line = logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
        line.converter = time.gmtime
        line.default_time_format, line.default_msec_format = "%Y-%m-%dT%H:%M:%S", "%s.%03dZ"
        self.setFormatter(line)
        self._lines: deque[str] = deque()
        self._length = 0
        self._cut = False

    def __enter__(self) -> Self:
        self._level, self._propagated = own.level, own.propagate
        own.setLevel(logging.INFO)
        own.propagate = False
        own.addHandler(self)
        logging.getLogger().addHandler(self)
        logging.captureWarnings(True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        logging.captureWarnings(False)
        logging.getLogger().removeHandler(self)
        own.removeHandler(self)
        own.setLevel(self._level)
        own.propagate = self._propagated

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno < logging.WARNING and record.name != own.name:
            return
        line = self.format(record).rstrip()[-LONGEST:]
        self._lines.append(line)
        self._length += len(line) + 1
        while self._length > LONGEST:
            self._length -= len(self._lines.popleft()) + 1
            self._cut = True

    @property
    def text(self) -> str:
        """All lines so far; a first line says where earlier ones were cut off."""
        self.acquire()
        try:
            lines = ["... earlier lines were cut off"] if self._cut else []
            return "\n".join((*lines, *self._lines))
        finally:
            self.release()
