"""The command `lcma`: its subcommands, and how mistakes are reported."""

import importlib
import os
import re
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from lcma.harness.cli import data, db
from lcma.harness.cli.faults import find_fault
from lcma.harness.extras import explain_missing
from lcma.sweeps import plugins
from lcma.sweeps.errors import UserError

app = typer.Typer(
    name="lcma",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


COMMANDS = (
    "plan",
    "launch",
    "tune",
    "status",
    "logs",
    "why",
    "retry",
    "rerun",
    "verify",
    "stop",
    "gc",
    "board",
    "verdicts",
    "pareto",
    "curves",
    "maps",
    "samples",
    "interpolate",
    "evaluate",
    "sql",
    "schema",
    "export",
    "serve",
    "doctor",
    "selftest",
)
"""Commands in the order of --help. Each is a function in a module of its own name."""


def _print_version(given: bool) -> None:
    if given:
        print(f"lcma {version('lcma')}")
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


for _command in COMMANDS:
    _module = importlib.import_module(f"lcma.harness.cli.{_command}")
    app.command(name=_command)(getattr(_module, _command))
app.add_typer(data.app, name="data")
app.add_typer(db.app, name="db")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command, given as arguments or by `sys.argv`.

    A user's mistake (UserError, OSError) is reported in one line on stderr, with exit code 2.
    """
    for name in ("COLUMNS", "LINES"):  # Rich takes any digits for a number
        if not re.fullmatch("[0-9]{0,4}", os.environ.get(name, "")):
            del os.environ[name]
    try:
        for path in filter(None, os.environ.get("LCMA_PLUGINS", "").split(os.pathsep)):
            plugins.load_file(Path(path).resolve())
        app(args=list(arguments) if arguments is not None else None, prog_name="lcma")
    except UserError as error:
        print(f"lcma: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(2)
    except ModuleNotFoundError as error:  # of a library that an extra brings
        if (known := explain_missing(error)) is None:
            raise
        print(f"lcma: {known}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except OSError as error:  # a name too long, a folder that is gone, a disk that is full
        print(f"lcma: {error.filename or 'system'}: {error.strerror or error}", file=sys.stderr)
        sys.exit(2)
    except Exception:
        fault = find_fault(sys.argv[1:] if arguments is None else arguments)
        if fault is None:
            raise
        print(f"lcma: {fault}", file=sys.stderr)
        sys.exit(2)
