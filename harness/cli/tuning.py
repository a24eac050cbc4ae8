"""Tune a budget and print progress, the answer, and the commands to go on with."""

import shlex
import sys
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import sqlalchemy as sa
from rich.markup import escape

from lcma.db import Store
from lcma.db.results import require_same_measures
from lcma.harness.cli.launching import reporting_early_end
from lcma.harness.cli.planning import print_unmeasured
from lcma.harness.launch.plan import (
    check_compilable,
    open_existing,
    plan_expansion,
    read_spec,
)
from lcma.harness.launch.policy import Limits
from lcma.harness.launch.rehearsal import rehearse_plugins
from lcma.harness.launch.workers import (
    Workers,
    check_writable,
    missing_data,
    resolve_resources,
)
from lcma.harness.place import Place, find_place
from lcma.harness.results.budgets import BudgetCurve, read_budget_curves, read_stability
from lcma.harness.show.budgets import budgets_as_records, render_budgets
from lcma.harness.terminal import Console
from lcma.harness.text import to_json
from lcma.harness.tuning.study import BUDGET, Study, Tuner
from lcma.harness.tuning.target import StudyTarget, make_target
from lcma.harness.watch.commands import format_command, locate_arguments, print_commands
from lcma.harness.watch.progress import Bars, describe_limits
from lcma.harness.work.outages import wait_out
from lcma.sweeps.errors import UserError
from lcma.sweeps.measures import BITS_PER_DIM, list_measures
from lcma.sweeps.options import TuneOptions, choose_overrides, format_options
from lcma.sweeps.sections import validate
from lcma.sweeps.spec import Spec
from lcma.sweeps.tuning import Tune


@dataclass(frozen=True)
class TuneCommand:
    """A command `lcma tune` as it was typed."""

    spec: str
    options: TuneOptions
    json: bool
    db: str | None = None
    runs: str | None = None
    data: Path | None = None

    @property
    def next_command(self) -> str:
        """The command that goes on with the same study."""
        words = ["tune", self.spec, *format_options(TuneOptions, self.options)]
        return format_command(*words, db=self.db, runs=self.runs, data=self.data)


def run_study(command: TuneCommand) -> None:
    """Check, tune and report. Checks come before any change."""
    console = Console(stderr=command.json)
    place = find_place(command.db, command.runs, command.data, write=True)
    options = command.options
    ray = options.get("ray")
    anywhere = replace(command, db=None, **locate_arguments(command.spec, place))
    spec = _read_spec(command, place)
    target = make_target(spec, command.spec)
    plan = plan_expansion(target.whole, place, None)
    if (store := open_existing(place)) is not None:
        require_same_measures(store.measure_kinds(), list_measures())
        for digest in plan.digests.values():
            Study.require_same(store, target, digest)
    for line in rehearse_plugins(plan):
        console.print(escape(line), highlight=False, soft_wrap=True)
    resources = resolve_resources(spec, gpus=options.get("gpus"), parallel=None, ray=ray)
    check_compilable(target.whole, resources)
    missing = missing_data(plan, place)
    check_writable(place, prepares=bool(missing))
    with (
        reporting_early_end(console, lambda: command.next_command),
        Workers(resources, plan.threads, console.status, options) as workers,
    ):
        store, _ = workers.prepare(plan, place, missing)
        workers.store, place = store, replace(place, db=store.url)
        limits = Limits(
            options.get("max_device_hours"), resources.max_device_hours, options.get("max_hours")
        )
        for line in describe_limits(limits, None):
            console.print(line, highlight=False, soft_wrap=True)
        from lcma.harness.tuning.raytune import run_ray_tune

        with Bars(console) as bars:
            tuner = Tuner(
                target,
                place,
                store,
                workers,
                bars,
                limits=limits,
                arguments=anywhere.next_command,
            )
            run_ray_tune(tuner)
            tuner.run(())
    curves = wait_out(lambda: _read_answer(store, target, tuner))
    if command.json:
        print(to_json(budgets_as_records(curves)))
    else:
        console.print(render_budgets(curves), highlight=False)
    asked = {trial.params[BUDGET] for trial in wait_out(tuner.study.trials)}
    plan = wait_out(lambda: plan_expansion(target.join(asked), place, store))
    wait_out(
        lambda: print_unmeasured(
            console, plan, store, command.db, runs=command.runs, data=command.data
        )
    )
    if plan.lost or wait_out(tuner.study.lost_budgets):
        why = format_command("status", db=command.db)
        print_commands(console, [why], "Some did not end well. See why with")
        sys.exit(1)
    by = [] if target.tune.measure == BITS_PER_DIM else ["--by", target.tune.measure]
    commands = [
        format_command(name, "--sweep", spec.name, *by, db=command.db)
        for name in ("budgets", "board")
    ]
    print_commands(console, [*commands, shlex.join(["optuna-dashboard", dashboard_url(store)])])


def dashboard_url(store: Store) -> str:
    """Return the database's URL as `optuna-dashboard` takes it, without the password."""
    url = sa.make_url(store.url)
    url = url.difference_update_query(("password", "sslpassword"))
    return url._replace(password=None).render_as_string()


def _read_answer(store: Store, target: StudyTarget, tuner: Tuner) -> list[BudgetCurve]:
    """Return what `lcma budgets` shows of the study's sweep; nothing if all trials were lost."""
    try:
        curves = read_budget_curves(
            store, measure=target.tune.measure, sweep_id=tuner.policy.sweep_id
        )
    except UserError:
        return []
    with suppress(UserError):  # of a map that is damaged
        curves = read_stability(store, curves)
    return curves


def _read_spec(command: TuneCommand, place: Place) -> Spec:
    """Read the spec, and replace what the command line overrides."""
    options = command.options
    spec = read_spec(command.spec, place, choose_overrides(options))
    if spec.tune is None:
        return spec
    overrides = {"trials": options.get("trials"), "parallel": options.get("parallel")}
    content = spec.tune.model_dump() | {k: v for k, v in overrides.items() if v is not None}
    return spec.model_copy(update={"tune": validate(Tune, content, "command line")})
