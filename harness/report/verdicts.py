"""Verdicts for a terminal, as JSON, rows and Markdown: a sentence each, with its numbers."""

import re
import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from rich.console import Group as Lines
from rich.console import RenderableType
from rich.text import Text

from lcma.db import QueryResult
from lcma.harness.report.board import describe_lost, fails_controls, short_settings, sum_up_low
from lcma.harness.results.board import ENOUGH, list_settings
from lcma.harness.results.statistics import MOST_SEEDS
from lcma.harness.results.verdicts import (
    CLAIMS,
    EQUAL,
    OF_BITS_PER_DIM,
    OF_PATTERNS,
    SCALE,
    WITHIN,
    Cells,
    Verdict,
    Verdicts,
    describe_better,
    list_budgets,
    name_rule,
)
from lcma.harness.tables import Table, TableColumn, flag_as_stored, make_table, render_table
from lcma.harness.text import escape_markdown, format_count, format_number, printable, short_id
from lcma.sweeps.measures import BITS_PER_DIM, BY_REQUEST, FID, HELD_OUT, SHIPPED

STYLES = {"supported": "bold green", "refuted": "bold red", "undecided": "bold yellow"}

COLUMNS = (
    TableColumn("verdict"),
    TableColumn("claim, of"),
    TableColumn("effect ± 95 %", right=True),
    TableColumn("n", kind="number"),
    TableColumn("p", right=True),
)

EVERY_SEED = " at every seed"
"""What is said in place of an interval where no seed differs."""

TEST_NUMBERS = (
    "n",
    "mean",
    "deviation",
    "standard_error",
    "low",
    "high",
    "t_p",
    "sign_flip_p",
    "detectable",
)
"""Numbers of the test that decided; its p after Holm's correction is the verdict's."""

APART = (
    "Apart: models that do not clear the bars of their data set, or of which no bars are known. "
    "These are no verdicts on the published numbers."
)

RULE = (
    "Effect: mean over seeds of the difference that the claim says to be below zero. p: paired t, "
    "after Holm's correction. docs/verdicts.md states the rule."
)

RULE_IN_FULL = (
    "The effect is the mean over seeds of the difference that the claim says to be below zero, p "
    "that of a paired t-test after Holm's correction. Supported: the 95 % interval of every "
    "difference is below zero, and sign-flip test and corrected t-test agree at 5 %. Refuted: the "
    "interval of a difference is above zero, or so close to it that it does not matter. Undecided: "
    "anything else, and fewer than six seeds always. `docs/verdicts.md` has the details."
)
"""The rule for those who have a site alone."""


def render_verdicts(
    results: Verdicts, *, notes: bool = True, options: Sequence[str] = (), after: str | None = None
) -> RenderableType:
    """Return a line for each verdict, then with ``notes`` a sentence for each, for a terminal.

    Args:
        results: The verdicts.
        notes: Whether there are sentences.
        options: What to add to each launch that would decide a claim, such as the database.
        after: A command that comes before any launch, if there is one.
    """
    parts: list[RenderableType] = []
    if (tally := sum_up_low(results.board)) is not None:
        parts += [Text(f"low {tally}"), Text()]
    for heading, verdicts in _sections(results):
        sets = dict.fromkeys(c.group.set_name for one in verdicts for c in one.claim.members)
        title = f"{heading} ({next(iter(sets))})" if len(sets) == 1 else heading
        table = render_table(_table(verdicts), compact=True)
        parts += [Text(printable(title), style="bold"), table, Text()]
        for one in verdicts if notes else ():
            parts.append(
                Text(f"{one.decision}: ", style=STYLES[one.decision]) + verdict_sentence(one)
            )
            command = next_command(one, options)
            if command:
                parts.append(_show_command(command))
        if notes:
            parts.append(Text())
    parts += map(Text, _ending(results)) if notes else _summarize(results, options, after)
    return Lines(*parts)


def _show_command(command: str) -> Text:
    # In one line however narrow the terminal is, so that it can be pasted.
    return Text(f"  {command}", style="dim", no_wrap=True, overflow="ignore")


