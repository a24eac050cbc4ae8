"""What `lcma launch` does, step by step."""

import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from lcma import db
from lcma.harness.cli.planning import (
    Overrides,
    describe_rest,
    launch_command,
    open_existing,
    read_spec,
    summarize_plan,
)
from lcma.harness.place import Place
from lcma.harness.run.driver import Course, Ended, Launch
from lcma.harness.run.outages import Value, wait_out
from lcma.harness.run.plan import (
    Plan,
    digests_of,
    make_nodes,
    make_plan,
    register_plan,
    require_valid,
)
from lcma.harness.run.prediction import predict_hours
from lcma.harness.run.rehearsal import rehearse_plugins
from lcma.harness.run.tensorboard import plot_curves, write_curves
from lcma.harness.run.work import LEASE_SECONDS, Terms
from lcma.harness.run.workers import (
    Workers,
    check_compilable,
    check_writable,
    max_threads,
    missing_data,
)
from lcma.harness.run.workers import resolve_resources as resources_for
from lcma.harness.watch.progress import Bars
from lcma.sweeps.errors import UserError

LOST = ("failed", "diverged", "blocked")
"""The endings of jobs that leave no result."""


@dataclass(frozen=True)
class Asked:
    """The options of a launch; the last two are for `lcma selftest` alone."""

    spec: str
    overrides: Overrides
    local: bool
    ray: str | None
    gpus: float | None
    parallel: int | None
    retry: bool
    skip_invalid: bool
    pictures: Path | None
    tensorboard: Path | None
    lease_seconds: float = LEASE_SECONDS
    checkpoint_seconds: float | None = None

    @property
    def command(self) -> str:
        """What to type to launch the same again."""
        words = ["--ray", self.ray] if self.ray is not None else []
        words += ["--gpus", f"{self.gpus:g}"] if self.gpus is not None else []
        words += ["--parallel", str(self.parallel)] if self.parallel is not None else []
        words += ["--skip-invalid"] * self.skip_invalid
        again = launch_command(self.spec, self.overrides, local=self.local)
        return f"{again} {shlex.join(words)}" if words else again


def run_launch(asked: Asked, place: Place) -> None:
    """Plan, check, run, report. What can be refused is refused before anything is changed."""
    console = Console()
    if asked.local and asked.ray:
        raise UserError("--local and --ray exclude each other: leave one out")
    spec = read_spec(asked.spec, asked.overrides, place)
    store = open_existing(place)
    plan = make_plan(spec, place, store)
    require_valid(plan, skip_invalid=asked.skip_invalid)
    rehearse_plugins(plan)
    resources = resources_for(spec, gpus=asked.gpus, parallel=asked.parallel, ray=asked.ray)
    check_compilable(plan.expansion, resources)
    missing = missing_data(spec, place)
    check_writable(place, pictures=asked.pictures, tensorboard=asked.tensorboard)
    if plan.trainings_left or plan.pretrainings_left or (asked.retry and plan.lost):
        with Workers(
            resources,
            max_threads(plan.expansion),
            console,
            local=asked.local,
            ray=asked.ray,
            command=asked.command,
        ) as workers:
            store = opened = workers.prepare(plan.expansion, place, missing)
            place = replace(place, db=store.url)
            with console.status("registering the sweep, with the bars of its data"):
                sweep_id = _patiently(console, lambda: register_plan(plan, place, opened))
            lost = len(_run(workers, asked, plan, place, store, sweep_id).of(*LOST))
    else:
        store = db.connect(place.db)
        sweep_id = register_plan(plan, place, store)
        lost = plan.lost
        if asked.tensorboard is not None:
            write_curves(asked.tensorboard, store, store.job_ids(sweep_id))
        console.print(f"{escape(spec.name)}: {summarize_plan(plan)}", highlight=False)
    _report(sweep_id, store, place, asked, console, lost)


def _run(
    workers: Workers, asked: Asked, plan: Plan, place: Place, store: db.Store, sweep_id: str
) -> Ended:
    """Run the plan's jobs until all have ended. Raises AskedToStopError."""
    assert workers.executor is not None
    workers.store = store
    resources, console = workers.resources, workers.console
    begun = _patiently(console, lambda: store.begin_launch(workers.owner, sweep_id))
    parallel = resources.parallel
    terms = Terms(
        failures=plan.spec.failures,
        hours=resources.hours,
        memory_gb=resources.memory_gb,
        cap=None if parallel is None else db.Cap(sweep_id, parallel),
    )
    nodes = make_nodes(
        plan,
        place,
        digests_of(plan, place),
        owner=workers.owner,
        device="cuda" if resources.gpus else "cpu",
        gpus=resources.gpus or 0.0,
        terms=terms,
        checkpoint_seconds=asked.checkpoint_seconds,
        lease_seconds=asked.lease_seconds,
    )
    ids = [node.work.job_id for node in nodes]
    if asked.retry:
        _patiently(console, lambda: store.retry(ids))
    now = _patiently(console, lambda: make_plan(plan.spec, place, store))
    console.print(f"{escape(plan.spec.name)}: {summarize_plan(now)}", highlight=False)
    for line in describe_rest(
        _patiently(console, lambda: predict_hours(now, store, resources.gpus or 0.0))
    ):
        console.print(escape(line), highlight=False, soft_wrap=True)
    course = Course(sweep_id, begun, parallel)
    with (
        Bars(console) as bars,
        plot_curves(asked.tensorboard, bars, store, ids) as display,
    ):
        return Launch(store, nodes, workers.executor, display, course).run()


def _patiently(console: Console, action: Callable[[], Value]) -> Value:
    """What the action gives, however long the database is away, which is told once."""
    told = False

    def tell() -> None:
        nonlocal told
        if not told:
            console.print("The database is away: waiting for it.")
            told = True

    return wait_out(action, noticed=tell)


def _report(
    sweep_id: str,
    store: db.Store,
    place: Place,
    asked: Asked,
    console: Console,
    lost: int,
) -> None:
    from lcma.harness.report.board import read_board, render_board
    from lcma.harness.report.gallery import draw_sweep

    table = _patiently(console, lambda: read_board(store, sweep_id=sweep_id))
    console.print(render_board(table))
    if asked.pictures is not None and table.groups:
        try:
            with console.status("drawing"):
                drawn = draw_sweep(store, place, sweep_id, asked.pictures)
        except UserError as error:  # the results stand, whatever became of the pictures
            console.print(f"No pictures: {escape(str(error))}")
        else:
            console.print("Pictures:")
            for path in drawn:
                console.print(f"  {escape(str(path))}", highlight=False, soft_wrap=True)
    if lost:
        console.print(
            f"{lost} jobs did not end well: [bold]lcma status[/] says why, "
            f"[bold]{escape(asked.command)} --retry[/] runs them again"
        )
        sys.exit(1)
    console.print(
        "Next: [bold]lcma board[/], [bold]lcma maps[/], [bold]lcma samples[/],\n"
        '      [bold]lcma sql "select factorization, seed, bits_per_dim from trial_results"[/],\n'
        "      [bold]lcma export --format md[/]"
    )
