"""The launch of a sweep, by `lcma launch` and `lcma.launch`: plan, check, run, report."""

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Protocol

from lcma import db
from lcma.harness.extras import require_extra
from lcma.harness.launch.driver import Display, Launch
from lcma.harness.launch.hosts import Hosts
from lcma.harness.launch.plan import (
    Plan,
    SpecLike,
    check_compilable,
    list_histories,
    make_plan,
    make_works,
    open_existing,
    read_spec,
    register_plan,
    require_valid,
    update_plan,
)
from lcma.harness.launch.policy import LaunchPolicy, Limits
from lcma.harness.launch.prediction import Prediction, predict_hours
from lcma.harness.launch.rehearsal import rehearse_plugins
from lcma.harness.launch.tensorboard import plot_curves
from lcma.harness.launch.workers import (
    Workers,
    check_writable,
    missing_data,
    resolve_resources,
)
from lcma.harness.place import Place
from lcma.harness.terminal import read_user_name
from lcma.harness.text import format_count
from lcma.harness.version import read_code_version
from lcma.harness.work.outages import Value, wait_out
from lcma.harness.work.units import Report, Terms
from lcma.sweeps.errors import UserError
from lcma.sweeps.expansion import count_cells
from lcma.sweeps.options import LaunchOptions, choose_overrides

LOST_ENDINGS = ("failed", "diverged", "blocked", "cancelled")
"""The endings of jobs that leave no result."""


class Observer(Display, Protocol):
    """What shows all that a launch does: its stages, its plan, its jobs."""

    def stage(self, what: str) -> AbstractContextManager[object]:
        """Show during a block what is being done."""

    def planned(self, plan: Plan, predicted: Prediction | None, limits: Limits) -> None:
        """Show the plan of the registered sweep and the limits of the launch.

        ``predicted`` is what is left to do, None for nothing.
        """


@dataclass(frozen=True)
class LaunchReport:
    """How a launch ended."""

    sweep_id: str

    plan: Plan
    """The plan that it followed."""

    reports: dict[str, Report]
    """The report of each job by its id; none if nothing was left to run."""

    lost: int
    """The number of jobs without a result. If nothing was left to run, these are the trials that
    earlier launches lost."""

    @property
    def sweep(self) -> str:
        """The sweep's name."""
        return self.plan.spec.name

    def __repr__(self) -> str:
        endings = Counter(report.ending for report in self.reports.values())
        counts = ", ".join(f"{count} {ending}" for ending, count in sorted(endings.items()))
        return f"<sweep {self.sweep} {self.sweep_id[:8]}: {counts or 'nothing was left to run'}>"


def launch_sweep(
    spec: SpecLike,
    place: Place,
    options: LaunchOptions,
    observer: Observer,
    *,
    source: str = "command line",
    arguments: str = "",
) -> LaunchReport:
    """Run what is missing of a sweep, and report how that ended.

    Args:
        spec: The sweep, as for `read_spec`. Options that override it replace its own.
        place: Where its data, database and checkpoints are.
        options: The options of the launch.
        observer: What shows the launch.
        source: Where the options are from, for errors.
        arguments: The command that launches it again, without secrets, for the database.

    Raises:
        UserError: For what can be refused, before anything is changed.
        LaunchStoppedError: `lcma stop` ended it.
        LimitReachedError: It reached a limit of hours.
        LaunchInterrupted: SIGINT or SIGTERM ended it.
        ClusterLostError: The Ray cluster is gone.
    """
    spec = read_spec(spec, place, choose_overrides(options), source)
    ray, tensorboard = options.get("ray"), options.get("tensorboard")
    if options.get("local") and ray:
        raise UserError("--local and --ray exclude each other: leave one out")
    if options.get("wait_nodes") is not None and ray is None:
        raise UserError("--wait-nodes waits for nodes of a cluster: give --ray ADDRESS too")
    with observer.stage(f"planning {format_count(count_cells(spec), 'cell')}"):
        plan = make_plan(spec, place, open_existing(place))
    require_valid(plan, skip_invalid=options.get("skip_invalid", False))
    for line in rehearse_plugins(plan):
        observer.note(line)
    gpus, parallel = options.get("gpus"), options.get("parallel")
    resources = resolve_resources(spec, gpus=gpus, parallel=parallel, ray=ray)
    check_compilable(plan.expansion, resources)
    missing = missing_data(plan, place)
    if tensorboard is not None:
        require_extra("tensorboard")
    curves = None if tensorboard is None else Path(tensorboard)
    check_writable(place, prepares=bool(missing), tensorboard=curves)
    retry = options.get("retry", False)
    if not (plan.trainings_left or plan.pretrainings_left or (retry and plan.lost)):
        store = db.connect(place.db)
        sweep_id = register_plan(plan, place, store)
        with plot_curves(tensorboard, observer, store, store.job_ids(sweep_id)):
            observer.planned(plan, None, Limits())
        return LaunchReport(sweep_id, plan, {}, plan.lost)
    with Workers(resources, plan.threads, observer.stage, options) as workers:
        store, plan = workers.prepare(plan, place, missing)
        place = replace(place, db=store.url)
        wait = partial(wait_with_note, observer.note)
        with observer.stage("registering the sweep, with the bars of its data"):
            sweep_id = wait(lambda: register_plan(plan, place, store, observer.note))
        workers.store = store
        begun = wait(lambda: begin_launch(store, workers.owner, sweep_id, arguments))
        job_ids = [step.job.id for step in plan.steps]
        if retry:
            wait(lambda: store.retry(job_ids))
            plan = wait(lambda: update_plan(plan, store))
        with observer.stage("predicting how long the rest takes"):
            histories = list_histories(store)
            remote = ray is not None
            predicted = wait(lambda: predict_hours(plan, histories, resources, remote=remote))
        hours, device_hours = options.get("max_hours"), options.get("max_device_hours")
        limits = Limits(device_hours, resources.max_device_hours, hours)
        observer.planned(plan, predicted, limits)
        policy = LaunchPolicy(sweep_id, begun, resources.parallel, limits)
        with plot_curves(tensorboard, observer, store, job_ids) as display:
            ended = run_plan(workers, plan, place, policy, display)
    lost = sum(report.ending in LOST_ENDINGS for report in ended.values())
    return LaunchReport(sweep_id, plan, ended, lost)


