"""Verdicts for a terminal, as JSON and as tables: counts by claim, and the numbers of each."""

import json
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import Any

from rich.console import Group as Lines
from rich.console import RenderableType
from rich.text import Text

from lcma.harness.results.board import Group
from lcma.harness.results.claims import (
    CLAIMS,
    LOOKS,
    SCALE,
    format_text,
    list_budgets,
    name_rule,
)
from lcma.harness.results.verdicts import DECISIONS, LOOK_LEVEL, MAX_HOURS, Verdict, Verdicts
from lcma.harness.show.board import (
    describe_lost,
    fails_controls,
    format_pair,
    has_few_images,
    name_group,
    name_setting,
)
from lcma.harness.show.tables import Table, TableColumn, flag_as_stored, render_table, tabulate
from lcma.harness.text import format_count, format_number, printable, short_id
from lcma.sweeps.measures import BITS_PER_DIM, REQUESTED_MEASURES, SHIPPED

STYLES = {
    "supported": "bold green",
    "equal": "bold green",
    "opposite": "bold red",
    "not equal": "bold red",
    "smaller than printed": "bold magenta",
    "undecided": "bold yellow",
}

RULE = (
    "Effect: mean of the difference that the claim says to be below zero, or its margin, over the "
    "first 6, 12, 24 or 48 seeds, with an interval of 98.5 %: four looks together have 95 %. "
    "Supported: all of it is below, and p, that any look so far shows as little without an effect, "
    "is at most 5 % after Holm's correction. Opposite: all of it is above. Smaller than printed: "
    "it contains zero, and not the gain that the paper prints. docs/verdicts.md says the rest."
)


def render_verdicts(
    results: Verdicts,
    claim: str | None = None,
    *,
    options: Sequence[str] = (),
    after: str | None = None,
) -> RenderableType:
    """Return counts by claim for a terminal, or all verdicts on one claim, each with a sentence.

    Args:
        results: The verdicts.
        claim: The key of one claim.
        options: What to add to each launch that would decide a claim, such as the database.
        after: A command that comes before any launch, if there is one.
    """
    if claim is None:
        return Lines(*map(Text, _count_by_claim(results)))
    chosen = [one for one in (*results.verdicts, *results.apart) if one.claim.key == claim]
    parts: list[RenderableType] = [Text(claim_text(results, claim), style="bold"), Text()]
    if not chosen:
        parts.append(Text(f"No results that bear on it yet: lcma launch {CLAIMS[claim].launch}"))
        return Lines(*parts)
    styles = {(i, 0): STYLES[one.decision] for i, one in enumerate(chosen)}
    table = tabulate(chosen, *COLUMNS[1:-1], styles=styles)
    parts += [render_table(table, compact=True), Text()]
    commands = [next_command(one, options) for one in chosen]
    # In one line however narrow the terminal is, so that it can be pasted.
    pasted = partial(Text, style="dim", no_wrap=True, overflow="ignore")
    for one, command in zip(chosen, commands, strict=True):
        parts.append(Text(f"{one.decision}: ", STYLES[one.decision]) + describe_verdict(one))
        parts += [pasted(f"  {command}")] if command else []
    if after and any(commands):
        parts += [Text("Before any of these launches:"), pasted(f"  {after}")]
    return Lines(*parts, Text(), *map(Text, _list_notes(results)))


def _count_by_claim(results: Verdicts) -> Iterator[str]:
    for key in CLAIMS:
        some = [one for one in results.all if one.claim.key == key]
        counted = []
        for decision in DECISIONS:
            alike = [one for one in some if one.decision == decision]
            counted += [f"{decision} {len(alike)}{_say_few_images(alike)}"] * bool(alike)
        if some:
            yield f"{claim_text(results, key)} ({key})\n  {', '.join(counted)}"
    if results.all:
        verdicts = format_count(len(results.all), "verdict")
        exploratory = sum(not one.confirmatory for one in results.all)
        older = f"{exploratory} of {verdicts} are exploratory: rows behind them are older than the "
        yield (
            f"\n{f'{older}claim. ' if exploratory else ''}`lcma verdicts CLAIM` shows those on one "
            "claim, with what would decide them."
        )
    yield from _list_rest(results)


def _list_notes(results: Verdicts) -> list[str]:
    """Return how to read a table of verdicts."""
    if not results.all:
        return []
    kind = results.kind
    apart = (
        "models that do not clear the bars of their data set, or of which no bars are known. These "
        "are no verdicts on the published numbers."
    )
    if kind.name != BITS_PER_DIM:
        apart = (
            f"by {printable(kind.name)}, of which {kind.direction} is better: bars and published "
            "numbers are of bits/dim, so these are no verdicts on them."
        )
    return [RULE, "~: exploratory.", *([f"†: {apart}"] if results.apart else [])]


def _list_rest(results: Verdicts) -> Iterator[str]:
    """Yield what no verdict says."""
    if not results.all:
        yield "No results that bear on a claim yet."
    yield from describe_lost(results.board)
    if results.unmeasured:
        yield f"Without any results here: {', '.join(results.unmeasured)}."


