"""A plan of a sweep, for a terminal and as JSON."""

from dataclasses import asdict
from typing import Any

from rich.console import Group as Lines
from rich.console import RenderableType
from rich.text import Text

from lcma.harness.launch.plan import Plan, PlannedCell
from lcma.harness.launch.prediction import Prediction
from lcma.harness.show.tables import Table, TableColumn, render_table
from lcma.harness.text import format_count
from lcma.sweeps import catalog, plugins, published

STYLES = {"new": "bold", "there": "green", "running": "cyan", "same": "dim"}
"""The styles of statuses; all others are red."""

COLUMNS = (
    TableColumn("factorization"),
    TableColumn("budget", kind="number"),
    TableColumn("seeds", right=True),
    TableColumn("status"),
    TableColumn("published"),
)


def render_plan(plan: Plan) -> RenderableType:
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
        title += f", {overlay}" if overlay else ""
        reasons = {(planned.status, planned.note) for planned in members}
        if len(reasons) == 1 and members[0].status == "invalid":
            names = ", ".join(dict.fromkeys(planned.cell.factorization for planned in members))
            parts += [Text(title, style="bold"), Text(names)]
            parts.append(Text.assemble(("invalid", "red"), f": {members[0].note}"))
        else:
            parts.append(render_table(_make_table(members, title), compact=True))
        parts.append(Text())
    return Lines(*parts)


def _make_table(members: list[PlannedCell], title: str) -> Table:
    groups: dict[tuple[Any, ...], list[PlannedCell]] = {}
    for planned in members:
        key = (planned.cell.factorization, planned.cell.budget, planned.status, planned.note)
        groups.setdefault(key, []).append(planned)
    rows: list[tuple[Any, ...]] = []
    styles: dict[tuple[int, int], str] = {}
    for (factorization, budget, status, note), alike in groups.items():
        trial = alike[0].cell.trial
        canonical = trial.factorization if trial else factorization
        name = factorization if canonical == factorization else f"{factorization} ({canonical})"
        # The name of a cell that equals another says which.
        why = f": {note}" if note and status != "same" else ""
        numbers: dict[float, str] = {}
        for number in _find_published(alike[0]):  # tables repeat one another's numbers
            numbers.setdefault(number.bits_per_dim, number.where)
        seeds = _join_seeds([planned.cell.seed for planned in alike])
        styles[len(rows), 3] = STYLES.get(status, "red")
        printed = ", ".join(f"{bits:.2f} ({where})" for bits, where in numbers.items())
        rows.append((name, budget, seeds, f"{status}{why}", printed))
    columns = COLUMNS if any(row[-1] for row in rows) else COLUMNS[:-1]
    return Table(columns, tuple(row[: len(columns)] for row in rows), title, styles=styles)


def _join_seeds(seeds: list[int]) -> str:
    """Return `0-5` for six in a row, `0, 2` otherwise."""
    first, last = min(seeds), max(seeds)
    if len(seeds) > 2 and seeds == list(range(first, last + 1)):
        return f"{first}-{last}"
    return ", ".join(map(str, seeds))


def _find_published(planned: PlannedCell) -> list[published.Number]:
    """Return the numbers of the paper's tables for a cell."""
    cell = planned.cell
    names = {cell.factorization}
    if cell.trial is not None:
        names |= published.list_names(
            cell.flow, cell.trial.factorization, cell.trial.recipe.model.splits
        )
    return published.find_numbers(cell.flow, cell.dataset, names)


def describe_trainings(plan: Plan) -> str:
    """Return a line with the trainings by status and the pretrainings that they share."""
    counts = {k: n for k, n in plan.count().items() if k not in ("same", "invalid")}
    total = sum(counts.values())
    statuses = ", ".join(f"{n:,} {status}" for status, n in counts.items())
    if len(counts) == 1 and total > 1:
        statuses = f"all {next(iter(counts))}"
    line = f"{format_count(total, 'training')} ({statuses})"
    shared = [planned.trials for planned in plan.pretrainings]
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
                "published": [asdict(number) for number in _find_published(c)],
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
        "power": [asdict(power) for power in plan.power],
    }
