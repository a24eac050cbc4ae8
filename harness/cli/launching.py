"""Launch a sweep for a person: progress, the board, pictures, and what to type next."""

import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from rich.markup import escape

from lcma.harness.cli.planning import Overrides, launch_command, read_spec
from lcma.harness.extras import require_extra
from lcma.harness.place import Place
from lcma.harness.report.board import render_board
from lcma.harness.results.board import read_board
from lcma.harness.run.driver import LaunchStoppedError
from lcma.harness.run.sweep import LaunchOptions, launch_sweep, wait_with_note
from lcma.harness.run.workers import LaunchInterrupted
from lcma.harness.terminal import Console
from lcma.harness.watch.progress import Bars
from lcma.sweeps.errors import UserError

STOPPED = 3
"""The exit code of a launch that `lcma stop` ended."""


@dataclass(frozen=True)
class LaunchCommand:
    """What was typed: the spec, what is put in place of its own, and how it is launched."""

    spec: str
    overrides: Overrides
    options: LaunchOptions
    pictures: Path | None

    @property
    def again(self) -> str:
        """What to type to launch the same again."""
        options = self.options
        words = ["--ray", options.ray] if options.ray is not None else []
        words += ["--gpus", f"{options.gpus:g}"] if options.gpus is not None else []
        words += ["--parallel", str(options.parallel)] if options.parallel is not None else []
        words += ["--skip-invalid"] if options.skip_invalid else []
        again = launch_command(self.spec, self.overrides, local=options.local)
        return f"{again} {shlex.join(words)}" if words else again


def run_launch(command: LaunchCommand, place: Place) -> None:
    """Launch, then show the board. Exits with 1 if jobs were lost."""
    console = Console()
    spec = read_spec(command.spec, command.overrides, place)
    options = replace(command.options, arguments=command.again)
    with ending_early(console, command.again), Bars(console) as bars:
        report, store = launch_sweep(spec, place, options, bars)
    table = wait_with_note(bars.note, lambda: read_board(store, sweep_id=report.sweep_id))
    console.print(render_board(table))
    if command.pictures is not None and table.groups:
        try:
            require_extra("pictures")
            from lcma.harness.report.gallery import draw_sweep

            with console.status("drawing"):
                drawn = draw_sweep(store, place, report.sweep_id, command.pictures)
        except UserError as error:  # the results stand, whatever became of the pictures
            console.print(f"No pictures: {escape(str(error))}")
        else:
            console.print("Pictures:")
            for path in drawn:
                console.print(f"  {escape(str(path))}", highlight=False, soft_wrap=True)
    if report.lost:
        console.print(
            f"{report.lost} jobs did not end well: [bold]lcma status[/] says why, "
            f"[bold]{escape(command.again)} --retry[/] runs them again"
        )
        sys.exit(1)
    console.print(
        "Next: [bold]lcma board[/], [bold]lcma maps[/], [bold]lcma samples[/],\n"
        '      [bold]lcma sql "select factorization, seed, bits_per_dim from trial_results"[/],\n'
        "      [bold]lcma export --format md[/]"
    )


@contextmanager
def ending_early(console: Console, again: str) -> Iterator[None]:
    """Exit with the code for it when a launch is stopped or interrupted, and say how to go on."""
    try:
        yield
    except LaunchStoppedError as error:
        _print_stopped(console, f" by {error.request.by}", error.released, again)
        sys.exit(STOPPED)
    except LaunchInterrupted as error:
        _print_stopped(console, "", error.released, again)
        sys.exit(128 + error.number)


def _print_stopped(console: Console, by: str, released: int, again: str) -> None:
    console.print(
        f"Stopped{escape(by)}; {released} running jobs keep their last checkpoint. "
        f"Go on with [bold]{escape(again)}[/]"
    )
