"""Tuning for a person: the study, its progress and outcome, and what to type next."""

import json
import shlex
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from rich.markup import escape

from lcma.db import Store
from lcma.harness.cli.launching import AT_LIMIT, STOPPED, ending_early
from lcma.harness.cli.planning import print_unmeasured, read_spec
from lcma.harness.place import Place, find_place
from lcma.harness.results.budgets import read_budget_curves
from lcma.harness.results.lookup import find_sweep
from lcma.harness.run.driver import Display
from lcma.harness.run.limits import Limits
from lcma.harness.run.outages import wait_out
from lcma.harness.run.plan import known_digests, open_existing, plan_expansion, preparable_sets
from lcma.harness.run.rehearsal import rehearse_plugins
from lcma.harness.run.work import LEASE_SECONDS
from lcma.harness.run.workers import (
    Workers,
    check_compilable,
    check_writable,
    max_threads,
    missing_data,
    resolve_resources,
)
from lcma.harness.show.budgets import list_sentences
from lcma.harness.terminal import Console
from lcma.harness.text import printable
from lcma.harness.tuning.opening import open_tuner
from lcma.harness.tuning.outcome import (
    PatternOutcome,
    dashboard_url,
    finals_spec,
    outcome_as_dict,
    read_outcome,
    read_patterns,
    render_outcome,
    render_patterns,
)
from lcma.harness.tuning.study import Study
from lcma.harness.tuning.target import StudyTarget, make_target
from lcma.harness.tuning.tuner import Tuner, TunerSettings
from lcma.harness.watch.commands import format_command, print_commands
from lcma.harness.watch.predictions import describe_limits
from lcma.harness.watch.progress import Bars
from lcma.sweeps.errors import UserError
from lcma.sweeps.options import TuneOptions, choose_overrides, format_options
from lcma.sweeps.spec import Spec
from lcma.sweeps.tuning import Tune
from lcma.sweeps.validation import validate


@dataclass(frozen=True)
class TuneCommand:
    """A command `lcma tune` as it was typed; the last two fields are for tests."""

    spec: str
    options: TuneOptions
    json: bool
    db: str | None = None
    runs: str | None = None
    data: Path | None = None
    lease_seconds: float = LEASE_SECONDS
    checkpoint_seconds: float | None = None

    @property
    def words(self) -> list[str]:
        """The command and its arguments, without the places."""
        return ["tune", self.spec, *format_options(TuneOptions, self.options)]

    @property
    def again(self) -> str:
        """The command to type to go on with the same study."""
        return format_command(*self.words, db=self.db, runs=self.runs, data=self.data)


