"""Where text goes out: the console, plain lines, and errors. Text from outside is escaped here."""

import getpass
import io
import os
import re
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import rich.console
import rich.markup
from rich.console import ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.status import Status
from rich.text import Text

from lcma.harness.text import printable, printable_lines

if TYPE_CHECKING:
    from lcma.db.integrity import ReportFunction

LONGEST_WORD, LONGEST_ERROR = 200, 2000
"""Characters of a word, and of all, that an error shows of a longer one."""

LINE_SECONDS = 10.0
"""Pause before each line that says what long work does, where there is no terminal."""


class Console(rich.console.Console):
    """Rich's console. Text of whatever it prints has no control characters but line breaks."""

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterator[Segment]:
        for segment in super().render(renderable, options):
            text, style, control = segment
            yield segment if control else Segment(printable_lines(text), style)

    def status(self, status: RenderableType, **options: Any) -> Status:
        """Return Rich's spinner, or off a terminal a line every `LINE_SECONDS`."""
        if self.is_terminal:
            return super().status(status, **options)
        return _StatusLine(status, console=self)


class _StatusLine(Status):
    """A status where there is no terminal: a line each time that so many seconds are over."""

    def start(self) -> None:
        self._over = threading.Event()
        threading.Thread(target=self._print_lines, daemon=True).start()

    def _print_lines(self) -> None:
        while not self._over.wait(LINE_SECONDS):
            self.console.print(self.status, highlight=False, soft_wrap=True)

    def stop(self) -> None:
        self._over.set()


def print_line(text: object) -> None:
    """Print one line on stdout, without control characters."""
    print(printable(text))


def print_error(text: object) -> None:
    """Print an error on stderr as one line, without control characters, and not for ever."""
    line = re.sub(
        rf"\S{{{LONGEST_WORD},}}", lambda word: _shorten(word[0], LONGEST_WORD), _one_line(text)
    )
    print(f"lcma: {_shorten(line, LONGEST_ERROR)}", file=sys.stderr)


@contextmanager
def noting_slowness(line: str, seconds: float = 1.0) -> Iterator[None]:
    """Print a line on stderr if the block takes longer."""
    timer = threading.Timer(seconds, lambda: print(printable(line), file=sys.stderr))
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@contextmanager
def reporting_progress(console: Console | None = None) -> "Iterator[ReportFunction]":
    """Show what long work does on stderr: a bar on a terminal, else a line every ten seconds."""
    from rich.progress import Progress

    console = console or Console(stderr=True)
    next_line = time.monotonic() + LINE_SECONDS
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task, last = bar.add_task("", total=None), ""

        def report(what: str, done: int, total: int | None) -> None:
            nonlocal next_line, last
            if what != last:  # another part, whose time left has nothing to do with the last one's
                last = what
                bar.reset(task, description=rich.markup.escape(what), total=total)
            bar.update(task, completed=done, total=total)
            if not console.is_terminal and time.monotonic() >= next_line:
                next_line = time.monotonic() + LINE_SECONDS
                line = what if total is None else f"{what}, {done} of {total}"
                console.print(Text(line), soft_wrap=True)

        yield report


@contextmanager
def silencing_libraries() -> Iterator[None]:
    """Drop what libraries in C, such as libjpeg, write to stderr; what Python writes is shown."""
    sys.stderr.flush()
    shown, kept = sys.stderr, os.dup(2)
    nothing = os.open(os.devnull, os.O_WRONLY)
    try:
        if shown is sys.__stderr__:
            sys.stderr = os.fdopen(os.dup(2), "w", 1, encoding="utf-8", errors="backslashreplace")
        os.dup2(nothing, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nothing)
        if sys.stderr is not shown:
            sys.stderr.close()
            sys.stderr = shown


def make_streams_safe() -> None:
    """Let stdout and stderr print a character that their encoding does not have as an escape."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def user_name() -> str:
    """Return the user and the machine, as USER@HOST; HOST for a user id without a name."""
    user = ""
    with suppress(KeyError, OSError):  # as in containers
        user = f"{getpass.getuser()}@"
    # No database takes the bytes of a name that is no text.
    return f"{user}{socket.gethostname()}".encode(errors="backslashreplace").decode()


def _one_line(text: object) -> str:
    return printable(" ".join(str(text).split()))


def _shorten(text: str, most: int) -> str:
    if len(text) <= most:
        return text
    return f"{text[: most - most // 4]}...{text[len(text) - most // 4 :]}"
