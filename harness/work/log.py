"""The log of an attempt: its own lines, and the warnings of libraries."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Self

MAX_LENGTH = 64 * 1024
"""Characters that are kept of a log, from its end."""

SHARE_SECONDS, MIN_SHARE = 10.0, 0.02
"""Least time and least share of the images between two lines on how many are done."""

EVALUATING, MAPPING, SAMPLING = "evaluating", "making its map", "measuring its samples"
"""What an attempt does after its steps, in the words of its log."""

logger = logging.getLogger("lcma")
"""The logger to which an attempt writes."""


def make_share_log(what: str) -> Callable[[int, int], None]:
    """Return a function that takes the number of further images and of all, and logs progress."""
    done, logged, since = 0, 0, time.monotonic()

    def seen(count: int, total: int) -> None:
        nonlocal done, logged, since
        done += count
        now = time.monotonic()
        if now - since >= SHARE_SECONDS and done - logged >= MIN_SHARE * total:
            logged, since = done, now
            logger.info("%s, %d of %d images", what, done, total)

    return seen


_open: list["Log"] = []

_only: ContextVar["Log | None"] = ContextVar("only", default=None)


class Log(logging.Handler):
    """A handler that keeps the lines of our logger, and warnings and errors of other loggers.

    It does so during a block. If several logs are open, each also keeps what is logged outside
    of all `only` blocks.
    """

    _before = logger.level, logger.propagate

    def __init__(self) -> None:
        super().__init__()
        line = logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
        line.converter = time.gmtime
        line.default_time_format, line.default_msec_format = "%Y-%m-%dT%H:%M:%S", "%s.%03dZ"
        self.setFormatter(line)
        self._text = ""
        self._cut = False

    def __enter__(self) -> Self:
        if not _open:
            Log._before = logger.level, logger.propagate
            logger.setLevel(logging.INFO)
            logger.propagate = False
            logging.captureWarnings(True)
        _open.append(self)
        logger.addHandler(self)
        logging.getLogger().addHandler(self)
        return self

    def __exit__(self, *exception: object) -> None:
        logging.getLogger().removeHandler(self)
        logger.removeHandler(self)
        _open.remove(self)
        if not _open:
            logging.captureWarnings(False)
            level, logger.propagate = Log._before
            logger.setLevel(level)

    @contextmanager
    def only(self) -> Iterator[None]:
        """Let only this log keep what this thread logs during a block."""
        before = _only.set(self)
        try:
            yield
        finally:
            _only.reset(before)

    def emit(self, record: logging.LogRecord) -> None:
        if _only.get() not in (None, self):
            return
        if record.levelno < logging.WARNING and record.name != logger.name:
            return
        text = f"{self._text}{self.format(record).rstrip()}\n"
        self._text = text[-MAX_LENGTH:]
        self._cut |= len(text) > MAX_LENGTH

    @property
    def text(self) -> str:
        """The lines so far. The first one says if earlier ones were cut off."""
        self.acquire()
        try:
            cut = "... earlier lines were cut off\n" if self._cut else ""
            return cut + self._text[:-1]
        finally:
            self.release()