def _list_groups(one: Verdict) -> dict[str, Group]:
    """Return the groups that a verdict is of, by their keys."""
    return {cells.group.key: cells.group for cells in one.members}


def _say_few_images(verdicts: Sequence[Verdict]) -> str:
    groups = [group for one in verdicts for group in _list_groups(one).values()]
    few = [group.images or 0 for group in groups if has_few_images(group)]
    return f" ({min(few)} test images)" if few and len(few) == len(groups) else ""


def verdicts_as_dict(results: Verdicts) -> dict[str, Any]:
    """Return all numbers in full, ready for JSON; a missing one is None."""
    return {
        "measure": results.kind.name,
        "unit": results.kind.unit,
        "direction": results.kind.direction,
        "level": LOOK_LEVEL,
        "verdicts": [_as_dict(one) for one in results.verdicts],
        "apart": [_as_dict(one) for one in results.apart],
        "unmeasured": list(results.unmeasured),
        "diverged": results.board.diverged,
        "failed": results.board.failed,
    }


def _as_dict(one: Verdict) -> dict[str, Any]:
    return {column.name: column.read(one) for column in VALUES} | {
        "sentence": describe_verdict(one),
        "part": None if one.part is None else one.part.name,
        "worst": _list_worst(one),
        "members": [cells.facts for cells in one.members],
        "would_decide": None if one.next is None else asdict(one.next),
        "effects": [
            {"name": of.name, "first": of.first, "by_seed": of.by_seed} for of in one.comparisons
        ],
    }


def _name_models(one: Verdict) -> str:
    cells = one.cells
    name = ", ".join(f"{name_setting(group)} {group.steps}" for group in _list_groups(one).values())
    return f"{name} @{cells.budget}" if len(list_budgets(cells.group)) > 1 else name


def _fails_controls(one: Verdict) -> bool:
    return any(map(fails_controls, _list_groups(one).values()))


def _round_p(p: float) -> str:
    return "<0.001" if p < 0.0005 else format_number(p, 3)


def _mark_models(one: Verdict) -> str:
    marks = ("!", _fails_controls(one)), ("~", not one.confirmatory), ("†", not one.cleared)
    return " ".join((_name_models(one), *(mark for mark, there in marks if there)))


def describe_reach(one: Verdict) -> str:
    """Return what would decide an undecided claim: a look, its trainings and hours, or nothing."""
    found = one.next
    if found is None:
        return (
            f"out of reach: more than {LOOKS[-1]} seeds at this spread, or than "
            f"{MAX_HOURS:.0f} core-hours"
        )
    if not found.trainings:
        return f"{found.seeds} seeds, which are there but lack the measure: `lcma rerun` takes it"
    # What Holm's correction asks for beyond the interval is not reckoned.
    excludes = one.comparison.upper_end < 0 or one.comparison.is_above(LOOK_LEVEL)
    text = f"{'at least ' * excludes}{found.seeds} seeds: "
    text += f"{format_count(found.trainings, 'training')} more"
    text += "" if found.hours is None else f", about {found.hours:.1f} core-hours"
    asked = one.cells.group.measure in REQUESTED_MEASURES
    return f"{text}, then `lcma measure`" if asked else text


def describe_verdict(one: Verdict) -> str:
    """Return of which models a verdict is, by which numbers, and why it is decided so."""
    test, limit, group = one.test, one.comparison.limit, one.cells.group
    # Four decimals, or fewer where the spread hides them.
    spread = test.half_width or 0.0
    places = 4 if spread < 1 else 2 if spread < 10 else 1
    text = f"{_describe_models(one)}. {one.comparison.name}: "
    text += format_number(test.mean, places, sign=True)
    if test.low is not None and test.high is not None:
        ends = (format_number(end, places, sign=True) for end in (test.low, test.high))
        text += f" [{', '.join(ends)}]"
    text += f" {one.unit}, n = {one.n}"
    if one.comparison.first:
        text += f" from seed {one.comparison.first} on"
    if one.comparison.sign_flip_p is not None:
        text += f", sign-flip p {_round_p(one.comparison.sign_flip_p)}"
    if len(one.comparisons) > 1 and not one.claim.equal:
        text += f" (the worst of {len(one.comparisons)})"
    text += f"; against {'zero' if limit == 0 else f'{limit:g}'}: {one.why}."
    text += f" {'Confirmatory' if one.confirmatory else 'Exploratory'}."
    if worst := _list_worst(one):
        text += f" Diverged, so the worst of its row: {', '.join(worst)}."
    if one.decision == "undecided":
        text += f" What would decide it: {describe_reach(one)}."
    if _fails_controls(one):
        text += f" {printable(group.measure)} fails a control there."
    if one.printed is not None:
        text += f" The paper prints {one.printed:+.2f}"
        other = "models" if group.whole else "images"
        text += "." if one.on_published else f", of other {other}: no verdict on that number."
    return text