def _summarize(results: Verdicts, options: Sequence[str], after: str | None) -> Iterator[Text]:
    verdicts = (*results.verdicts, *results.apart)
    if not verdicts:
        yield Text("No results that bear on a claim yet.")
    else:
        yield Text(
            "Effect: the difference that the claim says to be below zero. p: of a paired t-test in "
            "its favour, after Holm's correction."
        )
    if within := sorted({one.claim.key for one in verdicts} & WITHIN):
        *others, last = within
        names = f"{', '.join(others)} and {last}" if others else last
        yield Text(
            f"Of {names} it is less a margin of {EQUAL} bits/dim: below zero says that nothing is "
            "better by more than that."
        )
    if any(map(_fails_controls, verdicts)):
        yield Text("!: the measure fails a control there; `lcma board --notes` says which.")
    open_: dict[str, dict[str, None]] = {}  # the claims that each launch decides
    for one in verdicts:
        for command in _list_launches(one, options) if one.seeds is not None else ():
            open_.setdefault(command, {})[one.claim.key] = None
    if open_:
        rough = any(one.is_rough for one in verdicts)
        few = f" (at least {ENOUGH} seeds; a rough number where fewer tell the spread)"
        yield Text(f"What would decide the others{few if rough else ''}:")
    if after and open_:
        yield _show_command(after)
    for claims, commands in groupby(open_, key=lambda command: ", ".join(open_[command])):
        yield Text(f"{printable(claims)}:")
        yield from map(_show_command, commands)
    yield from map(Text, describe_lost(results.board))
    if results.unmeasured:
        yield Text(f"{format_count(len(results.unmeasured), 'claim')} without any results here.")


def verdicts_as_dict(results: Verdicts) -> dict[str, Any]:
    """Return all numbers in full, ready for JSON; a missing one is None."""
    return {
        "measure": results.kind.name,
        "unit": results.kind.unit,
        "direction": results.kind.direction,
        "verdicts": [_as_dict(one) for one in results.verdicts],
        "apart": [_as_dict(one) for one in results.apart],
        "unmeasured": list(results.unmeasured),
        "not_judged": list(results.not_judged),
        "diverged": results.board.diverged,
        "failed": results.board.failed,
        "lost": dict(results.board.lost),
    }


def verdict_table(results: Verdicts) -> Table:
    """Return a row for each verdict, including those apart."""
    own = ("decision", "claim", "source", "text", "cleared", "on_published", "unit", "comparison")
    rest = ("t_p_of_claim", "holm_p", "family_size", "printed", "lost", "why", "next")
    of_measure = (results.kind.name, results.kind.direction)
    rows = []
    for one in (*results.verdicts, *results.apart):
        claim = one.claim
        rows.append(
            (
                one.decision,
                claim.key,
                claim.source,
                claim.text,
                flag_as_stored(claim.cleared),
                flag_as_stored(one.on_published),
                claim.unit,
                one.comparison.name,
                *map(flag_as_stored, claim.cells.facts.values()),
                *(
                    None if one.comparison.test is None else getattr(one.comparison.test, name)
                    for name in TEST_NUMBERS
                ),
                one.t_p,
                one.holm_p,
                one.family_size,
                claim.printed,
                claim.lost,
                one.why,
                next_command(one),
                *of_measure,
            )
        )
    names = (*own, *SCALE, *TEST_NUMBERS, *rest, "measure", "direction")
    return make_table(QueryResult(names, tuple(rows), truncated=False), "Verdicts")


def verdicts_as_markdown(results: Verdicts) -> str:
    """Return a section with a list of those that clear the bars, and of those apart."""
    lines: list[str] = []
    for heading, verdicts in _sections(results):
        lines += [f"### {escape_markdown(heading)}", ""]
        for one in verdicts:
            lines.append(f"- **{one.decision}**: {escape_markdown(verdict_sentence(one))}")
            command = next_command(one)
            if command:
                lines.append(f"  Next: {escape_markdown(command)}")
        lines.append("")
    lines += [escape_markdown(line) for line in _ending(results)]
    return "\n".join(lines).rstrip("\n") + "\n"


def summarize_verdicts(results: Verdicts) -> Table:
    """Return a row for each verdict for people: the claim in words, and the number it is about."""
    columns = (
        TableColumn("claim"),
        TableColumn("name"),
        TableColumn("of"),
        TableColumn("verdict"),
        TableColumn("effect ± 95 %", right=True),
        TableColumn("n", kind="number"),
        TableColumn("about how many seeds would decide", kind="number"),
    )
    verdicts = (*results.verdicts, *results.apart)
    rows = [
        (one.claim.text, one.claim.key, name, one.decision, _format_effect(one), one.n, one.seeds)
        for one, name in zip(verdicts, _name_all(verdicts), strict=True)
    ]
    return Table(columns, tuple(rows))


