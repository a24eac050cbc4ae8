"""The plan of a sweep for a person or a program."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Group as Lines
from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from lcma.db import Store
from lcma.harness import data
from lcma.harness.launch.plan import (
    Plan,
    PlannedCell,
    check_compilable,
    count_slots,
    find_unmeasured,
    list_histories,
    make_plan,
    open_existing,
    preparable_sets,
    read_spec,
    require_valid,
)
from lcma.harness.launch.policy import Limits
from lcma.harness.launch.prediction import Prediction, predict_hours
from lcma.harness.launch.rehearsal import rehearse_plugins
from lcma.harness.place import Place, find_place, is_published_database, name_database
from lcma.harness.results.power import compute_power, describe_power
from lcma.harness.terminal import Console, noting_slowness, print_error
from lcma.harness.text import format_count, short_id
from lcma.harness.watch.commands import format_command, format_measure_command, print_commands
from lcma.harness.watch.progress import describe_limits, describe_time
from lcma.sweeps import catalog, plugins, published
from lcma.sweeps.errors import UserError
from lcma.sweeps.expansion import count_cells
from lcma.sweeps.identity import canonical_json
from lcma.sweeps.options import Overrides, format_options

_STYLE = {"new": "bold", "there": "green", "running": "cyan", "same": "dim", "invalid": "red"}


def run_plan(
    spec: str, overrides: Overrides, *, db: str | None, data: Path | None, as_json: bool
) -> None:
    """Plan a sweep against the database, which is not made if it is not there, and print the plan
    for a person or a program."""
    place = find_place(db, None, data)
    read, store = read_spec(spec, place, overrides), open_existing(place)
    with noting_slowness(f"planning {format_count(count_cells(read), 'cell')}"):
        plan = make_plan(read, place, store)
    check_compilable(plan.expansion, read.resources.model_copy(update={"gpus": read.gpus}))
    for line in rehearse_plugins(plan):
        print_error(line)
    require_valid(plan, skip_invalid=True)  # where no cell can be run there is nothing to show
    histories = list_histories(store)
    predicted = predict_hours(plan, histories, read.gpus)
    plan = replace(plan, power=compute_power(plan.expansion.cells, histories))
    if as_json:
        print(json.dumps(plan_as_dict(plan, predicted), indent=2))
    else:
        _print_plan(
            plan, predicted, store, place, [spec, *format_options(Overrides, overrides)], db, data
        )
    require_valid(plan, skip_invalid=False)  # as a launch


def _print_plan(
    plan: Plan,
    predicted: Prediction,
    store: Store | None,
    place: Place,
    typed: Sequence[str],
    db: str | None,
    data: Path | None,
) -> None:
    console, spec, own = Console(), plan.spec, _name_own(db)

    def say(line: str) -> None:
        console.print(escape(line), highlight=False, soft_wrap=True)

    for plugin in plugins.loaded():
        say(f"Loaded plug-in {plugin.name}: {', '.join(plugin.provides)}")
    console.print(_cells(plan))
    for unused in plan.expansion.unused:
        keys = canonical_json(unused.model_dump(exclude_none=True))
        say(f"The exclusion {keys} leaves nothing out: no cell agrees with all of its keys.")
    can_tune = False
    if spec.tune is not None:
        from lcma.harness.tuning.target import describe_search, make_target

        try:
            search = f"{describe_search(make_target(spec, typed[0], preparable_sets(place)))}."
            can_tune = True
        except UserError as error:
            search = f"nothing: {error}"
        say(f"This is the plan of its matrix alone. `lcma tune` searches {search}")
    if plan.lost:
        again = format_command("launch", *typed, "--retry", db=own, data=data)
        lost, them = format_count(plan.lost, "cell"), "it" if plan.lost == 1 else "them"
        print_commands(console, [again], f"{lost} did not end well. Run {them} again with")
    print_unmeasured(console, plan, store, own)
    say(_count_trainings(plan))
    if not (plan.trainings_left or plan.pretrainings_left or can_tune):
        console.print("[green]Nothing is left to do.[/]")
        _print_labelled(console, "Next", format_command("board", db=db), style="bold")
        return
    for line in describe_limits(Limits(None, spec.resources.max_device_hours), predicted):
        say(line)
    slots = None
    if not spec.gpus and plan.expansion.trials:
        slots = count_slots(spec.resources, plan.threads)
    _print_labelled(console, "Time", describe_time(predicted, slots))
    if said := describe_power(plan.power):
        _print_labelled(console, "Power", said)
    command = ["tune" if can_tune else "launch", *typed]
    command += ["--skip-invalid"] if plan.invalid and not can_tune else []
    following = _commands_to_prepare(plan, place, data)
    if own != db and following:
        following.append(format_command("plan", *typed, db=db, data=data))
    else:
        if own != db:
            following.append(format_command("db", "merge", name_database(db), db=own))
        following.append(format_command(*command, db=own, data=data))
    _print_labelled(console, "Next", " && ".join(following), style="bold")


def _print_labelled(console: Console, label: str, text: str, style: str = "") -> None:
    console.print(Text(f"{label:<8}").append(text, style=style), soft_wrap=True)


def _count_trainings(plan: Plan) -> str:
    """Return a line: the trainings by status, and the pretrainings that they share."""
    counted = {k: n for k, n in plan.count().items() if k not in ("same", "invalid")}
    total = sum(counted.values())
    said = ", ".join(f"{n:,} {status}" for status, n in counted.items())
    said = f"all {next(iter(counted))}" if len(counted) == 1 and total > 1 else said
    line = f"{format_count(total, 'training')} ({said})"
    shared = [one.trials for one in plan.pretrainings]
    if not shared:
        return line
    line += f" + {format_count(len(shared), 'pretraining')}"
    if plan.pretrainings_left < len(shared):
        line += f" ({plan.pretrainings_left:,} left)"
    alone, _ = plan.expansion.unshared
    if alone == len(shared):
        return line
    least, most = min(shared), max(shared)
    trials = format_count(most, "trial") if least == most else f"{least} to {most} trials"
    return f"{line} shared by {trials} each ({alone:,} without sharing)"


def print_unmeasured(
    console: Console, plan: Plan, store: Store | None, db: str | None, runs: str | None = None
) -> None:
    """Print how many trials that are there lack a measure of a plug-in, and what takes it."""
    lacked, trials = find_unmeasured(plan, store)
    if not trials:
        return
    names = ", ".join(one.name for one in lacked)
    kept = [one for one in trials if one.weights]
    lost = [short_id(one.subject) for one in trials if not one.weights]
    lack = "lacks" if len(trials) == 1 else "lack"
    line = f"{format_count(len(trials), 'trial')} from before {lack} {names}."
    if kept:
        takes = [format_measure_command(one.name, kept, db=db, runs=runs) for one in lacked]
        print_commands(console, takes, f"{line} Take it of the weights that were kept with")
        line = f"{format_count(len(lost), 'trial')} of them left no weights."
    if lost:
        again = format_command("rerun", *lost, db=db)
        print_commands(console, [again], f"{line} A launch after this trains anew")


def _commands_to_prepare(plan: Plan, where: Place, data_root: Path | None) -> list[str]:
    """Return the commands that prepare those of the plan's data sets that are not."""
    needing_path = {known.name for known in data.list_sets(where.data) if known.needs_path}
    return [
        format_command(
            *("data", "prepare", name, *(["--from", "PATH"] if name in needing_path else [])),
            data=data_root,
        )
        for name in plan.unprepared
    ]


