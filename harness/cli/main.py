"""The program `lcma`: its commands, and how it reports errors."""

import atexit
import gc
import importlib
import os
import re
import sys
from collections.abc import Callable, Sequence
from functools import cache
from itertools import pairwise
from typing import Annotated, Any, NoReturn, cast

import typer
from typer.core import TyperGroup

from lcma.harness.cli import data, db
from lcma.harness.extras import explain_missing
from lcma.harness.terminal import make_streams_safe, print_error
from lcma.harness.urls import require_no_secrets
from lcma.sweeps.errors import UserError
from lcma.sweeps.input_files import require_text

UsageError = cast(type[Exception], typer.BadParameter.__base__)
"""The error for wrong options and arguments, of Click or of typer's own copy of Click."""


class _Commands(TyperGroup):
    """The commands. Typer would exit with 1 where `main` has to choose the code."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise BrokenPipeError from None  # Typer knows it by its number


app = typer.Typer(
    name="lcma",
    cls=_Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

GROUPS = {
    "Run sweeps": ("plan", "launch", "tune"),
    "While they run, and after": (
        *("status", "why", "logs", "stop", "rerun", "forget", "reproduce", "clean"),
    ),
    "Look at results": (
        *("board", "verdicts", "budgets", "curves", "maps", "samples"),
        *("measure", "diff", "sql", "export", "serve"),
    ),
    "Databases, images, this machine": ("db", "data", "doctor"),
}
"""Commands in the order of --help: each a function in the module of its name, or a subgroup."""

SUBGROUPS = {"db": db.app, "data": data.app}

JUDGING = ("launch", "tune", "reproduce", "measure", "doctor", "db check", "data verify")
"""Commands that say by their exit code how the work ended, or what they found."""

BROKEN_PIPE_CODE = 141
"""Their exit code if the reader of their output went away before they could say it."""


def _print_version(wanted: bool) -> None:
    if wanted:
        from lcma.harness.version import read_code_version

        print(f"lcma {read_code_version()[0]}")
        raise typer.Exit


@app.callback()
def options(
    _: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Benchmark how multi-scale flows choose the dimensions that they factor out early."""


for _panel, _names in GROUPS.items():
    for _command in _names:
        if _command in SUBGROUPS:
            app.add_typer(SUBGROUPS[_command], name=_command, rich_help_panel=_panel)
            continue
        _module = importlib.import_module(f"lcma.harness.cli.{_command}")
        app.command(name=_command, rich_help_panel=_panel)(getattr(_module, _command))


@cache  # typer would make all commands with all their options at each call
def _make_command() -> Callable[..., Any]:
    return typer.main.get_command(app)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command.

    A user's mistake (UserError, OSError, a wrong option) prints one line on stderr and ends with
    exit code 2.

    Args:
        arguments: Words of the command line after `lcma`; None for those of `sys.argv`.
    """
    make_streams_safe()
    words = sys.argv[1:] if arguments is None else list(arguments)
    if arguments is None:
        _collect_rarely()
    for name in ("COLUMNS", "LINES"):  # Rich takes any digits for a size, even 0
        if not re.fullmatch("[1-9][0-9]{0,3}", os.environ.get(name, "1")):
            del os.environ[name]
    try:
        require_no_secrets(words)
        for number, word in enumerate(words, start=1):
            require_text(word, f"argument {number} of lcma")
        for name, value in os.environ.items():
            if name.startswith("LCMA_"):
                require_text(value, f"the variable {name}")
        if os.environ.get("LCMA_PLUGINS"):
            from lcma.sweeps.plugins import load_named

            load_named()
        code = _make_command()(args=words, prog_name="lcma", standalone_mode=False)
        print(end="", flush=True)
        sys.exit(code or 0)
    except UserError as error:
        _refuse(error)
    except UsageError as error:
        _refuse(_describe_usage(error))
    except ModuleNotFoundError as error:  # perhaps of a library that an extra installs
        if (explanation := explain_missing(error)) is None:
            raise
        _refuse(explanation)
    except typer.Abort:
        print_error("not done")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # Python's last flush would fail on the closed pipe, as in `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(BROKEN_PIPE_CODE if " ".join(words).startswith(JUDGING) else 0)
    except OSError as error:  # such as a name that is too long, or a full disk
        _refuse(f"{error.filename or 'system'}: {error.strerror or error}")
    except Exception:  # raised again unless a fault of the database explains it
        fault = _find_fault(words)
        if fault is None:
            raise
        _refuse(fault)


def _collect_rarely() -> None:
    """Start the garbage collector only after a million objects, and never at exit.

    Most commands make fewer objects and keep nearly all of them: collecting took a quarter of
    their time.
    """
    threshold = gc.get_threshold()

    def restore_threshold(*_: object) -> None:
        gc.callbacks.remove(restore_threshold)
        gc.set_threshold(*threshold)

    gc.callbacks.append(restore_threshold)
    gc.set_threshold(1_000_000)
    atexit.register(gc.freeze)  # the interpreter's last collection then has nothing to visit


def _refuse(problem: object) -> NoReturn:
    print_error(problem)
    sys.exit(2)


def _describe_usage(error: Any) -> str:
    # `lcma db` without a command raises its help as an error.
    if type(error).__name__ == "NoArgsIsHelpError":
        print(error.format_message(), file=sys.stderr)
        sys.exit(2)
    command = error.ctx.command_path if error.ctx else "lcma"
    message = error.format_message().rstrip(".").replace("Value error, ", "")
    if type(error.__cause__).__name__ == "ValidationError":
        message = message.partition(", unable to parse")[0]
        value = repr(error.__cause__.errors()[0]["input"])
        message += "" if value in message else f", not {value}"
    return f"{message}; see {command} --help"


def _find_fault(arguments: Sequence[str]) -> str | None:
    """Return a message if the database of a command that failed unexpectedly is damaged."""
    from lcma.db import locate
    from lcma.db.integrity import check_integrity
    from lcma.harness.place import find_place
    from lcma.harness.text import format_count

    names = [after for word, after in pairwise(arguments) if word == "--db"]
    names += [word[5:] for word in arguments if word.startswith("--db=")]
    try:
        database = locate(find_place(names[-1] if names else None, None, None).db)
        findings = check_integrity(database).findings
    except UserError:  # the command failed on something else than its database
        return None
    if not findings:
        return None
    faults = format_count(len(findings), "fault")
    return (
        f"{database.name} has {faults}, which `lcma db check` lists, such as: {findings[0]}; "
        "restore a copy of the database"
    )