def list_decisions(results: Verdicts) -> Table:
    """Return a row for each claim: of which models each decision is, with its effect and n.

    Claims without any results come last, as not measured.
    """
    verdicts = (*results.verdicts, *results.apart)
    entries: dict[str, dict[str, list[str]]] = {}
    texts: dict[str, str] = {}
    for one, name in zip(verdicts, _name_all(verdicts), strict=True):
        key = one.claim.key
        # What stands in brackets at its end is of these models alone, as `of` is.
        text = re.sub(r" \([^()]*\)$", "", one.claim.text)
        if texts.setdefault(key, text) != text and key in CLAIMS:
            texts[key] = claim_text(results, key)
        entry = f"{name} {_format_effect(one)} (n {one.n}"
        if one.seeds is not None:
            entry += f", about {one.seeds} would decide"
        if key in OF_PATTERNS:
            entry += f", {format_count(len(one.claim.comparisons), 'pattern')}"
        decided = entries.setdefault(key, {decision: [] for decision in STYLES})
        decided[one.decision].append(f"{entry})")
    columns = tuple(map(TableColumn, ("claim", "name", *STYLES)))
    rows = [
        (text, key, *("; ".join(entries[key][decision]) or None for decision in STYLES))
        for key, text in texts.items()
    ]
    rows += [
        (claim_text(results, key), key, None, None, "not measured") for key in results.unmeasured
    ]
    return Table(columns, tuple(rows))


def verdict_sentence(one: Verdict) -> str:
    """Return the claim, on which models, by which numbers, and why it is decided so."""
    return f"{one.claim.text} ({one.claim.source}), on {describe_decision(one)}"


def describe_decision(one: Verdict) -> str:
    """Return of which models a verdict is, by which numbers, and why it is decided so."""
    claim, test = one.claim, one.comparison.test
    text = f"{_scale(one)}. {one.comparison.name}: "
    if test is None:
        text += "no seed has both sides"
    else:
        places = _choose_places(one)
        text += f"{format_number(test.mean, places, sign=True)}"
        if test.deviation and test.low is not None and test.high is not None:
            ends = (format_number(end, places, sign=True) for end in (test.low, test.high))
            text += f" [{', '.join(ends)}]"
        text += f" {claim.unit}{EVERY_SEED if test.deviation == 0 else ''}, n = {one.n}"
        if test.sign_flip_p is not None:
            text += f", sign-flip p {_round_p(test.sign_flip_p)}"
        if test.deviation:
            text += (
                f", smallest effect that {one.n} seeds show with 80 % power: "
                f"{format_number(test.detectable, places)}"
            )
    parts = len(claim.comparisons)
    if parts > 1:
        text += f"; {claim.parts_below_zero} of its {parts} parts have a mean below zero"
    text += f"; {one.why}."
    if one.is_rough:
        needed = f"more than {MOST_SEEDS:,}" if one.seeds is None else f"about {one.seeds}"
        text += (
            f" At least {ENOUGH} are needed; by the spread of these {one.n}, a rough estimate, "
            f"{needed} would decide."
        )
    if _fails_controls(one):
        text += f" {printable(claim.cells.group.measure)} fails a control there."
    if claim.printed is not None:
        text += f" The paper prints {claim.printed:+.2f}"
        other = "models" if claim.cells.group.whole else "images"
        text += "." if one.on_published else f", of other {other}: no verdict on that number."
    if claim.lost:
        were = "was" if claim.lost == 1 else "were"
        text += f" {format_count(claim.lost, 'trial')} of these cells {were} lost."
    return text


def _choose_places(one: Verdict) -> int:
    """Return the decimals of a verdict's numbers: four, or fewer where its spread hides them."""
    test = one.comparison.test
    spread = 0.0 if test is None else test.half_width or 0.0
    return 4 if spread < 1 else 2 if spread < 10 else 1


def next_command(one: Verdict, options: Sequence[str] = ()) -> str | None:
    """Return what would decide an undecided claim, None for a decided one.

    Launches ask for the models that the claim is about and no others, so that the seeds which are
    there count. ``options`` are added to each.
    """
    if one.decision != "undecided":
        return None
    return " && ".join(_list_launches(one, options))


