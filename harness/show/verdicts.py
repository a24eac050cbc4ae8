"""Verdicts for a terminal, as JSON and as tables: counts by claim, and all numbers."""

import json
import shlex
from collections.abc import Iterable, Iterator, Sequence
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
    SCALE_FACTS,
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
from lcma.sweeps.measures import (
    BITS_PER_DIM,
    HOLDOUT_PREFIX,
    REQUESTED_MEASURES,
    SAMPLE_MEASURES,
    SHIPPED,
)

STYLES = {
    "supported": "bold green",
    "equal": "bold green",
    "opposite": "bold red",
    "not equal": "bold red",
    "smaller than printed": "bold magenta",
    "undecided": "bold yellow",
}

RULE = (
    "Effect: mean difference over the first 6, 12, 24 or 48 seeds; the claim says that it is below "
    "zero, or below its margin. Interval: 98.5 %, so that four looks together have 95 %. p: the "
    "probability that, without an effect, any look so far shows so small a p; after Holm's "
    "correction. Supported: the whole interval is below, and p is at most 5 %. Opposite: the whole "
    "interval is above. Smaller than printed: the interval contains zero, but not the gain in the "
    "paper. docs/verdicts.md has the whole rule."
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
        options: Arguments to add to each launch that would decide a claim, such as the database.
        after: A command to run before any of these launches.
    """
    if claim is None:
        return Lines(*map(Text, _count_by_claim(results)))
    chosen = [v for v in (*results.verdicts, *results.apart) if v.claim.key == claim]
    parts: list[RenderableType] = [Text(claim_text(results, claim), style="bold"), Text()]
    if not chosen:
        parts.append(Text(f"No results for this claim yet: lcma launch {CLAIMS[claim].launch}"))
        return Lines(*parts)
    styles = {(i, 0): STYLES[verdict.decision] for i, verdict in enumerate(chosen)}
    table = tabulate(chosen, *COLUMNS[1:-1], styles=styles)
    parts += [render_table(table, compact=True), Text()]
    commands = [next_command(verdict, options) for verdict in chosen]
    # A command stays in one line however narrow the terminal is, so that it can be pasted.
    command_text = partial(Text, style="dim", no_wrap=True, overflow="ignore")
    for verdict, command in zip(chosen, commands, strict=True):
        decision = Text(f"{verdict.decision}: ", STYLES[verdict.decision])
        parts.append(decision + describe_verdict(verdict))
        parts += [command_text(f"  {command}")] if command else []
    if after and any(commands):
        parts += [Text("Before any of these launches:"), command_text(f"  {after}")]
    return Lines(*parts, Text(), *map(Text, _list_notes(results)))


def _count_by_claim(results: Verdicts) -> Iterator[str]:
    for key in CLAIMS:
        on_claim = [verdict for verdict in results.all if verdict.claim.key == key]
        counts = []
        for decision in DECISIONS:
            members = [verdict for verdict in on_claim if verdict.decision == decision]
            counts += [f"{decision} {len(members)}{_note_few_images(members)}"] * bool(members)
        if on_claim:
            yield f"{claim_text(results, key)} ({key})\n  {', '.join(counts)}"
    if results.all:
        total = format_count(len(results.all), "verdict")
        exploratory = sum(not verdict.confirmatory for verdict in results.all)
        older = f"Exploratory: {exploratory} of {total}, by rows that are older than their claim. "
        yield (
            f"\n{older if exploratory else ''}`lcma verdicts CLAIM` shows the verdicts "
            "on one claim, and what would decide open ones."
        )
    yield from _list_gaps(results)


def _list_notes(results: Verdicts) -> list[str]:
    """Return notes on how to read a table of verdicts."""
    if not results.all:
        return []
    kind = results.kind
    apart = (
        "models that do not clear the bars of their data set, or whose bars are not known. These "
        "are no verdicts on the published numbers."
    )
    if kind.name != BITS_PER_DIM:
        apart = (
            f"by {printable(kind.name)}, where {kind.direction} is better. Bars and published "
            "numbers are in bits/dim, so these are no verdicts on them."
        )
    exploratory = "~: exploratory, because rows behind the verdict are older than the claim."
    return [RULE, exploratory, *([f"†: {apart}"] if results.apart else [])]


def _list_gaps(results: Verdicts) -> Iterator[str]:
    if not results.all:
        yield "No results for any claim yet."
    yield from describe_lost(results.board)
    if results.unmeasured:
        yield f"No results here for: {', '.join(results.unmeasured)}."


def _list_groups(verdict: Verdict) -> dict[str, Group]:
    """Return the groups that a verdict is about, by key."""
    return {cells.group.key: cells.group for cells in verdict.members}


def _note_few_images(verdicts: Sequence[Verdict]) -> str:
    groups = [group for verdict in verdicts for group in _list_groups(verdict).values()]
    few = [group.images or 0 for group in groups if has_few_images(group)]
    return f" ({min(few)} test images)" if few and len(few) == len(groups) else ""


def verdicts_as_dict(results: Verdicts, claim: str | None = None) -> dict[str, Any]:
    """Return all numbers in full, of one claim or all, ready for JSON; a missing one is None."""

    def list_dicts(verdicts: Iterable[Verdict]) -> list[dict[str, Any]]:
        return [_as_dict(v) for v in verdicts if claim in (None, v.claim.key)]

    return {
        "measure": results.kind.name,
        "unit": results.kind.unit,
        "direction": results.kind.direction,
        "level": LOOK_LEVEL,
        "verdicts": list_dicts(results.verdicts),
        "apart": list_dicts(results.apart),
        "unmeasured": list(results.unmeasured),
        "diverged": results.board.diverged,
        "failed": results.board.failed,
    }


def _as_dict(verdict: Verdict) -> dict[str, Any]:
    return {column.name: column.read(verdict) for column in VALUES} | {
        "sentence": describe_verdict(verdict),
        "part": None if verdict.part is None else verdict.part.name,
        "worst": _list_worst(verdict),
        "members": [cells.facts for cells in verdict.members],
        "would_decide": None if verdict.next is None else asdict(verdict.next),
        "effects": [
            {"name": effect.name, "first": effect.first, "by_seed": effect.by_seed}
            for effect in verdict.comparisons
        ],
    }


def _name_models(verdict: Verdict) -> str:
    cells = verdict.cells
    name = ", ".join(
        f"{name_setting(group)} {group.steps}" for group in _list_groups(verdict).values()
    )
    return f"{name} @{cells.budget}" if len(list_budgets(cells.group)) > 1 else name


def _fails_controls(verdict: Verdict) -> bool:
    return any(map(fails_controls, _list_groups(verdict).values()))


def _round_p(p: float) -> str:
    return "<0.001" if p < 0.0005 else format_number(p, 3)


def _mark_models(verdict: Verdict) -> str:
    marks = (
        ("!", _fails_controls(verdict)),
        ("~", not verdict.confirmatory),
        ("†", not verdict.cleared),
    )
    return " ".join((_name_models(verdict), *(mark for mark, applies in marks if applies)))


def describe_reach(verdict: Verdict) -> str:
    """Return what would decide an undecided claim: the next look and its costs, if any could."""
    look = verdict.next
    if look is None:
        if verdict.part is not None and verdict.look >= verdict.part.seeds:
            return f"more seeds than the {verdict.part.seeds} of its plan"
        return (
            f"out of reach: more than {LOOKS[-1]} seeds at this spread, or more than "
            f"{MAX_HOURS:.0f} core-hours"
        )
    measure = verdict.cells.group.measure
    name = measure.removeprefix(HOLDOUT_PREFIX)
    if not look.trainings:
        shipped = {kind.name for kind in SHIPPED}
        remedy = f"`lcma measure {name}` takes it of kept weights"
        if name in SAMPLE_MEASURES:
            remedy += ", with --samples of this protocol"
        if name == BITS_PER_DIM:
            remedy = "`lcma measure --protocol published` takes it of kept weights"
        elif name.startswith("bound_"):
            remedy = "`lcma measure bits_per_dim --draws 10` takes it of kept weights"
        elif name in shipped and name not in SAMPLE_MEASURES:
            remedy = "`lcma rerun` trains them again"
        return f"{look.seeds} seeds, which are trained but lack the measure: {remedy}"
    # Holm's correction may ask for more seeds, which are not computed.
    excludes = verdict.comparison.upper_end < 0 or verdict.comparison.is_above(LOOK_LEVEL)
    text = f"{'at least ' * excludes}{look.seeds} seeds: "
    text += f"{format_count(look.trainings, 'training')} more"
    text += "" if look.hours is None else f", about {look.hours:.1f} core-hours"
    if any(group.overrides is None for group in _list_groups(verdict).values()):
        text += ", of a recipe that no profile here makes"
    return f"{text}, then `lcma measure {name}`" if measure in REQUESTED_MEASURES else text


def describe_verdict(verdict: Verdict) -> str:
    """Return the models of a verdict, its numbers, and why it is decided so."""
    test, group = verdict.test, verdict.cells.group
    # Four decimals, or fewer where the spread hides them.
    spread = test.half_width or 0.0
    places = 4 if spread < 1 else 2 if spread < 10 else 1
    text = f"{_describe_models(verdict)}. {verdict.comparison.name}: "
    text += format_number(test.mean, places, sign=True)
    if test.low is not None and test.high is not None:
        ends = (format_number(end, places, sign=True) for end in (test.low, test.high))
        text += f" [{', '.join(ends)}]"
    text += f" {verdict.unit}, n = {verdict.n}"
    if verdict.comparison.first:
        text += f" from seed {verdict.comparison.first} on"
    if verdict.comparison.sign_flip_p is not None:
        text += f", sign-flip p {_round_p(verdict.comparison.sign_flip_p)}"
    if len(verdict.comparisons) > 1 and not verdict.claim.equal:
        text += f" (the worst of {len(verdict.comparisons)})"
    text += f": {verdict.why}."
    text += f" {'Confirmatory' if verdict.confirmatory else 'Exploratory'}."
    if worst := _list_worst(verdict):
        text += f" Diverged, so counted as the worst value of its row: {', '.join(worst)}."
    if verdict.decision == "undecided":
        text += f" What would decide it: {describe_reach(verdict)}."
    if _fails_controls(verdict):
        text += f" {printable(group.measure)} fails a control on this data set."
    if verdict.printed is not None:
        text += f" The paper prints {verdict.printed:+.2f}"
        note = "models" if group.whole else "images"
        note = f" for other {note}, so this is no verdict on that number."
        text += "." if verdict.on_published else note
    return text


def _list_worst(verdict: Verdict) -> list[str]:
    """Return the trials that diverged, which count as the worst value of their row."""
    return [
        f"{printable(row.label)} seed {seed}"
        for _, row in verdict.rows
        for seed in row.diverged_seeds
        if seed in verdict.comparison.seeds
    ]


def _describe_models(verdict: Verdict) -> str:
    texts = []
    for key, group in _list_groups(verdict).items():
        text = f"{name_group(group)}, {group.size}x{group.size} pixels"
        if group.images is not None and group.measure == BITS_PER_DIM:
            text += f", {format_count(group.images, 'test image')}"
        if budgets := _list_budgets(verdict, key):
            text += f", budget {' and '.join(budgets)}"
        if group.protocol != "plain":
            text += f", protocol {printable(group.protocol)}"
        texts.append(f"{text} (recipe {short_id(group.recipe_id)})")
    return "; ".join(texts)


def _list_budgets(verdict: Verdict, key: str) -> list[str]:
    """Return the budgets of a verdict in one of its groups."""
    members = [cells for cells in verdict.members if cells.group.key == key]
    return [str(cells.budget) for cells in members if cells.budget is not None]


def next_command(verdict: Verdict, options: Sequence[str] = ()) -> str | None:
    """Return the launches that would decide a claim; None if none would, or no profile makes them.

    They train exactly the models of the claim, so that existing seeds count. ``options`` are added
    to each.
    """
    measure = verdict.cells.group.measure
    if (
        verdict.next is None
        or not verdict.next.trainings
        or measure not in {kind.name for kind in SHIPPED}
    ):
        return None
    first, seeds = verdict.next.first, verdict.next.seeds
    rules = dict.fromkeys(name_rule(row) for _, row in verdict.rows)
    commands = []
    for key, group in _list_groups(verdict).items():
        if group.overrides is None:
            return None
        words = ["launch", verdict.claim.launch.split()[0]]
        words += ["--seeds", f"{first}-{first + seeds - 1}" if first else str(seeds)]
        words += ["--flow", group.flow, "--factorization", ",".join(rules)]
        words += ["--profile", group.profile.split(", ")[0], "--dataset", group.set_name]
        if budgets := _list_budgets(verdict, key):
            words += ["--budget", ",".join(budgets)]
        for name, value in group.overrides.items():
            words += ["--set", f"{name}={json.dumps(value)}"]
        commands.append(words)
    return " && ".join(shlex.join(["lcma", *map(printable, c), *options]) for c in commands)


def claim_text(results: Verdicts, key: str) -> str:
    """Return what a claim says."""
    return format_text(CLAIMS[key], results.kind.name, results.kind.direction)


# Verdicts as rows

COLUMNS = (
    TableColumn("claim", of="claim.key"),
    TableColumn("verdict", of="decision"),
    TableColumn("of", "models", of=_mark_models),
    TableColumn(
        "effect", "effect ± 98.5 %", right=True, of=lambda verdict: format_pair(verdict.test)
    ),
    TableColumn("n", kind="number"),
    TableColumn(
        "p",
        right=True,
        of=lambda verdict: _round_p(verdict.holm_p),
        meaning="Probability that, without an effect, any look so far shows a p of the paired "
        "t-test as small as the least one seen; after Holm's correction over the claims of the "
        "family.",
    ),
    TableColumn(
        "what would decide it",
        of=lambda verdict: describe_reach(verdict) if verdict.decision == "undecided" else None,
    ),
)
"""Columns for people."""


def _numbers(*names: str, of: str = "") -> list[TableColumn]:
    return [TableColumn(name, kind="number", of=f"{of}{name}") for name in names]


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
            of=partial(lambda name, verdict: verdict.cells.facts[name], name),
        )
        for name in SCALE_FACTS
    ),
    *_numbers("n"),
    *_numbers("mean", "deviation", "standard_error", "low", "high", "half_width", of="test."),
    *_numbers("sign_flip_p", of="comparison."),
    TableColumn("next", of=next_command),
)
"""Columns for programs: the verdict, its models, and the numbers that decided."""


def summarize_verdicts(results: Verdicts) -> Table:
    """Return a row for each verdict, for people."""
    notes = (*_list_notes(results), *_list_gaps(results))
    return tabulate(results.all, *COLUMNS, title="Verdicts", notes=notes)


def verdict_table(results: Verdicts) -> Table:
    """Return a row for each verdict, for programs."""
    table = tabulate(results.all, *VALUES, title="Verdicts", missing="")
    return replace(table, rows=tuple(tuple(map(flag_as_stored, row)) for row in table.rows))
