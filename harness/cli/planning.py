"""Reading a sweep with its overrides, and printing a plan; shared by `plan` and `launch`."""

import json
import shlex
from collections import Counter
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

import db
from harness import data
from harness.place import Place
from harness.run import plan as plans
from harness.run.plan import Plan, PlannedCell
from sweeps import spec as specs
from sweeps.errors import UserError

_STYLE = {"new": "bold", "there": "green", "running": "cyan", "same": "dim", "invalid": "red"}


def read(name: str, *, dataset: str | None, profile: str | None, seeds: str | None) -> specs.Spec:
    """The spec as changed by the command line's overrides."""
    return specs.with_overrides(
        specs.load(name), dataset=dataset, profile=profile, seeds=parse_seeds(seeds)
    )


def make(
    name: str, where: Place, *, dataset: str | None, profile: str | None, seeds: str | None
) -> Plan:
    """The plan against the database, which is not made if it is not there."""
    spec = read(name, dataset=dataset, profile=profile, seeds=seeds)
    plan = plans.make(spec, where, existing(where))
    if len(plan.invalid) == len(plan.cells):
        plans.require_valid(plan, skip_invalid=True)
    return plan


def parse_seeds(text: str | None) -> tuple[int, ...] | None:
    """`6` means 0..5, `0,1,5` exactly these."""
    if text is None:
        return None
    try:
        numbers = tuple(int(part) for part in text.split(","))
    except ValueError:
        raise UserError(
            f"--seeds {text!r}: give a number such as 6 or a list such as 0,1,5"
        ) from None
    if "," in text:
        return numbers
    if not 1 <= numbers[0] <= specs.MAX_SEEDS:
        raise UserError(f"--seeds {text}: a number of seeds lies between 1 and {specs.MAX_SEEDS}")
    return tuple(range(numbers[0]))


def show(plan: Plan, again: str, where: Place, *, as_json: bool) -> None:
    """Print a plan for a person or a program; ``again`` is the launch that carries it out."""
    if as_json:
        print(json.dumps(as_dict(plan), indent=2))
        return
    console = Console()
    console.print(_cells(plan))
    if plan.pretrainings:
        console.print(_pretrainings(plan))
    alone, trainings = plan.expansion.unshared
    shared = len(plan.pretrainings)
    console.print(
        f"Shared: {shared} pretrainings and {len(plan.expansion.trials)} trainings; "
        f"each cell alone would take {alone} and {trainings}."
    )
    left, pretrain = plan.trainings_left, plan.pretrainings_left
    if plan.lost:
        console.print(
            f"{plan.lost} cells did not end well: [bold]{escape(again)} --retry[/] runs them again."
        )
    if not left and not pretrain:
        console.print("[green]Nothing is left to do.[/] Next: [bold]lcma board[/]")
        return
    console.print(f"Left to do: {pretrain} pretrainings, {left} trainings.")
    for name in _to_prepare(plan, where):
        console.print(f"First: [bold]lcma data prepare {name} --from PATH[/]")
    skip = " --skip-invalid" if plan.invalid else ""
    console.print(f"Next: [bold]{escape(again)}{skip}[/]", soft_wrap=True)


def command(
    spec: str, *, dataset: str | None, profile: str | None, seeds: str | None, local: bool = False
) -> str:
    """The launch command with the overrides that were given."""
    words = ["lcma", "launch", spec]
    for option, value in (("--dataset", dataset), ("--profile", profile), ("--seeds", seeds)):
        words += [option, value] if value is not None else []
    return shlex.join([*words, "--local"] if local else words)


def _to_prepare(plan: Plan, where: Place) -> list[str]:
    """The plan's data sets that only a person can prepare, and has not."""
    used = {trial.dataset for trial in plan.expansion.trials}
    known = [known for known in data.names() if known.name in used and known.needs_path]
    return [known.name for known in known if not (where.data / known.name).exists()]


def as_dict(plan: Plan) -> dict[str, Any]:
    """The plan as JSON-able values."""
    alone, trainings = plan.expansion.unshared
    return {
        "sweep": plan.spec.name,
        "cells": [
            {
                "flow": c.cell.flow,
                "dataset": c.cell.dataset,
                "factorization": c.cell.factorization,
                "canonical": c.cell.trial.factorization if c.cell.trial else None,
                "budget": c.cell.budget,
                "seed": c.cell.seed,
                "status": c.status,
                "note": c.note,
                "trial_id": c.cell.trial.id if c.cell.trial else None,
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
    }


def _cells(plan: Plan) -> Table:
    """One row for each group of cells that differ in the seed alone."""
    table = Table(title=f"Sweep {escape(plan.spec.name)}, profile {escape(plan.spec.profile)}")
    for name in ("flow", "data set", "factorization", "budget", "seeds", "status"):
        table.add_column(name, overflow="fold")
    groups: dict[tuple[Any, ...], list[PlannedCell]] = {}
    for planned in plan.cells:
        cell = planned.cell
        key = (
            cell.flow,
            cell.dataset,
            cell.factorization,
            cell.budget,
            planned.status,
            planned.note,
        )
        groups.setdefault(key, []).append(planned)
    for (flow, dataset, factorization, budget, status, note), members in groups.items():
        canonical = members[0].cell.trial.factorization if members[0].cell.trial else factorization
        shown = factorization if canonical == factorization else f"{factorization} ({canonical})"
        text = f"[{_STYLE.get(status, 'red')}]{status}[/]" + (f": {escape(note)}" if note else "")
        seeds = ", ".join(str(m.cell.seed) for m in members)
        table.add_row(flow, dataset, shown, "-" if budget is None else str(budget), seeds, text)
    return table


def _pretrainings(plan: Plan) -> Table:
    table = Table(title="Shared pretrainings")
    for name in ("flow", "data set", "seed", "budgets (maps there)", "serves"):
        table.add_column(name, overflow="fold")
    for p in plan.pretrainings:
        budgets = ", ".join(f"{b} (there)" if b in p.there else str(b) for b in p.budgets)
        model, seed = p.pretraining.recipe.model, str(p.pretraining.seed)
        table.add_row(model.flow, p.pretraining.dataset, seed, budgets, f"{p.trials} trials")
    return table


def summary(plan: Plan) -> str:
    """One line: how many cells have which status."""
    counted: Counter[Any] = plan.count()
    return ", ".join(f"{count} {status}" for status, count in sorted(counted.items()))


def existing(where: Place) -> db.Store | None:
    """The database if it is there; UserError if its URL names none that could be."""
    if not db.locate(where.db).exists():
        return None
    return db.connect(where.db, create=False)