def _list_launches(one: Verdict, options: Sequence[str]) -> list[str]:
    claim, group = one.claim, one.claim.cells.group
    if one.decision != "undecided":
        return []
    if one.seeds is None:
        return ["no sweep that anybody runs: the effect is too small beside its spread"]
    if group.measure not in {kind.name for kind in SHIPPED}:
        return [f"{one.seeds} seeds of a sweep whose plug-in takes {printable(group.measure)}"]
    found = [_launch_words(one, cells) for cells in claim.members]
    if not all(found):
        return [f"{one.seeds} seeds of a recipe that no profile here has"]
    launches = (shlex.join(["lcma", "launch", *words, *options]) for words in found)
    # What no training takes is measured after it, of the sweep launched last.
    name = "fid" if group.measure.removeprefix(HELD_OUT) == FID else "kid"
    sampling = [] if group.samples is None else ["--samples", str(group.samples)]
    words = ["lcma", "measure", name, *sampling, *options]
    then = [shlex.join(words)] if group.measure in BY_REQUEST else []
    return [" && ".join([launch, *then]) for launch in dict.fromkeys(launches)]


def _launch_words(one: Verdict, cells: Cells) -> list[str]:
    claim, group, budget = one.claim, cells.group, cells.budget
    overrides = group.overrides
    if overrides is None:
        return []
    words = [claim.sweep, "--seeds", _choose_seeds(one), "--flow", group.flow]
    there = set(map(name_rule, cells.rows.values()))
    rules = [name for name in claim.rules if name in there] or claim.rules
    words += ["--factorization", ",".join(rules)] if rules else []
    words += ["--profile", group.profile.split(", ")[0], *claim.sets]
    if "--dataset" not in claim.sets:
        words += ["--dataset", group.set_name]
    if budget is not None and "--budget" not in claim.sets:
        words += ["--budget", str(budget)]
    words += list_settings(overrides)
    return list(map(printable, words))


def _choose_seeds(one: Verdict) -> str:
    """Return the seeds to launch; new ones where those without the measure may have no weights."""
    first = one.claim.untrained
    if first is None or one.seeds is None:
        return str(one.seeds)
    last = first + max(one.seeds - one.n, 1) - 1
    return f"{first}-{last}"


def _as_dict(one: Verdict) -> dict[str, Any]:
    of_claim, several = one.claim, len(one.claim.members) > 1
    claim = {
        "key": of_claim.key,
        "source": of_claim.source,
        "text": of_claim.text,
        "scale": of_claim.cells.facts,
        "comparisons": [
            {"name": c.name, "seeds": list(c.by_seed), "differences": list(c.by_seed.values())}
            for c in of_claim.comparisons
        ],
        "unit": of_claim.unit,
        "margin": of_claim.margin,
        "printed": of_claim.printed,
        "family": of_claim.family,
        "cleared": of_claim.cleared,
        "lost": of_claim.lost,
        "sweep": of_claim.sweep,
        "sets": of_claim.sets,
        "members": [cells.facts for cells in of_claim.members] if several else [],
    }
    return {
        "decision": one.decision,
        "sentence": verdict_sentence(one),
        "why": one.why,
        "comparison": one.comparison.name,
        "n": one.n,
        "test": _test_numbers(one) or None,
        "t_p": one.t_p,
        "holm_p": one.holm_p,
        "family_size": one.family_size,
        "on_published": one.on_published,
        "next": next_command(one),
        "claim": claim,
    }


def _test_numbers(one: Verdict) -> dict[str, Any]:
    test = one.comparison.test
    return {} if test is None else {name: getattr(test, name) for name in TEST_NUMBERS}


def _sections(results: Verdicts) -> Iterator[tuple[str, Sequence[Verdict]]]:
    if results.verdicts:
        yield "Verdicts", results.verdicts
    if results.apart:
        yield describe_apart(results), results.apart


def describe_apart(results: Verdicts) -> str:
    """Return why some verdicts stand apart."""
    kind = results.kind
    if kind.name == BITS_PER_DIM:
        return APART
    return (
        f"By {printable(kind.name)}, of which {kind.direction} is better: bars and published "
        "numbers are of bits/dim, so these are no verdicts on them."
    )


def _scale(one: Verdict) -> str:
    return "; ".join(map(_describe_cells, one.claim.members))


def _describe_cells(cells: Cells) -> str:
    group = cells.group
    text = (
        f"{printable(group.dataset)} ({printable(group.variant)}), {printable(group.flow)}, "
        f"{printable(group.profile)}, {group.steps} steps, {format_count(group.splits, 'split')}"
    )
    if cells.budget is not None:
        text += f", budget {cells.budget}"
    if group.protocol != "plain":
        text += f", protocol {printable(group.protocol)}"
    return f"{text} (recipe {short_id(group.recipe_id)})"


