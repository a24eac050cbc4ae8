"""Console output: text, lines, errors and progress, with untrusted text escaped."""

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
from typing import TYPE_CHECKING, Any, NoReturn

import rich.console
import rich.markup
from rich.console import ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.status import Status
from rich.text import Text

from lcma.harness.text import printable, printable_lines

if TYPE_CHECKING:
    from lcma.db.integrity import ReportFunction

MAX_WORD_LENGTH, MAX_ERROR_LENGTH = 200, 2000
"""Characters of a word and of a whole error message; longer ones are shortened in their middle."""

LINE_SECONDS = 10.0
"""Pause between the lines of progress that are printed where there is no terminal."""


class Console(rich.console.Console):
    """Rich's console, which prints no control characters except line breaks."""

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterator[Segment]:
        for segment in super().render(renderable, options):
            text, style, control = segment
            yield segment if control else Segment(printable_lines(text), style)

    def status(self, status: RenderableType, **options: Any) -> Status:
        """Return Rich's spinner; without a terminal, a status that prints lines."""
        if self.is_terminal:
            return super().status(status, **options)
        return _StatusLine(status, console=self)

    def on_broken_pipe(self) -> NoReturn:
        """Let `main` choose the exit code, since Rich exits with 1."""
        raise BrokenPipeError


class _StatusLine(Status):
    """A status that prints a line, with the seconds so far, every `LINE_SECONDS`."""

    def start(self) -> None:
        self._stopped = threading.Event()
        threading.Thread(target=self._print_lines, daemon=True).start()

    def _print_lines(self) -> None:
        seconds = 0.0
        while not self._stopped.wait(LINE_SECONDS):
            seconds += LINE_SECONDS
            line = f"{self.status}, {seconds:.0f} s"
            with suppress(BrokenPipeError):  # the command itself ends when it prints next
                self.console.print(line, highlight=False, soft_wrap=True)

    def stop(self) -> None:
        self._stopped.set()


def print_line(text: object) -> None:
    """Print one line on stdout, with control characters escaped."""
    print(printable(text))


def print_error(text: object) -> None:
    """Print an error on stderr as one line of limited length, with control characters escaped."""
    line = re.sub(
        rf"\S{{{MAX_WORD_LENGTH},}}",
        lambda word: _shorten(word[0], MAX_WORD_LENGTH),
        printable(" ".join(str(text).split())),
    )
    print(f"lcma: {_shorten(line, MAX_ERROR_LENGTH)}", file=sys.stderr)


@contextmanager
def reporting_progress(console: Console | None = None) -> "Iterator[ReportFunction]":
    """Show progress on stderr: a bar on a terminal, else a line every `LINE_SECONDS`."""
    from rich.progress import Progress

    console = console or Console(stderr=True)
    next_line = time.monotonic() + LINE_SECONDS
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        bar_id, last_part = bar.add_task("", total=None), ""

        def report(part: str, done: int, total: int | None) -> None:
            nonlocal next_line, last_part
            if part != last_part:  # the speed of the last part says nothing about this part
                last_part = part
                bar.reset(bar_id, description=rich.markup.escape(part), total=total)
            bar.update(bar_id, completed=done, total=total)
            if not console.is_terminal and time.monotonic() >= next_line:
                next_line = time.monotonic() + LINE_SECONDS
                line = part if total is None else f"{part}, {done} of {total}"
                console.print(Text(line), soft_wrap=True)

        yield report


@contextmanager
def silencing_libraries() -> Iterator[None]:
    """Drop what C libraries such as libjpeg write to stderr, and keep what Python writes."""
    sys.stderr.flush()
    python_stderr, saved = sys.stderr, os.dup(2)
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        # Python writes to a copy of file descriptor 2, so only C libraries write to 2 itself.
        if python_stderr is sys.__stderr__:
            sys.stderr = os.fdopen(os.dup(2), "w", 1, encoding="utf-8", errors="backslashreplace")
        os.dup2(null, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(null)
        if sys.stderr is not python_stderr:
            sys.stderr.close()
            sys.stderr = python_stderr


def make_streams_safe() -> None:
    """Make stdout and stderr print an escape for a character that their encoding lacks."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def read_user_name() -> str:
    """Return the user and the machine as USER@HOST; only HOST if the user id has no name."""
    user = ""
    with suppress(KeyError, OSError):  # a user id without a name, as in containers
        user = f"{getpass.getuser()}@"
    # A database refuses the surrogates of a name that is not valid UTF-8.
    return f"{user}{socket.gethostname()}".encode(errors="backslashreplace").decode()


def _shorten(text: str, length: int) -> str:
    if len(text) <= length:
        return text
    return f"{text[: length - length // 4]}...{text[len(text) - length // 4 :]}"
