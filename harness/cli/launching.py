"""Launch a sweep and print progress, the board, and the commands to go on with."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from rich.markup import escape

from lcma.db import connect
from lcma.harness.cli.planning import print_unmeasured
from lcma.harness.launch.driver import LaunchStoppedError
from lcma.harness.launch.executor import ClusterLostError
from lcma.harness.launch.plan import list_histories
from lcma.harness.launch.policy import LimitReachedError
from lcma.harness.launch.sweep import launch_sweep, wait_with_note
from lcma.harness.launch.workers import LaunchInterrupted
from lcma.harness.place import find_place
from lcma.harness.results.board import read_board
from lcma.harness.results.maps import DEFAULT_SCORE
from lcma.harness.results.power import compute_power, describe_power
from lcma.harness.show.board import render_board
from lcma.harness.terminal import Console
from lcma.harness.text import format_count
from lcma.harness.watch.commands import format_command, locate_arguments, print_commands
from lcma.harness.watch.progress import Bars
from lcma.sweeps import plugins
from lcma.sweeps.architectures import REGISTERED
from lcma.sweeps.options import LaunchOptions, format_options

STOPPED_CODE, LIMIT_CODE, CLUSTER_LOST_CODE = 3, 4, 5
"""The exit codes of launches that `lcma stop` or a limit of hours ended, or that lost Ray."""


@dataclass(frozen=True)
class LaunchCommand:
    """A command `lcma launch` as it was typed."""

    spec: str
    options: LaunchOptions
    db: str | None = None
    runs: str | None = None
    data: Path | None = None

    def format(self, *more: str) -> str:
        """Return the command that launches the same again, without its ``--retry``."""
        options: LaunchOptions = {**self.options, "retry": False}
        words = ["launch", self.spec, *format_options(LaunchOptions, options)]
        return format_command(*words, *more, db=self.db, runs=self.runs, data=self.data)


def run_launch(command: LaunchCommand) -> None:
    """Launch, then show the board. Exits with 1 if jobs were lost."""
    console = Console()
    place = find_place(command.db, command.runs, command.data, write=True)
    anywhere = replace(command, db=None, **locate_arguments(command.spec, place)).format()
    with reporting_early_end(console, command.format), Bars(console) as bars:
        report = launch_sweep(command.spec, place, command.options, bars, arguments=anywhere)
    store = wait_with_note(bars.note, lambda: connect(place.db))
    table = wait_with_note(bars.note, lambda: read_board(store, sweep_id=report.sweep_id))
    console.print(render_board(table, notes=False))
    cells = report.plan.expansion.cells
    if power := wait_with_note(
        bars.note, lambda: describe_power(compute_power(cells, list_histories(store)))
    ):
        console.print(escape(f"Power: {power}."), highlight=False, soft_wrap=True)
    if losing := sum(row.cleared is False for group in table.groups for row in group.rows):
        rows = "1 row loses" if losing == 1 else f"{losing} rows lose"
        console.print(f"{rows} to a bar: train longer, or on more images, before more seeds.")
    wait_with_note(
        bars.note,
        lambda: print_unmeasured(
            console, report.plan, store, command.db, runs=command.runs, data=command.data
        ),
    )
    if report.lost:
        them = "it" if report.lost == 1 else "them"
        lost = format_count(report.lost, "job")
        lead = f"{lost} did not end well. See why, and run {them} again, with"
        again = command.format("--retry")
        print_commands(console, [format_command("status", db=command.db), again], lead)
        sys.exit(1)
    # Without the plug-ins of its flows no flow is built from its weights.
    names = {REGISTERED[flow].plugin for flow in report.plan.spec.matrix.flow}
    files = [plugin.path for plugin in plugins.loaded() if plugin.path and plugin.name in names]
    trials = report.plan.expansion.trials
    reads_maps = any(t.pretraining and t.map_score == DEFAULT_SCORE for t in trials)
    print_commands(
        console,
        [
            format_command("board", "--notes", db=command.db),
            *([format_command("maps", db=command.db)] if reads_maps else []),
            format_command("samples", db=command.db, runs=command.runs, plugins=files),
        ],
    )


@contextmanager
def reporting_early_end(console: Console, format_again: Callable[[], str]) -> Iterator[None]:
    """Exit with its code when a launch ends early, and print how to go on."""
    try:
        yield
    except LimitReachedError as error:
        code, left = LIMIT_CODE, format_count(error.left, "job")
        line = f"Ended in good order: {error.why}. What is left: {left}."
    except (LaunchStoppedError, ClusterLostError, LaunchInterrupted) as error:
        code, why = CLUSTER_LOST_CODE, f": {error}"
        if isinstance(error, LaunchStoppedError):
            code, why = STOPPED_CODE, f" by {error.request.by}"
        elif isinstance(error, LaunchInterrupted):
            code, why = 128 + error.number, ""
        jobs = format_count(error.released, "running job")
        keep = "keeps its" if error.released == 1 else "keep their"
        line = f"Stopped{why}; {jobs} {keep} last checkpoint."
        if not error.released:
            line = f"Stopped{why}; no job is running."
    else:
        return
    console.print(escape(line), highlight=False, soft_wrap=True)
    print_commands(console, [format_again()], "Go on with")
    if code == CLUSTER_LOST_CODE:
        sys.stdout.flush()
        os._exit(code)  # Ray's own end would wait for what is lost, and abort
    sys.exit(code)
