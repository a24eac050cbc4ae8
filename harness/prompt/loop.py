"""The loop of the prompt: a statement, its answer, and the next one."""

import contextlib
import difflib
import os
import sys
from collections.abc import Callable

from prompt_toolkit import PromptSession
from prompt_toolkit.enums import DEFAULT_BUFFER
from prompt_toolkit.filters import has_focus
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.lexers import PygmentsLexer
from pygments.lexers.sql import SqlLexer
from rich.console import Console
from rich.text import Text

from lcma.db.relations import list_relations
from lcma.harness.cache import cache_folder
from lcma.harness.cli.schema import render_relation, render_relations
from lcma.harness.prompt.completion import COMMANDS, SqlCompleter, is_command, is_finished
from lcma.harness.text import printable
from lcma.sweeps.errors import UserError

# What was typed at the prompt before, in a file that is nobody else's

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


HELP = """\
A query is one SELECT, over as many lines as it needs; a ; at its end or an empty line runs it.
Nothing can be changed. Tab completes, Up and Ctrl-R find earlier queries, Ctrl-C drops what is
typed or stops a query that runs, Ctrl-D ends.

.schema         views and tables
.schema NAME    the columns of one: type and meaning
.help           this
.quit           end"""

ENDINGS = (".quit", ".exit", "quit", "exit", "\\q")


def run_prompt(answer: Callable[[str], None], heading: str) -> None:
    """Ask for statements and print what `answer` does with each, until the person ends it.

    A UserError of `answer` is one line on stderr, and a KeyboardInterrupt ends the statement alone.
    """
    said = Console(stderr=True)
    said.print(Text(heading), soft_wrap=True)
    session = _session()
    while True:
        try:
            text = session.prompt().strip()
        except KeyboardInterrupt:
            continue
        except EOFError:
            return
        if text.rstrip("; \n").lower() in ENDINGS:
            return
        try:
            if is_command(text):
                _obey(text)
            elif text:
                answer(text)
            sys.stdout.flush()
        except UserError as error:
            said.print(Text(printable(" ".join(str(error).split())), style="red"), soft_wrap=True)
        except KeyboardInterrupt:
            said.print(Text("stopped"))


def _session() -> "PromptSession[str]":
    keys = KeyBindings()

    @keys.add("enter", filter=has_focus(DEFAULT_BUFFER))
    def _enter(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if buffer.complete_state is not None and buffer.complete_state.current_completion:
            buffer.complete_state = None  # what is chosen stands; the next Enter is for the query
        elif is_finished(buffer.text):
            buffer.validate_and_handle()
        else:
            buffer.newline(copy_margin=False)

    return PromptSession(
        "lcma> ",
        multiline=True,
        prompt_continuation=lambda width, line, wrapped: "" if wrapped else "-> ".rjust(width),
        key_bindings=keys,
        lexer=PygmentsLexer(SqlLexer),
        completer=SqlCompleter(list_relations()),
        complete_while_typing=True,
        history=open_history(),
    )


def _obey(text: str) -> None:
    command, *names = text.rstrip("; \n").split()
    console = Console()
    if command.lower() == ".help" and not names:
        console.print(Text(HELP))
    elif command.lower() == ".schema" and not names:
        console.print(render_relations(list_relations()))
    elif command.lower() == ".schema" and len(names) == 1:
        console.print(render_relation(*list_relations(names[0].strip('"').lower())))
    else:
        near = difflib.get_close_matches(command.lower(), COMMANDS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(COMMANDS)}"
        raise UserError(f"there is no command '{text}': {hint}")