def _table(verdicts: Sequence[Verdict]) -> Table:
    # Several verdicts on one claim stand below its name, so that each fits in a line.
    numbers = Counter(one.claim.key for one in verdicts)
    rows: list[tuple[Any, ...]] = []
    styles, former = {}, None
    for one, name in zip(verdicts, _name_all(verdicts), strict=True):
        key = one.claim.key
        if numbers[key] == 1:
            name = f"{key}, {name}"
        else:
            if key != former:
                rows.append(("", key, "", "", ""))
            name = f"  {name}"
        name += " !" if _fails_controls(one) else ""
        former = key
        styles[len(rows), 0] = STYLES[one.decision]
        rows.append((one.decision, name, _format_effect(one), one.n, _format_p(one)))
    return Table(COLUMNS, tuple(rows), styles=styles)


def _fails_controls(one: Verdict) -> bool:
    return any(fails_controls(cells.group) for cells in one.claim.members)


def _format_effect(one: Verdict) -> str | None:
    test = one.comparison.test
    if test is None:
        return None
    mean, half = format_number(test.mean, 3, sign=True), test.half_width
    if test.deviation == 0:
        return mean + EVERY_SEED
    return mean if half is None else f"{mean} ± {format_number(half, 3)}"


def _format_p(one: Verdict) -> str | None:
    """Return the claim's p, which is in its favour: a refuted one has none."""
    if one.decision == "refuted":
        return None
    return _round_p(one.holm_p)


def _round_p(p: float) -> str:
    return "<0.001" if p < 0.0005 else format_number(p, 3)


def _name_all(verdicts: Sequence[Verdict]) -> list[str]:
    """Return a name for each verdict: that of the models it is about.

    Models of one flow and set are told apart by their length, where there are several, and those of
    one length by what their recipes differ in; so is the pretraining that it is of, where `low` has
    several. A mean over several says over how many.
    """
    several = len({cells.group.set_name for one in verdicts for cells in one.claim.members}) > 1
    named = [_name_cells(one, several_sets=several) for one in verdicts]
    alike = Counter((one.claim.key, name) for one, name in zip(verdicts, named, strict=True))
    lengths = Counter(
        (one.claim.key, name, one.claim.cells.group.profile, one.claim.cells.group.steps)
        for one, name in zip(verdicts, named, strict=True)
        if len(one.claim.members) == 1
    )

    def tell_apart(one: Verdict, name: str) -> str:
        group, more = one.claim.cells.group, ""
        if alike[one.claim.key, name] > 1 and len(one.claim.members) > 1:
            return f"{name} {len(one.claim.members)} recipes"
        if alike[one.claim.key, name] > 1:
            more = f" {group.profile} {group.steps}"
        if lengths[one.claim.key, name, group.profile, group.steps] > 1 and group.settings:
            more += f" {short_settings(group)}"
        budget = one.claim.cells.budget
        if budget is not None and len(one.claim.members) == 1 and len(list_budgets(group)) > 1:
            more += f" @{budget}"
        return name + more

    return [tell_apart(one, name) for one, name in zip(verdicts, named, strict=True)]


def _name_cells(one: Verdict, *, several_sets: bool) -> str:
    groups = [cells.group for cells in one.claim.members]
    flows = dict.fromkeys(group.flow for group in groups)
    sets = dict.fromkeys(group.set_name for group in groups)
    name = " + ".join(flows) if len(flows) < 3 else f"{len(flows)} flows"
    if not several_sets:
        return name
    return f"{name} {' + '.join(sets) if len(sets) < 3 else f'{len(sets)} sets'}"


def _ending(results: Verdicts) -> Iterator[str]:
    if results.verdicts or results.apart:
        yield RULE
    else:
        yield "No results that bear on a claim yet."
    yield from describe_lost(results.board)
    for key in results.unmeasured:
        yield f"No results yet: {claim_text(results, key)}. lcma launch {CLAIMS[key][1]}"
    for key in results.not_judged:
        yield (
            f"Not by {printable(results.kind.name)}: {claim_text(results, key)}, since "
            f"{OF_BITS_PER_DIM[key]}. `lcma verdicts` judges it."
        )


def claim_text(results: Verdicts, key: str) -> str:
    """Return a claim in short."""
    better = describe_better(results.kind.name, results.kind.direction)
    return CLAIMS[key][0].format(better=better)