def _name_own(db: str | None) -> str | None:
    """Return the database for a launch, as it is given: the same, unless it is a published one,
    which is never written."""
    if not is_published_database(name_database(db)):
        return db
    return "lcma.db" if is_published_database(name_database(None)) else None


def plan_as_dict(plan: Plan, predicted: Prediction) -> dict[str, Any]:
    """Return the plan as JSON values."""
    alone, trainings = plan.expansion.unshared
    return {
        "sweep": plan.spec.name,
        "plugins": [asdict(plugin) for plugin in plugins.loaded()],
        "cells": [
            {
                "flow": c.cell.flow,
                "dataset": c.cell.dataset,
                "factorization": c.cell.factorization,
                "canonical": c.cell.trial.factorization if c.cell.trial else None,
                "budget": c.cell.budget,
                "seed": c.cell.seed,
                "recipe": c.cell.overlay,
                "published": [asdict(number) for number in _published(c)],
                "status": c.status,
                "note": c.note,
                "trial_id": c.trial_id,
            }
            for c in plan.cells
        ],
        "pretrainings": [
            {
                "id": p.pretraining.id,
                "flow": p.pretraining.recipe.model.flow,
                "dataset": p.pretraining.dataset,
                "seed": p.pretraining.seed,
                "budgets": p.budgets,
                "there": p.there,
                "trials": p.trials,
            }
            for p in plan.pretrainings
        ],
        "shared": {"pretrainings": len(plan.pretrainings), "trainings": len(plan.expansion.trials)},
        "unshared": {"pretrainings": alone, "trainings": trainings},
        "left": {"pretrainings": plan.pretrainings_left, "trainings": plan.trainings_left},
        "predicted": {
            "unit": "device hours",
            "hours": None if predicted.hours is None else asdict(predicted.hours),
            "parts": [asdict(part) for part in predicted.parts],
        },
        "power": [asdict(one) for one in plan.power],
    }


