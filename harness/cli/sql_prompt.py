"""The prompt of `lcma sql`: completion of what is typed, and the loop that answers."""

import re
import sys
from collections.abc import Callable, Iterator, Sequence

from prompt_toolkit import PromptSession
from prompt_toolkit.application import create_app_session
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.enums import DEFAULT_BUFFER
from prompt_toolkit.filters import has_focus
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.lexers import PygmentsLexer
from prompt_toolkit.output.defaults import create_output
from pygments.lexers.sql import SqlLexer
from rich.text import Text

from lcma.db.migrate import current_version
from lcma.db.query import find_database
from lcma.db.relations import Relation, find_relations
from lcma.harness.cache import cache_folder
from lcma.harness.report.relations import render_relation, render_relations
from lcma.harness.terminal import Console
from lcma.harness.text import printable
from lcma.sweeps.errors import UserError

WORDS = """
select from where group by order having limit offset join left right full inner outer cross natural
on using as and or not in is null like between exists case when then else end cast distinct all
union intersect except with recursive values asc desc nulls first last filter over partition window
rows range preceding following unbounded current row explain escape lateral materialized
abs avg ceil coalesce count cume_dist dense_rank first_value floor lag last_value lead length lower
ltrim max min nth_value ntile nullif percent_rank rank replace round row_number rtrim sign sqrt
substr sum trim upper
"""
"""Keywords and functions that both engines have."""

RELATION_NEXT = re.compile(r"(\A\s*\.schema|\bfrom|\bjoin)\s+\Z", re.I)

COMMANDS = {
    "help": "what can be typed here",
    "quit": "end",
    "schema": "views and tables, or the columns of one",
}
"""What stands behind a dot."""

ENDINGS = (".quit", ".exit", "quit", "exit", "\\q")

HELP = """\
A query is one SELECT, over as many lines as it needs; a ; at its end or an empty line runs it.
Nothing can be changed. Tab completes, Up and Ctrl-R find earlier queries, Ctrl-C drops what is
typed or stops a query that runs, Ctrl-D ends.

.schema         views and tables
.schema NAME    the columns of one: type and meaning
.help           this
.quit           end"""


class SqlCompleter(Completer):
    """A completer of the names of a schema, of words of SQL, and of the prompt's commands.

    It offers relations after FROM and JOIN, and elsewhere the columns of the relations that the
    text names, or of all while it names none. The user may type the beginning of a name or of one
    of its words, in any case.
    """

    def __init__(self, relations: Sequence[Relation]) -> None:
        self._relations = {relation.name: relation.meaning for relation in relations}
        self._columns = {
            relation.name: {c.name: f"{relation.name}: {c.meaning}" for c in relation.columns}
            for relation in relations
        }

    def get_completions(
        self, document: Document, complete_event: CompleteEvent
    ) -> Iterator[Completion]:
        """Yield the completions at the cursor: what starts as typed first, names before words."""
        before = document.text_before_cursor
        left = re.sub(r"\w*\Z", "", before)
        typed = before[len(left) :]
        asked = typed or left.endswith(".") or RELATION_NEXT.search(left)
        in_string = before.count("'") % 2
        if in_string or not (asked or complete_event.completion_requested):
            return
        start = typed.lower()
        offers = self._offer(left.lower(), document.text.lower())
        for name in sorted(offers, key=lambda name: (not name.startswith(start), not offers[name])):
            if name.startswith(start) or f"_{start}" in name:
                shown = name.upper() if typed.isupper() and not offers[name] else name
                yield Completion(shown, -len(typed), display_meta=offers[name])

    def _offer(self, left: str, text: str) -> dict[str, str]:
        """Return names and words that may stand behind ``left``, with their meanings."""
        if left.strip() == ".":
            return COMMANDS
        if RELATION_NEXT.search(left):
            return self._relations
        named = [name for name in re.findall(r"\w+", text) if name in self._columns]
        columns: dict[str, str] = {}
        for name in named or self._columns:
            columns = self._columns[name] | columns
        if left.endswith("."):
            return columns
        return dict.fromkeys(WORDS.split(), "") | self._relations | columns


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
            if _is_command(text):
                _run_command(text)
            elif text:
                answer(text)
            sys.stdout.flush()
        except UserError as error:
            line = " ".join(str(error).split())
            errors.print(Text(printable(line), style="red"), soft_wrap=True)
        except KeyboardInterrupt:
            errors.print(Text("stopped"))


def _new_session() -> "PromptSession[str]":
    keys = KeyBindings()

    @keys.add("enter", filter=has_focus(DEFAULT_BUFFER))
    def _enter(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if buffer.complete_state is not None and buffer.complete_state.current_completion:
            # Enter takes the chosen completion; the next Enter is for the query.
            buffer.complete_state = None
        elif _is_finished(buffer.text):
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
        history=_open_history(),
    )


def _open_history() -> History:
    """Open the history file, readable by its owner alone; without one it lasts for the prompt."""
    folder = cache_folder()
    if folder is None:
        return InMemoryHistory()
    file = folder / "sql-history"
    try:
        file.touch(0o600)
        file.chmod(0o600)
    except OSError:
        return InMemoryHistory()
    return FileHistory(str(file))


def _is_command(text: str) -> bool:
    return text.lstrip().startswith((".", "\\")) or text.strip().lower() in ENDINGS


def _is_finished(text: str) -> bool:
    last_line = text.rpartition("\n")[2].strip()
    return not last_line or last_line.endswith(";") or _is_command(text)


def _run_command(text: str) -> None:
    command, *names = text.rstrip("; \n").split()
    console = Console()
    if command.lower() == ".help":
        console.print(Text(HELP))
    elif command.lower() == ".schema" and names:
        console.print(render_relation(*find_relations(names[0].strip('"').lower())))
    elif command.lower() == ".schema":
        console.print(render_relations(find_relations()))
    else:
        listed = ", ".join(f".{name}" for name in COMMANDS)
        raise UserError(f"there is no command '{text}': there are {listed}")
