"""What the seeds of a plan could show: tables for a terminal, and JSON values."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Group as Lines
from rich.console import RenderableType
from rich.text import Text

from lcma.harness.report.tables import Table, TableColumn, render_table
from lcma.harness.results.board import ENOUGH, Group
from lcma.harness.results.power import (
    DIFFERENCES,
    PlannedComparison,
    Power,
    SeedsNeeded,
    Spread,
)
from lcma.harness.results.statistics import MOST_SEEDS, POWER
from lcma.harness.text import format_count, format_duration, format_number, printable

MOST_NAMED = 3
"""Flows and data sets without a history that are named before the rest is counted."""


def render_power(power: Power, first: str) -> RenderableType:
    """Return a table for each planned table of the board with a known spread, for a terminal.

    ``first`` is the launch that gives a first spread, for the line about those without.
    """
    known: dict[tuple[Group, ...], list[PlannedComparison]] = {}
    for one in power.comparisons:
        if one.spread is not None:
            known.setdefault(one.groups, []).append(one)
    parts: list[RenderableType] = []
    for groups, of in known.items():
        parts += [render_table(_table(groups, of)), Text()]
    if known:
        parts += [Text(line, style="dim") for line in _explain(power)]
    parts += [Text(line) for line in _list_unknown(power, first)]
    return Lines(*parts)


def power_as_dict(power: Power) -> dict[str, Any]:
    """Return all numbers in full, ready for JSON; a missing one is None."""
    return {
        "power": POWER,
        "unit": "bits/dim",
        "enough_seeds": ENOUGH,
        "comparisons": [
            {
                "comparison": one.name,
                "claims": list(one.claims),
                "tables": [
                    {name: getattr(group, name) for name in ("flow", "profile", "splits", "steps")}
                    | {"dataset": group.set_name, "settings": group.settings}
                    | {"recipe_id": group.recipe_id, "data_digest": group.data_digest or None}
                    for group in one.groups
                ],
                "budget": one.budget,
                "n": one.n,
                "family_size": one.family_size,
                "level": one.level,
                "spread": None if one.spread is None else asdict(one.spread),
                "detectable": one.detectable,
                "needed": [asdict(need) for need in one.needed],
            }
            for one in power.comparisons
        ],
    }


def _table(groups: Sequence[Group], comparisons: Sequence[PlannedComparison]) -> Table:
    return Table(
        columns=(
            TableColumn("comparison"),
            TableColumn("n", kind="number"),
            TableColumn("shows", right=True),
            TableColumn("spread", kind="number", places=4),
            TableColumn("at most", kind="number", places=4),
            TableColumn("from", right=True),
            *(TableColumn(f"for {one}", right=True) for one in DIFFERENCES),
        ),
        rows=tuple(
            (
                one.name,
                one.n,
                "nothing" if one.detectable is None else format_number(one.detectable),
                spread.deviation,
                spread.upper,
                _describe_origin(spread),
                *map(_describe_seeds, one.needed),
            )
            for one in comparisons
            if (spread := one.spread) is not None
        ),
        title=f"What its seeds could show: {_describe(groups)}",
    )


def _describe(groups: Sequence[Group]) -> str:
    def several(name: str) -> str:
        return ", ".join(dict.fromkeys(str(getattr(one, name)) for one in groups))

    of_recipe = f"profile {several('profile')}, {several('steps')} steps"
    if settings := several("settings"):
        of_recipe += f", {settings}"
    return f"{several('flow')} on {several('set_name')}, {of_recipe}"


def _describe_origin(spread: Spread) -> str:
    seeds = format_count(spread.seeds, "seed")
    return seeds if spread.rows is None else f"{spread.rows} rows, {seeds}"


def _describe_seeds(need: SeedsNeeded) -> str:
    if need.seeds is None:
        return f"> {MOST_SEEDS:,}"
    hours = " / ".join(format_duration(3600 * one) for one in need.hours.values())
    return f"{need.seeds:,} ({hours})" if hours else f"{need.seeds:,}"


def _explain(power: Power) -> Iterator[str]:
    known = [one for one in power.comparisons if one.spread is not None]
    sources = dict.fromkeys(one.spread.source for one in known if one.spread is not None)
    yield (
        f"shows: the smallest true difference in bits/dim that `lcma verdicts` supports with a "
        f"probability of {POWER:.0%} (nothing with fewer than {ENOUGH} seeds). spread: the "
        f"standard deviation of the difference over seeds, in results of the same recipe (its "
        f"length included) on the same images in {', '.join(sources)}; at most: its upper "
        f"{POWER:.0%} limit."
    )
    if any(one.spread is not None and one.spread.rows is not None for one in known):
        yield (
            "from rows: the compared rows have fewer than "
            f"{ENOUGH} seeds in common, so the spread is that of all pairs of rows of this recipe."
        )
    devices = dict.fromkeys(device for one in known for need in one.needed for device in need.hours)
    hours = ""
    if devices:
        named = " / ".join(devices)
        hours = f", and the device hours of this table's trainings from the start ({named})"
    yield f"for: how many seeds a true difference of so many bits/dim needs{hours}."
    if any(one.family_size > 1 for one in known):
        yield (
            "Comparisons that share Holm's correction count with its first step; `lcma verdicts` "
            "prints what a comparison by itself could show, which is less."
        )


def _list_unknown(power: Power, first: str) -> Iterator[str]:
    """Yield a line about the flows and data sets of which no spread is known."""
    unknown = [one for one in power.comparisons if one.spread is None]
    known = {group.recipe_id for one in power.comparisons if one.spread for group in one.groups}
    groups = [g for one in unknown for g in one.groups if g.recipe_id not in known]
    names = list(dict.fromkeys(printable(f"{one.flow} on {one.set_name}") for one in groups))
    if not names:
        return
    named = ", ".join(names[:MOST_NAMED])
    if len(names) > MOST_NAMED:
        named += f" and {len(names) - MOST_NAMED} more"
    lack = "no results of the same recipe on the same images at two seeds"
    why = f"How many seeds are enough for {named} is not known: {lack}."
    yield f"{why} `{first}` gives a first spread."