def _cells(plan: Plan) -> RenderableType:
    """Return a table for each flow, data set and variation of the recipe; a row joins the seeds."""
    spec = plan.spec
    parts: list[RenderableType] = [
        Text(f"Sweep {spec.name}, profile {spec.profile}", style="bold"),
        Text(),
    ]
    sections: dict[tuple[str, str, str], list[PlannedCell]] = {}
    for planned in plan.cells:
        cell = planned.cell
        sections.setdefault((cell.flow, cell.dataset, cell.overlay), []).append(planned)
    for (flow, dataset, overlay), members in sections.items():
        unpublished = spec.profile == "paper" and not catalog.is_published(flow, dataset, "paper")
        title = f"{flow} on {dataset}" + (" (recipe: ours)" if unpublished else "")
        parts.append(Text(title + (f", {overlay}" if overlay else "")))
        reasons = {(m.status, m.note) for m in members}
        if len(reasons) == 1 and members[0].status == "invalid":
            names = ", ".join(dict.fromkeys(m.cell.factorization for m in members))
            parts.append(Text(f"  {names}"))
            parts.append(Text.assemble("  ", ("invalid", "red"), f": {members[0].note}"))
        else:
            parts.append(_section(members))
        parts.append(Text())
    return Lines(*parts)


def _section(members: list[PlannedCell]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 2, 0, 0))
    paper = any(_published(planned) for planned in members)
    table.add_column("  factorization", no_wrap=True)
    for name in ("budget", "seeds"):
        table.add_column(name, justify="right")
    table.add_column("status", overflow="fold")
    if paper:
        table.add_column("published", no_wrap=True)
    groups: dict[tuple[Any, ...], list[PlannedCell]] = {}
    for planned in members:
        key = (planned.cell.factorization, planned.cell.budget, planned.status, planned.note)
        groups.setdefault(key, []).append(planned)
    for (factorization, budget, status, note), alike in groups.items():
        trial = alike[0].cell.trial
        canonical = trial.factorization if trial else factorization
        shown = factorization if canonical == factorization else f"{factorization} ({canonical})"
        why = f": {escape(note)}" if note and status != "same" else ""  # beside it is its name
        text = f"[{_STYLE.get(status, 'red')}]{status}[/]{why}"
        row = [f"  {shown}", "-" if budget is None else str(budget)]
        row += [_span([m.cell.seed for m in alike]), text]
        row += [_links(_published(alike[0]))] if paper else []
        table.add_row(*row)
    return table


def _span(seeds: list[int]) -> str:
    """Return `0-5` for six in a row, `0, 2` otherwise."""
    first, last = min(seeds), max(seeds)
    if len(seeds) > 2 and seeds == list(range(first, last + 1)):
        return f"{first}-{last}"
    return ", ".join(map(str, seeds))


def _published(planned: PlannedCell) -> list[published.Number]:
    """Return the numbers of the paper's tables that the cell stands beside."""
    cell = planned.cell
    names = {cell.factorization}
    if cell.trial is not None:
        names |= published.names(
            cell.flow, cell.trial.factorization, cell.trial.recipe.model.splits
        )
    return published.find(cell.flow, cell.dataset, names)


def _links(numbers: Iterable[published.Number]) -> str:
    return "\n".join(f"{n.bits_per_dim:.2f} ({n.where})" for n in numbers)