def begin_launch(store: db.Store, owner: str, sweep_id: str, arguments: str) -> int:
    """Store that a launch begins, by whom, where and with which code; return the event's number."""
    user, _, host = read_user_name().rpartition("@")
    code_version, dirty = read_code_version()
    return store.begin_launch(
        owner,
        sweep_id,
        launched_by=user,
        host=host,
        arguments=arguments,
        code_version=code_version,
        dirty=dirty,
    )


def run_plan(
    workers: Workers, plan: Plan, place: Place, policy: LaunchPolicy, display: Display
) -> dict[str, Report]:
    """Run the jobs of a registered plan as a part of a launch that has begun."""
    assert workers.executor is not None
    assert workers.store is not None
    resources, parallel = workers.resources, policy.parallel
    works = make_works(
        plan,
        place,
        owner=workers.owner,
        device="cuda" if resources.gpus else "cpu",
        gpus=resources.gpus or 0.0,
        terms=Terms(
            failures=plan.spec.failures,
            hours=resources.hours,
            memory_gb=resources.memory_gb,
            cap=None if parallel is None else db.Cap(policy.sweep_id, parallel),
        ),
    )
    with workers.deferred_signals():
        if workers.ray is not None and workers.preflight is not None:
            hosts = Hosts(workers.executor, display.note, workers.preflight.problems)
            policy = replace(policy, hosts=hosts)
        launch = Launch(
            *(workers.store, works, workers.executor, display, policy),
            require_uninterrupted=workers.require_uninterrupted,
        )
        return launch.run()


def wait_with_note(note_line: Callable[[str], None], action: Callable[[], Value]) -> Value:
    """Return what the action returns; retry it while the database is unreachable, and note that."""
    noted = False

    def note() -> None:
        nonlocal noted
        if not noted:
            note_line("The database is unreachable: waiting for it.")
            noted = True

    return wait_out(action, on_failure=note)


@dataclass(frozen=True)
class Progress:
    """Progress of a launch."""

    ended: int
    """Jobs that have ended, of ``total``."""

    total: int
    running: Sequence[db.JobFacts]

    message: str = ""
    """What has just happened; empty if nothing did."""


class Callback:
    """An observer that passes everything to a function as `Progress`."""

    def __init__(self, call: Callable[[Progress], None]) -> None:
        self._call = call
        self._last = Progress(0, 0, ())

    def stage(self, what: str) -> AbstractContextManager[object]:
        self.note(what)
        return nullcontext()

    def planned(self, plan: Plan, predicted: Prediction | None, limits: Limits) -> None:
        self.note(f"{plan.spec.name}: {plan.summary}")

    def update(self, ended: int, total: int, running: Sequence[db.JobFacts]) -> None:
        self._last = Progress(ended, total, tuple(running))
        self._call(self._last)

    def job_ended(self, title: str, report: Report) -> None:
        # `update` comes only once a round, for all that ended in it.
        ended = self._last.ended + 1
        self._last = replace(self._last, ended=ended, total=max(self._last.total, ended))
        why = report.message.strip().splitlines()
        where = f" on {report.host}" if report.host else ""
        self.note(f"{report.ending} {title}{where}" + (f": {why[-1]}" if why else ""))

    def unreachable(self, since: float, why: str) -> None:
        self.note(f"the database is unreachable: {why}")

    def note(self, line: str) -> None:
        self._call(replace(self._last, message=line))
