"""What the seeds of a plan could show: tables for a terminal, and JSON values."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Group as Lines
from rich.console import RenderableType
from rich.text import Text

from lcma.harness.results.board import ENOUGH, Group
from lcma.harness.results.power import (
    DIFFERENCES,
    PlannedComparison,
    Power,
    SeedsNeeded,
    Spread,
)
from lcma.harness.results.statistics import MOST_SEEDS, POWER
from lcma.harness.tables import Table, TableColumn, render_table
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
    # With a command, which is pasted: in one line however narrow the terminal is.
    parts += [Text(line, no_wrap=True, overflow="ignore") for line in _list_unknown(power, first)]
    return Lines(*parts)


def summarize_power(
    power: Power, again: Callable[[int], str], here: str | None, slots: int = 1
) -> str | None:
    """Return a sentence: how many seeds would decide the plan's first comparison, and how long they
    take.

    ``again`` gives the launch of so many seeds. ``here`` is the device that runs them, in so many
    ``slots``; where it is None, as for a cluster's, the fastest with a history is named. None where
    there is no comparison.
    """
    if not power.comparisons:
        return None
    one = next((c for c in power.comparisons if c.spread is not None), power.comparisons[0])
    if one.spread is None:
        return f"One seed says nothing of the spread: `{again(3)}` gives a first one."
    need = next((n for n in reversed(one.needed) if n.seeds is not None and n.seeds > one.n), None)
    nothing = "decides nothing" if one.n == 1 else "decide nothing"
    if need is None or need.seeds is None:
        seeds = f"{one.name}: {format_count(one.n, 'seed')}"
        if one.detectable is not None:
            return f"{seeds} show differences from {one.detectable:.2g} on."
        return (
            f"{seeds} {nothing}; the difference spreads by {one.spread.deviation:.3g} over seeds, "
            f"too much to show {max(n.difference for n in one.needed)} bits/dim by any number of "
            "seeds that can be run."
        )
    device = here or min(need.hours, key=lambda name: need.hours[name], default="")
    time = ""
    if device in need.hours:
        seconds = 3600 * need.hours[device] * (need.seeds - one.n) / need.seeds / slots
        time = f", in about {format_duration(seconds)} {'here' if here else f'on {device}'}"
    decide = nothing if one.detectable is None else f"show {one.detectable:.3f} or more"
    enough = f"{need.seeds}"
    if need.seeds_at_upper != need.seeds:
        most = "many more" if need.seeds_at_upper is None else f"{need.seeds_at_upper}"
        enough += f" to {most}, as far as the spread is known,"
    return (
        f"{one.name}: {format_count(one.n, 'seed')} {decide}; for a difference of "
        f"{need.difference} bits/dim {enough} would do (80 % power)"
        f"{time}: `{again(need.seeds)}`"
    )


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
            TableColumn("spread", kind="number", places=3),
            TableColumn("most", kind="number", places=3),
            TableColumn("seeds", right=True),
            *(TableColumn(f"{one}", right=True) for one in DIFFERENCES),
        ),
        rows=tuple(
            (
                one.name,
                one.n,
                "nothing" if one.detectable is None else format_number(one.detectable, 3),
                spread.deviation,
                spread.upper,
                _describe_origin(spread),
                *map(_describe_seeds, one.needed),
            )
            for one in comparisons
            if (spread := one.spread) is not None
        ),
        title=f"What its seeds could show: {_describe(groups)}",
        notes=tuple(_describe_hours(comparisons)),
    )


def _describe(groups: Sequence[Group]) -> str:
    def several(name: str) -> str:
        return ", ".join(dict.fromkeys(str(getattr(one, name)) for one in groups))

    of_recipe = f"profile {several('profile')}, {several('steps')} steps"
    if settings := several("settings"):
        of_recipe += f", {settings}"
    return f"{several('flow')} on {several('set_name')}, {of_recipe}"


def _describe_origin(spread: Spread) -> str:
    return f"{spread.seeds}" if spread.rows is None else f"{spread.rows} x {spread.seeds}"


def _describe_seeds(need: SeedsNeeded) -> str:
    return f"> {MOST_SEEDS:,}" if need.seeds is None else f"{need.seeds:,}"


def _describe_hours(comparisons: Sequence[PlannedComparison]) -> Iterator[str]:
    """Yield a line for each device: what the seeds take that show all of a table's differences."""
    by_device: dict[str, list[str]] = {}
    for needs in zip(*(one.needed for one in comparisons), strict=True):
        if all(need.seeds is not None for need in needs):
            most = max(needs, key=lambda need: need.seeds or 0)
            for device, hours in most.hours.items():
                by_device.setdefault(device, []).append(
                    f"{most.seeds:,} seeds for all at {most.difference} "
                    f"{format_duration(3600 * hours)}"
                )
    for device, parts in by_device.items():
        yield f"Device hours of these trainings from the start on {device}: {', '.join(parts)}."


def _explain(power: Power) -> Iterator[str]:
    known = [one for one in power.comparisons if one.spread is not None]
    sources = dict.fromkeys(one.spread.source for one in known if one.spread is not None)
    yield (
        f"shows: the smallest true difference in bits/dim that `lcma verdicts` supports with a "
        f"probability of {POWER:.0%} (nothing with fewer than {ENOUGH} seeds). spread: the "
        f"standard deviation of the difference over seeds, in results of the same recipe (its "
        f"length included) on the same images in {', '.join(sources)}; most: its upper "
        f"{POWER:.0%} limit."
    )
    if any(one.spread is not None and one.spread.rows is not None for one in known):
        yield (
            f"seeds, R x S: the compared rows have fewer than {ENOUGH} seeds in common, so the "
            "spread is that of all pairs of R rows of this recipe with S seeds."
        )
    named = ", ".join(map(str, DIFFERENCES))
    yield f"{named}: how many seeds a true difference of so many bits/dim needs."
    if any(one.family_size > 1 for one in known):
        yield (
            "Comparisons that share Holm's correction count with its first step; `lcma verdicts` "
            "prints what a comparison by itself could show, which is less."
        )


def _list_unknown(power: Power, first: str) -> Iterator[str]:
    """Yield a line about the flows and data sets of which no spread is known.

    Of images that are not prepared nobody can know that.
    """
    unknown = [one for one in power.comparisons if one.spread is None]
    known = {group.recipe_id for one in power.comparisons if one.spread for group in one.groups}
    prepared = [group for one in unknown for group in one.groups if group.data_digest]
    groups = [group for group in prepared if group.recipe_id not in known]
    names = list(dict.fromkeys(printable(f"{one.flow} on {one.set_name}") for one in groups))
    if not names:
        return
    named = ", ".join(names[:MOST_NAMED])
    if len(names) > MOST_NAMED:
        named += f" and {len(names) - MOST_NAMED} more"
    lack = "no two rules of the same recipe have results on the same images at two seeds"
    why = f"How many seeds are enough for {named} is not known: {lack}."
    yield f"{why} `{first}` gives a first spread."
