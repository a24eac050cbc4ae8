"""The prompt of `lcma sql`: a statement, its answer, and the next one."""

import contextlib
import difflib
import os
import sys
from collections.abc import Callable

from prompt_toolkit import PromptSession
from prompt_toolkit.application import create_app_session
from prompt_toolkit.enums import DEFAULT_BUFFER
from prompt_toolkit.filters import has_focus
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.lexers import PygmentsLexer
from prompt_toolkit.output.defaults import create_output
from pygments.lexers.sql import SqlLexer
from rich.console import Console
from rich.text import Text

from lcma.db.migrate import current_version
from lcma.db.query import find_database
from lcma.db.relations import find_relations
from lcma.harness.cache import cache_folder
from lcma.harness.prompt.completion import COMMANDS, SqlCompleter, is_command, is_finished
from lcma.harness.report.relations import render_relation, render_relations
from lcma.harness.text import printable
from lcma.sweeps.errors import UserError

HISTORY_FILE = "sql-history"

ENDINGS = (".quit", ".exit", "quit", "exit", "\\q")

HELP = """\
A query is one SELECT, over as many lines as it needs; a ; at its end or an empty line runs it.
Nothing can be changed. Tab completes, Up and Ctrl-R find earlier queries, Ctrl-C drops what is
typed or stops a query that runs, Ctrl-D ends.

.schema         views and tables
.schema NAME    the columns of one: type and meaning
.help           this
.quit           end"""


def open_prompt(url: str, answer: Callable[[str], None]) -> None:
    """Run a prompt for the database at a URL; see `run_prompt`."""
    database = find_database(url)
    revision = database.identify().revision
    older = "" if revision == current_version() else f", schema {revision} (newer: lcma db upgrade)"
    heading = (
        f"{database.engine}, read-only: {database.name}{older}\n"
        "A ; or an empty line ends a query; .help says more."
    )
    # Where rows go to a file, the prompt still stands on the terminal.
    with create_app_session(output=create_output(always_prefer_tty=True)):
        run_prompt(answer, heading)


def run_prompt(answer: Callable[[str], None], heading: str) -> None:
    """Read statements and pass each to ``answer``, which prints its rows, until the user ends it.

    A UserError from ``answer`` is printed as one line on stderr. A KeyboardInterrupt ends the
    statement alone.
    """
    errors = Console(stderr=True)
    errors.print(Text(heading), soft_wrap=True)
    session = _new_session()
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
                _run_command(text)
            elif text:
                answer(text)
            sys.stdout.flush()
        except UserError as error:
            line = " ".join(str(error).split())
            errors.print(Text(printable(line), style="red"), soft_wrap=True)
        except KeyboardInterrupt:
            errors.print(Text("stopped"))


class PrivateHistory(FileHistory):
    """A history in a file; what cannot be written to the disk is lost without an error."""

    def store_string(self, string: str) -> None:
        with contextlib.suppress(OSError):
            super().store_string(string)


def open_history() -> History:
    """Open the history file in the cache folder, readable by its owner alone.

    Where no file can be kept there, the history lasts as long as the prompt.
    """
    folder = cache_folder()
    if folder is None:
        return InMemoryHistory()
    file = folder / HISTORY_FILE
    try:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.fchmod(descriptor, 0o600)
        finally:
            os.close(descriptor)
    except OSError:
        return InMemoryHistory()
    return PrivateHistory(str(file))


def _new_session() -> "PromptSession[str]":
    keys = KeyBindings()

    @keys.add("enter", filter=has_focus(DEFAULT_BUFFER))
    def _enter(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if buffer.complete_state is not None and buffer.complete_state.current_completion:
            # Enter takes the chosen completion; the next Enter is for the query.
            buffer.complete_state = None
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
        completer=SqlCompleter(find_relations()),
        complete_while_typing=True,
        history=open_history(),
    )


def _run_command(text: str) -> None:
    command, *names = text.rstrip("; \n").split()
    console = Console()
    if command.lower() == ".help" and not names:
        console.print(Text(HELP))
    elif command.lower() == ".schema" and not names:
        console.print(render_relations(find_relations()))
    elif command.lower() == ".schema" and len(names) == 1:
        console.print(render_relation(*find_relations(names[0].strip('"').lower())))
    else:
        near = difflib.get_close_matches(command.lower(), COMMANDS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(COMMANDS)}"
        raise UserError(f"there is no command '{text}': {hint}")