def run_study(command: TuneCommand) -> None:
    """Check, tune, report. What can be refused is refused before anything is changed."""
    console = Console(stderr=command.json)
    place = find_place(command.db, command.runs, command.data, write=True)
    options = command.options
    local, ray = options.get("local", False), options.get("ray")
    if local and ray:
        raise UserError("--local and --ray exclude each other: leave one out")
    spec = _read_spec(command, place)
    if spec.resources.max_device_hours is not None:
        raise UserError(
            "`resources.max_device_hours` is for launches: set `tune.cost_hours` in its place"
        )
    limits = Limits(device_hours=options.get("max_device_hours"), hours=options.get("max_hours"))
    target = make_target(spec, command.spec, preparable_sets(place))
    _require_the_same(target, place)
    for line in rehearse_plugins(plan_expansion(target.whole, place, None)):
        console.print(escape(line), highlight=False, soft_wrap=True)
    need = resolve_resources(spec, gpus=options.get("gpus"), parallel=None, ray=ray)
    check_compilable(target.whole, need)
    missing = missing_data(spec, place)
    check_writable(place)
    with (
        ending_early(console, command.again),
        Workers(
            need,
            max_threads(target.whole),
            console.status,
            local=local,
            ray=ray,
            any_code=options.get("any_code", False),
        ) as workers,
    ):
        store = workers.prepare(target.whole, place, missing, every=True)
        workers.store, place = store, replace(place, db=store.url)
        settings = TunerSettings(
            workers.owner,
            need,
            command.checkpoint_seconds,
            command.lease_seconds,
            format_command(*command.words, runs=command.runs, data=command.data),
            limits,
        )
        for line in describe_limits(limits, None):
            console.print(line, highlight=False, soft_wrap=True)
        with Bars(console) as bars, open_tuner(target, place, store, settings, bars.note) as tuner:
            _engine(workers, command, target, tuner, bars)
        if tuner.stopped is not None:
            workers.abandon()
    read = read_patterns if target.patterns else read_outcome
    found = wait_out(lambda: read(store, target, tuner.digest))
    if command.json:
        print(json.dumps(outcome_as_dict(found), indent=2))
    elif isinstance(found, PatternOutcome):
        console.print(render_patterns(found))
    else:
        console.print(render_outcome(found))
    plan = wait_out(lambda: plan_expansion(target.whole, place, store))
    print_unmeasured(console, plan, store, command.db, command.runs)
    if tuner.stopped is not None:
        console.print(f"Stopped: {escape(tuner.stopped)}.")
        print_commands(console, [command.again], "Go on with")
        sys.exit(STOPPED)
    if tuner.limited is not None:
        line = f"Ended in good order: {tuner.limited}."
        console.print(escape(line), highlight=False, soft_wrap=True)
        print_commands(console, [command.again], "Go on with")
        sys.exit(AT_LIMIT)
    if tuner.spent:
        console.print(escape(f"Ended: {tuner.spent}."), highlight=False, soft_wrap=True)
    board = format_command("board", "--sweep", spec.name, db=command.db)
    dashboard = shlex.join(["optuna-dashboard", dashboard_url(store)])
    if isinstance(found, PatternOutcome):
        if found.best is not None:
            console.print("Other seeds have to judge them. Save this as finals.yaml and launch it:")
            console.print(escape(finals_spec(target, found)), highlight=False, soft_wrap=True)
        print_commands(console, [board, dashboard])
    else:
        _print_answer(console, store, target)
        budgets = format_command("budgets", "--sweep", spec.name, db=command.db)
        print_commands(console, [budgets, board, dashboard])
    if tuner.baseline_lost or any(row.state == "FAIL" for row in found.rows):
        why = format_command("status", db=command.db)
        print_commands(console, [why], "Some did not end well. See why with")
        sys.exit(1)


def _print_answer(console: Console, store: Store, target: StudyTarget) -> None:
    """Print what `lcma budgets` says of the study's results."""
    try:
        curves = read_budget_curves(
            store,
            measure=target.tune.measure,
            sweep_id=find_sweep(store, target.spec.name).id,
            factorization=target.tune.factorization,
        )
    except UserError:  # all were lost
        return
    for curve in curves:
        for sentence in list_sentences(curve):
            console.print(escape(printable(sentence)), highlight=False, soft_wrap=True)


def _read_spec(command: TuneCommand, place: Place) -> Spec:
    """Read the spec and put in place of its own what the command line says."""
    options = command.options
    spec = read_spec(command.spec, choose_overrides(options), place)
    if spec.tune is None:
        return spec
    if spec.tune.patterns is not None and options.get("trials") is not None:
        raise UserError("--trials is of budgets: `tune.patterns.count` says how many patterns")
    own = {"trials": options.get("trials"), "parallel": options.get("parallel")}
    content = spec.tune.model_dump() | {k: v for k, v in own.items() if v is not None}
    return spec.model_copy(update={"tune": validate(Tune, content, "command line")})


def _require_the_same(target: StudyTarget, place: Place) -> None:
    """Raise UserError, before workers start, for a study of the same name and another spec."""
    store = open_existing(place)
    digests = known_digests(target.whole, place)
    if store is not None and digests:
        Study.require_same(store, target, next(iter(digests.values())))


def _engine(
    workers: Workers, command: TuneCommand, target: StudyTarget, tuner: Tuner, display: Display
) -> None:
    assert workers.executor is not None
    if command.options.get("local"):
        from lcma.harness.tuning.local import run_local

        run_local(tuner, workers.executor, display, target.tune.parallel)
    else:
        from lcma.harness.tuning.raytune import run_ray_tune

        run_ray_tune(tuner, workers.need, target.tune.parallel)
