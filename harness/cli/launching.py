"""What `lcma launch` does, step by step."""

import os
import shlex
import signal
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self

from rich.console import Console
from rich.markup import escape

import db
import harness.data
from harness.cli import planning, predicting
from harness.cli.planning import Overrides
from harness.place import Place
from harness.run import launch as launches
from harness.run import plan as plans
from harness.run import preflight
from harness.run.executor import Executor
from harness.run.launch import Ended, Launch
from harness.run.plan import Plan
from harness.run.plotting import plotting
from harness.run.plotting import write as write_curves
from harness.run.prediction import predict
from harness.run.progress import Bars
from harness.run.rehearsal import rehearse
from harness.run.steering import AskedToStopError, Course
from harness.run.terms import Terms
from harness.run.work import LEASE_SECONDS
from sweeps.errors import UserError
from sweeps.spec import Resources, Spec

LOST = ("failed", "diverged", "blocked")
"""The endings of jobs that leave no result."""


@dataclass(frozen=True)
class Asked:
    """The options of a launch; the last three are for `lcma selftest` alone."""

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
    kills: Path | None = None

    @property
    def command(self) -> str:
        """What to type to launch the same again."""
        words = ["--ray", self.ray] if self.ray is not None else []
        words += ["--gpus", f"{self.gpus:g}"] if self.gpus is not None else []
        words += ["--parallel", str(self.parallel)] if self.parallel is not None else []
        words += ["--skip-invalid"] * self.skip_invalid
        again = planning.command(self.spec, self.overrides, local=self.local)
        return f"{again} {shlex.join(words)}" if words else again


STOPPED = 3
"""The exit code of a launch that `lcma stop` ended."""


class _InterruptedError(BaseException):
    """SIGINT or SIGTERM; a BaseException, so that no handler on the way takes it for its own."""

    def __init__(self, number: int) -> None:
        self.number = number


def run(asked: Asked, place: Place) -> None:
    """Plan, check, run, report. What can be refused is refused before anything is changed."""
    console = Console()
    if asked.local and asked.ray:
        raise UserError("--local and --ray exclude each other: leave one out")
    spec = planning.read(asked.spec, asked.overrides, place)
    store = planning.existing(place)
    plan = plans.make(spec, place, store)
    plans.require_valid(plan, skip_invalid=asked.skip_invalid)
    rehearse(plan)
    resources = _resources(spec, asked)
    _check_compilable(plan, resources)
    missing = _missing_data(spec, place)
    _check_writable(place, asked)
    if plan.trainings_left or plan.pretrainings_left or (asked.retry and plan.lost):
        with _Workers(asked, resources, _threads(plan), console) as workers:
            _check_shared(place, workers.hosts)
            workers.require(plan, place)
            store = db.connect(place.db)
            place = replace(place, db=store.url)
            for name in missing:
                with console.status(f"preparing {name}"):
                    harness.data.prepare(name, place.data)
            if missing:
                workers.require(plan, place)
            with console.status("registering the sweep, with the bars of its data"):
                sweep_id = plans.register(plan, place, store)
            lost = len(workers.run(plan, place, store, sweep_id).of(*LOST))
    else:
        store = db.connect(place.db)
        sweep_id = plans.register(plan, place, store)
        lost = plan.lost
        if asked.tensorboard is not None:
            write_curves(asked.tensorboard, store, store.job_ids(sweep_id))
        console.print(f"{escape(spec.name)}: {planning.summary(plan)}", highlight=False)
    _report(sweep_id, store, place, asked, console, lost)


def _resources(spec: Spec, asked: Asked) -> Resources:
    gpus = spec.gpus if asked.gpus is None else asked.gpus
    if not 0 <= gpus <= 1:
        raise UserError(f"--gpus {gpus:g}: a trial uses between 0 and 1 GPU")
    parallel = spec.resources.parallel if asked.parallel is None else asked.parallel
    resources = spec.resources.model_copy(update={"gpus": gpus, "parallel": parallel})
    if resources.gpus and asked.ray is None:
        import torch

        if not torch.cuda.is_available():
            raise UserError(
                f"a trial asks for {resources.gpus:g} GPU, and this machine has none that "
                f"PyTorch can use: give --gpus 0, or a cluster with --ray ADDRESS"
            )
    return resources


def _check_compilable(plan: Plan, resources: Resources) -> None:
    """UserError for recipes that compile where trials run on CPUs."""
    if not resources.gpus and any(t.recipe.optimization.compile for t in plan.expansion.trials):
        raise UserError(
            "`optimization.compile: true` is for GPUs, and these trials run on CPUs: "
            "give --gpus 1, or leave it out of the recipe"
        )


def _missing_data(spec: Spec, place: Place) -> list[str]:
    """The sets still to be prepared; UserError for one that needs files named by a person."""
    missing = []
    for known in harness.data.names(place.data):
        if known.name not in spec.matrix.dataset:
            continue
        if known.needs_path or (place.data / known.name).exists():
            harness.data.load(known.name, place.data)
        else:
            missing.append(known.name)
    return missing


def _check_writable(place: Place, asked: Asked) -> None:
    """UserError if a folder could not be made or written; none is made yet."""
    folders = {"data": place.data}
    if isinstance(place.runs, Path):
        folders["runs"] = place.runs
    else:
        preflight.require_here(place.runs)
    for option in ("pictures", "tensorboard"):
        folder = getattr(asked, option)
        if folder is not None:
            folders[option] = folder.absolute()
    for option, folder in folders.items():
        there = next(p for p in (folder, *folder.parents) if p.exists())
        try:
            with tempfile.TemporaryFile(dir=there):
                pass
        except OSError as error:
            raise UserError(
                f"cannot write in {folder} ({error.strerror}): give --{option} DIR"
            ) from None


