"""Print the plan of a sweep, and the commands to go on with."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.markup import escape
from rich.text import Text

from lcma.db import Store
from lcma.harness import data
from lcma.harness.launch.plan import (
    Plan,
    check_compilable,
    find_unmeasured,
    list_histories,
    make_plan,
    open_existing,
    read_spec,
    require_valid,
)
from lcma.harness.launch.policy import Limits
from lcma.harness.launch.prediction import Prediction, predict_hours
from lcma.harness.launch.rehearsal import rehearse_plugins
from lcma.harness.place import Place, find_place, name_database
from lcma.harness.results.power import compute_power, describe_power
from lcma.harness.show.plan import describe_trainings, plan_as_dict, render_plan
from lcma.harness.terminal import Console, print_error
from lcma.harness.text import format_count, short_id
from lcma.harness.watch.commands import (
    choose_writable,
    format_command,
    format_measure_command,
    print_commands,
)
from lcma.harness.watch.progress import describe_limits, describe_time
from lcma.sweeps import plugins
from lcma.sweeps.errors import UserError
from lcma.sweeps.expansion import count_cells
from lcma.sweeps.identity import canonical_json
from lcma.sweeps.options import Overrides, format_options


def run_plan(
    spec: str, overrides: Overrides, *, db: str | None, data: Path | None, as_json: bool
) -> None:
    """Plan a sweep against the database, which need not exist, and print the plan."""
    place = find_place(db, None, data)
    checked, store = read_spec(spec, place, overrides), open_existing(place)
    cells = format_count(count_cells(checked), "cell")
    with Console(stderr=True).status(f"planning {cells}"):
        plan = make_plan(checked, place, store)
    resources = checked.resources.model_copy(update={"gpus": checked.gpus})
    check_compilable(plan.expansion, resources)
    for line in rehearse_plugins(plan):
        print_error(line)
    require_valid(plan, skip_invalid=True)  # if no cell can be run there is nothing to show
    histories = list_histories(store)
    predicted = predict_hours(plan, histories, resources)
    plan = replace(plan, power=compute_power(plan.expansion.cells, histories))
    if as_json:
        print(json.dumps(plan_as_dict(plan, predicted), indent=2))
    else:
        _print_plan(
            plan, predicted, store, place, [spec, *format_options(Overrides, overrides)], db, data
        )
    require_valid(plan, skip_invalid=False)  # exits as a launch would


def _print_plan(
    plan: Plan,
    predicted: Prediction,
    store: Store | None,
    place: Place,
    typed: Sequence[str],
    db: str | None,
    data: Path | None,
) -> None:
    console, spec, target = Console(), plan.spec, choose_writable(db)

    def say(line: str) -> None:
        console.print(escape(line), highlight=False, soft_wrap=True)

    for plugin in plugins.loaded():
        say(f"Loaded plug-in {plugin.name}: {', '.join(plugin.provides)}")
    console.print(render_plan(plan))
    for unused in plan.expansion.unused:
        keys = canonical_json(unused.model_dump(exclude_none=True))
        say(f"The exclusion {keys} leaves nothing out: no cell agrees with all of its keys.")
    can_tune = False
    if spec.tune is not None:
        from lcma.harness.tuning.target import describe_search, make_target

        try:
            search = f"{describe_search(make_target(spec, typed[0]))}."
            can_tune = True
        except UserError as error:
            search = f"nothing: {error}"
        say(f"This plan is only of its matrix. `lcma tune` searches {search}")
    skipping = ["--skip-invalid"] if plan.invalid else []
    if plan.lost:
        again = format_command("launch", *typed, "--retry", *skipping, db=target, data=data)
        lost, them = format_count(plan.lost, "cell"), "it" if plan.lost == 1 else "them"
        print_commands(console, [again], f"{lost} did not end well. Run {them} again with")
    print_unmeasured(console, plan, store, target, data=data)
    say(describe_trainings(plan))
    if not (plan.trainings_left or plan.pretrainings_left or can_tune):
        console.print("[green]Nothing is left to do.[/]")
        _print_labelled(console, "Next", format_command("board", db=db), style="bold")
        return
    for line in describe_limits(Limits(None, spec.resources.max_device_hours), predicted):
        say(line)
    _print_labelled(console, "Time", describe_time(predicted))
    if power := describe_power(plan.power):
        _print_labelled(console, "Power", power)
    command = ["tune", *typed] if can_tune else ["launch", *typed, *skipping]
    following = _commands_to_prepare(plan, place, data)
    if target != db and following:
        following.append(format_command("plan", *typed, db=db, data=data))
    else:
        if target != db:
            following.append(format_command("db", "merge", name_database(db), db=target))
        following.append(format_command(*command, db=target, data=data))
    _print_labelled(console, "Next", " && ".join(following), style="bold")


def _print_labelled(console: Console, label: str, text: str, style: str = "") -> None:
    console.print(Text(f"{label:<8}").append(text, style=style), soft_wrap=True)


def print_unmeasured(
    console: Console,
    plan: Plan,
    store: Store | None,
    db: str | None,
    *,
    runs: str | None = None,
    data: Path | None = None,
) -> None:
    """Print how many earlier trials lack a measure of a plug-in, and the commands that take it."""
    measures, trials = find_unmeasured(plan, store)
    if not trials:
        return
    names = ", ".join(measure.name for measure in measures)
    kept = [trial for trial in trials if trial.weights]
    lost = [short_id(trial.subject) for trial in trials if not trial.weights]
    lack = "lacks" if len(trials) == 1 else "lack"
    line = f"{format_count(len(trials), 'trial')} from before {lack} {names}."
    if kept:
        commands = [
            format_measure_command(m.name, kept, db=db, runs=runs, data=data) for m in measures
        ]
        print_commands(console, commands, f"{line} Take it of the weights that were kept with")
        line = f"{format_count(len(lost), 'trial')} of them left no weights."
    if lost:
        again = format_command("rerun", *lost, db=db)
        print_commands(console, [again], f"{line} A launch after this trains anew")


def _commands_to_prepare(plan: Plan, where: Place, data_root: Path | None) -> list[str]:
    """Return the commands that prepare the data sets that the plan lacks."""
    needing_path = {data_set.name for data_set in data.list_sets(where.data) if data_set.needs_path}
    return [
        format_command(
            *("data", "prepare", name, *(["--from", "PATH"] if name in needing_path else [])),
            data=data_root,
        )
        for name in plan.unprepared
    ]