def _list_worst(one: Verdict) -> list[str]:
    """Return the trials that diverged, and count as the worst of their row."""
    rows = [row for _, row in one.rows]
    return [f"{printable(row.label)} seed {seed}" for row in rows for seed in row.diverged_seeds]


def _describe_models(one: Verdict) -> str:
    found = []
    for key, group in _list_groups(one).items():
        text = f"{name_group(group)}, {group.size}x{group.size} pixels"
        if group.images is not None and group.measure == BITS_PER_DIM:
            text += f", {format_count(group.images, 'test image')}"
        if budgets := _list_budgets(one, key):
            text += f", budget {' and '.join(budgets)}"
        if group.protocol != "plain":
            text += f", protocol {printable(group.protocol)}"
        found.append(f"{text} (recipe {short_id(group.recipe_id)})")
    return "; ".join(found)


def _list_budgets(one: Verdict, key: str) -> list[str]:
    """Return the budgets of a group that a verdict is of."""
    cells = [some for some in one.members if some.group.key == key]
    return [str(some.budget) for some in cells if some.budget is not None]


def next_command(one: Verdict, options: Sequence[str] = ()) -> str | None:
    """Return the launches that would decide a claim, None for a decided one or out of reach.

    They ask for the models that the claim is about and no others, so that the seeds which are there
    count. ``options`` are added to each.
    """
    measure = one.cells.group.measure
    if one.next is None or not one.next.trainings or measure not in {kind.name for kind in SHIPPED}:
        return None
    first, seeds = one.next.first, one.next.seeds
    rules = dict.fromkeys(name_rule(row) for _, row in one.rows)
    commands = []
    for key, group in _list_groups(one).items():
        if group.overrides is None:
            return f"{seeds} seeds of a recipe that no profile here has"
        words = ["launch", one.claim.launch.split()[0]]
        words += ["--seeds", f"{first}-{first + seeds - 1}" if first else str(seeds)]
        words += ["--flow", group.flow, "--factorization", ",".join(rules)]
        words += ["--profile", group.profile.split(", ")[0], "--dataset", group.set_name]
        if budgets := _list_budgets(one, key):
            words += ["--budget", ",".join(budgets)]
        for name, value in group.overrides.items():
            words += ["--set", f"{name}={json.dumps(value)}"]
        commands.append(words)
    return " && ".join(shlex.join(["lcma", *map(printable, c), *options]) for c in commands)


def claim_text(results: Verdicts, key: str) -> str:
    """Return a claim in short."""
    return format_text(CLAIMS[key], results.kind.name, results.kind.direction)


# Verdicts as rows

COLUMNS = (
    TableColumn("claim", of="claim.key"),
    TableColumn("verdict", of="decision"),
    TableColumn("of", of=_mark_models),
    TableColumn("effect", "effect ± 98.5 %", right=True, of=lambda one: format_pair(one.test)),
    TableColumn("n", kind="number"),
    TableColumn(
        "p",
        right=True,
        of=lambda one: _round_p(one.holm_p),
        meaning="How likely any look so far shows as little without an effect as the least p seen "
        "of a paired t-test, after Holm's correction over the claims of its family.",
    ),
    TableColumn(
        "what would decide it",
        of=lambda one: describe_reach(one) if one.decision == "undecided" else None,
    ),
)
"""What people read of a verdict."""


def _numbers(*names: str, of: str = "") -> list[TableColumn]:
    return [TableColumn(name, kind="number", of=f"{of}{name}") for name in names]


def _find_fact(name: str, one: Verdict) -> Any:
    return one.cells.facts[name]


VALUES = (
    TableColumn("decision"),
    TableColumn("claim", of="claim.key"),
    *map(TableColumn, ("source", "text")),
    *_numbers("confirmatory", "cleared", "on_published"),
    TableColumn("unit"),
    TableColumn("comparison", of="comparison.name"),
    *_numbers("limit", of="comparison."),
    *_numbers("p", "holm_p", "family_size"),
    TableColumn("family"),
    *_numbers("printed"),
    TableColumn("why"),
    *(TableColumn(name, of=f"cells.group.{name}") for name in ("measure", "direction")),
    *(
        TableColumn(
            name,
            kind="number" if name in ("size", "splits", "steps", "budget", "whole") else "text",
            of=partial(_find_fact, name),
        )
        for name in SCALE
    ),
    *_numbers("n"),
    *_numbers("mean", "deviation", "standard_error", "low", "high", "half_width", of="test."),
    *_numbers("sign_flip_p", of="comparison."),
    TableColumn("next", of=next_command),
)
"""What programs read of a verdict: itself, its scale, and the numbers that decided."""


def summarize_verdicts(results: Verdicts) -> Table:
    """Return a row for each verdict for people."""
    notes = (*_list_notes(results), *_list_rest(results))
    return tabulate(results.all, *COLUMNS, title="Verdicts", notes=notes)


def verdict_table(results: Verdicts) -> Table:
    """Return a row for each verdict, including those apart."""
    found = tabulate(results.all, *VALUES, title="Verdicts", missing="")
    return replace(found, rows=tuple(tuple(map(flag_as_stored, row)) for row in found.rows))