def _check_shared(place: Place, hosts: list[str]) -> None:
    """UserError where workers are on machines that cannot all write the database."""
    database = db.locate(place.db)
    if database.one_host and len(hosts) > 1:
        shown = ", ".join(hosts[:3]) + (", ..." if len(hosts) > 3 else "")
        raise UserError(
            f"the cluster has {len(hosts)} hosts ({shown}), and a SQLite file such as "
            f"{database.name} is for one: give --db postgresql://USER@HOST/DATABASE"
        )


def _threads(plan: Plan) -> int:
    return max(t.recipe.optimization.threads for t in plan.expansion.trials)


class _Workers:
    """An executor for the time of a block. SIGINT and SIGTERM end the launch in good order;
    whatever ends it early gives its jobs back."""

    def __init__(self, asked: Asked, resources: Resources, threads: int, console: Console) -> None:
        self.asked, self.resources, self.console = asked, resources, console
        self.threads = threads
        self.owner = launches.new_owner()
        self.store: db.Store | None = None
        self.executor: Executor | None = None
        self._handlers: dict[int, Any] = {}

    def __enter__(self) -> Self:
        self._handlers = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)}
        self._handle(_interrupt)
        try:
            with self.console.status("starting workers"):
                self.executor = _executor(self.resources, self.threads, self.asked)
        except BaseException as error:
            self.__exit__(type(error), error, None)
            raise
        self._handle(_interrupt)  # Ray has put its own in place
        return self

    @property
    def hosts(self) -> list[str]:
        """The machines on which jobs will run."""
        assert self.executor is not None
        return self.executor.hosts()

    def require(self, plan: Plan, place: Place) -> None:
        """UserError where a machine cannot use the place of the checkpoints, or has not those data
        of the plan that are prepared here."""
        assert self.executor is not None
        with self.console.status("asking the workers for checkpoints and data"):
            preflight.require(self.executor.ask, place, plans.known_digests(plan.expansion, place))

    def run(self, plan: Plan, place: Place, store: db.Store, sweep_id: str) -> Ended:
        """Run the plan's jobs until all have ended. Raises AskedToStopError."""
        assert self.executor is not None
        self.store = store
        begun = store.begin_launch(self.owner, sweep_id)
        resources = self.resources
        parallel = resources.parallel
        terms = Terms(
            failures=plan.spec.failures,
            hours=resources.hours,
            memory_gb=resources.memory_gb,
            cap=None if parallel is None else db.Cap(sweep_id, parallel),
        )
        nodes = plans.nodes(
            plan,
            place,
            plans.digests_of(plan, place),
            owner=self.owner,
            device="cuda" if self.resources.gpus else "cpu",
            gpus=self.resources.gpus or 0.0,
            terms=terms,
            checkpoint_seconds=self.asked.checkpoint_seconds,
            lease_seconds=self.asked.lease_seconds,
            kills=self.asked.kills,
        )
        if self.asked.retry:
            store.retry([node.work.job_id for node in nodes])
        now = plans.make(plan.spec, place, store)
        summary = planning.summary(now)
        self.console.print(f"{escape(plan.spec.name)}: {summary}", highlight=False)
        for line in predicting.left(predict(now, store, self.resources.gpus or 0.0)):
            self.console.print(escape(line), highlight=False, soft_wrap=True)
        ids = [node.work.job_id for node in nodes]
        course = Course(sweep_id, begun, parallel)
        with (
            Bars(self.console) as bars,
            plotting(self.asked.tensorboard, bars, store, ids) as display,
        ):
            return Launch(store, nodes, self.executor, display, course).run()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._handle(signal.SIG_IGN)
        if isinstance(error, SystemError) and error.__cause__ is not None:
            error = error.__cause__  # Ray's compiled part wraps what a signal's handler raises
        released = 0
        if self.executor is not None:
            self.executor.close(kill=error is not None)
        if error is not None and self.store is not None:
            with suppress(UserError):
                released = self.store.release(self.owner)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        if isinstance(error, AskedToStopError):
            self._say_stopped(f" by {error.request.by}", released)
            sys.exit(STOPPED)
        if isinstance(error, _InterruptedError):
            self._say_stopped("", released)
            sys.exit(128 + error.number)

    def _say_stopped(self, by: str, released: int) -> None:
        self.console.print(
            f"Stopped{escape(by)}; {released} running jobs keep their last checkpoint. "
            f"Go on with [bold]{escape(self.asked.command)}[/]"
        )

    def _handle(self, handler: Any) -> None:
        for number in self._handlers:
            signal.signal(number, handler)


def _executor(resources: Resources, threads: int, asked: Asked) -> Executor:
    if asked.local:
        from harness.run.local import LocalExecutor

        share = resources.cpus if resources.cpus is not None else threads
        workers = max(1, int((os.cpu_count() or 1) // share))
        if resources.gpus:
            import torch

            per_gpu = max(1, int(1 / resources.gpus))
            slots = min(workers, per_gpu * torch.cuda.device_count())
            return LocalExecutor(slots, per_gpu)
        return LocalExecutor(workers)
    from harness.run.cluster import RayExecutor

    executor = RayExecutor(resources, asked.ray)
    try:
        executor.check(threads)
    except UserError:
        executor.close(kill=True)
        raise
    return executor


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise _InterruptedError(number)


def _report(
    sweep_id: str,
    store: db.Store,
    place: Place,
    asked: Asked,
    console: Console,
    lost: int,
) -> None:
    from harness.report import board, gallery

    table = board.read(store, sweep_id=sweep_id)
    console.print(board.render(table))
    if asked.pictures is not None and table.groups:
        try:
            with console.status("drawing"):
                drawn = gallery.draw_sweep(store, place, sweep_id, asked.pictures)
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
