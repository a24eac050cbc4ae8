"""Verdicts for a terminal, as JSON, rows and Markdown: counts by claim, and a sentence for each."""

import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Group as Lines
from rich.console import RenderableType
from rich.text import Text

from lcma.db import QueryResult
from lcma.harness.report.board import (
    describe_lost,
    fails_controls,
    has_few_images,
    short_settings,
    sum_up_low,
)
from lcma.harness.results.board import BITS, list_settings
from lcma.harness.results.claims import (
    CLAIMS,
    OF_BITS_PER_DIM,
    SCALE,
    Cells,
    format_text,
    list_budgets,
)
from lcma.harness.results.verdicts import (
    DECISIONS,
    LOOK_LEVEL,
    Verdict,
    Verdicts,
    describe_reach,
)
from lcma.harness.tables import Table, TableColumn, flag_as_stored, make_table, render_table
from lcma.harness.text import escape_markdown, format_count, format_number, printable, short_id
from lcma.sweeps.measures import BITS_PER_DIM, BY_REQUEST, FID, HELD_OUT, SHIPPED

STYLES = {
    "supported": "bold green",
    "equal": "bold green",
    "opposite": "bold red",
    "not equal": "bold red",
    "smaller than printed": "bold magenta",
    "undecided": "bold yellow",
}

COLUMNS = (
    TableColumn("verdict"),
    TableColumn("of"),
    TableColumn("effect ± 98.5 %", right=True),
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
    "Effect: mean over seeds of the difference that the claim says to be below zero, or its "
    "margin, with the interval of a look at 6, 12, 24 or 48 seeds. p: that any look so far shows "
    "as little without an effect, after Holm's correction. docs/verdicts.md states the rule."
)

RULE_IN_FULL = (
    "A claim is judged on its first 6, 12, 24 or 48 seeds, the most that all its rows have. "
    "Supported: the whole interval of the effect is below zero, and the p of all looks so far is "
    "at most 5 % after Holm's correction. Opposite: all of it is above zero. Smaller than "
    "printed: it contains zero, and not the gain that the paper prints. Undecided: anything "
    "else. The interval is of 98.5 %, which makes four looks together 95 %. `docs/verdicts.md` has "
    "the details."
)
"""The rule for those who have a site alone."""


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
        return Lines(*_count_by_claim(results))
    parts: list[RenderableType] = [Text(claim_text(results, claim), style="bold")]
    named = dict(zip(results.all, _name_all(results.all), strict=True))
    open_ = False
    for some in (results.verdicts, results.apart):
        chosen = [one for one in some if one.claim.key == claim]
        if not chosen:
            continue
        if some is results.apart:
            parts += [Text(), Text(describe_apart(results))]
        rows = [
            (one.decision, _mark(named[one], one), _format_effect(one), one.n, _round_p(one.holm_p))
            for one in chosen
        ]
        styles = {(i, 0): STYLES[one.decision] for i, one in enumerate(chosen)}
        table = Table(COLUMNS, tuple(rows), styles=styles)
        parts += [Text(), render_table(table, compact=True), Text()]
        for one in chosen:
            says = Text(f"{one.decision}: ", style=STYLES[one.decision]) + describe_decision(one)
            parts.append(says)
            if command := next_command(one, options):
                open_ = True
                parts.append(_show_command(command))
    if len(parts) == 1:
        parts.append(Text(f"No results that bear on it yet: lcma launch {CLAIMS[claim].launch}"))
    if after and open_:
        parts += [Text("Before any of these launches:"), _show_command(after)]
    return Lines(*parts, Text(), Text(RULE))


def _count_by_claim(results: Verdicts) -> Iterator[RenderableType]:
    if (tally := sum_up_low(results.board)) is not None:
        yield Text(f"low {tally}\n")
    if not results.all:
        yield Text("No results that bear on a claim yet.")
    for key, some in _by_claim(results):
        yield Text(f"{claim_text(results, key)} ({key})")
        counts = Counter(one.decision for one in some)
        line = Text("  ")
        for decision in (one for one in DECISIONS if counts[one]):
            line += Text(", " if len(line) > 2 else "")
            line += Text(f"{decision} {counts[decision]}", style=STYLES[decision])
            line += Text(_say_few_images([one for one in some if one.decision == decision]))
        fresh = sum(one.confirmatory for one in some)
        yield line + Text(f"; confirmatory: {fresh} of {len(some)}" if fresh else "")
    if results.all:
        yield Text("\n`lcma verdicts CLAIM` shows those on one claim, with what would decide them.")
        exploratory = sum(not one.confirmatory for one in results.all)
        yield Text(
            f"{exploratory} of {format_count(len(results.all), 'verdict')} are exploratory: "
            "rows behind them are older than the claim."
        )
    reachable = [one.next for one in results.all if one.next is not None]
    if reachable:
        hours = sum(one.hours or 0.0 for one in reachable)
        yield Text(
            f"{format_count(len(reachable), 'open verdict')} could be decided by one look more, at "
            f"most {sum(one.trainings for one in reachable)} trainings or {hours:.0f} core-hours "
            "together."
        )
    yield from map(Text, describe_lost(results.board))
    if results.unmeasured:
        yield Text(f"Without any results here: {', '.join(results.unmeasured)}.")
    if results.not_judged:
        yield Text(f"Judged by bits/dim alone: {', '.join(results.not_judged)}.")


def _say_few_images(verdicts: Sequence[Verdict]) -> str:
    groups = [cells.group for one in verdicts for cells in one.claim.members]
    few = [group.images or 0 for group in groups if has_few_images(group)]
    return f" ({min(few)} test images)" if few and len(few) == len(groups) else ""


def _by_claim(results: Verdicts) -> Iterator[tuple[str, list[Verdict]]]:
    for key in CLAIMS:
        if some := [one for one in results.all if one.claim.key == key]:
            yield key, some


def _show_command(command: str) -> Text:
    # In one line however narrow the terminal is, so that it can be pasted.
    return Text(f"  {command}", style="dim", no_wrap=True, overflow="ignore")


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


def _as_dict(one: Verdict) -> dict[str, Any]:
    of_claim, several = one.claim, len(one.claim.members) > 1
    claim = {
        "key": of_claim.key,
        "source": of_claim.source,
        "text": of_claim.text,
        "scale": of_claim.cells.facts,
        "comparisons": [
            {
                "name": c.name,
                "limit": c.limit,
                "first": c.first,
                "seeds": list(c.by_seed),
                "differences": list(c.by_seed.values()),
            }
            for c in of_claim.comparisons
        ],
        "unit": of_claim.unit,
        "printed": of_claim.printed,
        "family": of_claim.family,
        "part": None if of_claim.part is None else of_claim.part.name,
        "transfer": of_claim.transfer,
        "cleared": of_claim.cleared,
        "lost": of_claim.lost,
        "worst": [list(one) for one in of_claim.worst],
        "members": [cells.facts for cells in of_claim.members] if several else [],
    }
    test = {} if one.test is None else {name: getattr(one.test, name) for name in TEST_NUMBERS}
    reach = None if one.next is None else {name: getattr(one.next, name) for name in _REACH}
    return {
        "decision": one.decision,
        "sentence": verdict_sentence(one),
        "why": one.why,
        "confirmatory": one.confirmatory,
        "comparison": one.comparison.name,
        "n": one.n,
        "level": LOOK_LEVEL,
        "test": test or None,
        "p": one.p,
        "holm_p": one.holm_p,
        "family_size": one.family_size,
        "on_published": one.on_published,
        "would_decide": reach,
        "next": next_command(one),
        "claim": claim,
    }


_REACH = ("seeds", "first", "trainings", "hours")


def verdict_table(results: Verdicts) -> Table:
    """Return a row for each verdict, including those apart."""
    own = ("decision", "claim", "source", "text", "confirmatory", "cleared", "on_published", "unit")
    rest = ("limit", "p", "holm_p", "family_size", "printed", "lost", "why", "next")
    rows = []
    for one in results.all:
        claim, test = one.claim, one.test
        rows.append(
            (
                one.decision,
                claim.key,
                claim.source,
                claim.text,
                flag_as_stored(one.confirmatory),
                flag_as_stored(claim.cleared),
                flag_as_stored(one.on_published),
                claim.unit,
                one.comparison.name,
                *map(flag_as_stored, claim.cells.facts.values()),
                *(None if test is None else getattr(test, name) for name in TEST_NUMBERS),
                one.comparison.limit,
                one.p,
                one.holm_p,
                one.family_size,
                claim.printed,
                claim.lost,
                one.why,
                next_command(one),
                results.kind.name,
                results.kind.direction,
            )
        )
    names = (*own, "comparison", *SCALE, *TEST_NUMBERS, *rest, "measure", "direction")
    return make_table(QueryResult(names, tuple(rows), truncated=False), "Verdicts")


def verdicts_as_markdown(results: Verdicts) -> str:
    """Return a section with a list of those that clear the bars, and of those apart."""
    lines: list[str] = []
    for heading, verdicts in (
        ("Verdicts", results.verdicts),
        (describe_apart(results), results.apart),
    ):
        if not verdicts:
            continue
        lines += [f"### {escape_markdown(heading)}", ""]
        for one in verdicts:
            lines.append(f"- **{one.decision}**: {escape_markdown(verdict_sentence(one))}")
            if command := next_command(one):
                lines.append(f"  Next: {escape_markdown(command)}")
        lines.append("")
    lines += [escape_markdown(line) for line in _ending(results)]
    return "\n".join(lines).rstrip("\n") + "\n"


def summarize_verdicts(results: Verdicts) -> Table:
    """Return a row for each verdict for people: the claim in words, and the number it is about."""
    columns = (
        *map(TableColumn, ("claim", "name", "of", "verdict")),
        TableColumn("effect ± 98.5 %", right=True),
        TableColumn("n", kind="number"),
        TableColumn("what would decide it"),
    )
    rows = [
        (
            one.claim.text,
            one.claim.key,
            name,
            one.decision,
            _format_effect(one),
            one.n,
            describe_reach(one) if one.decision == "undecided" else None,
        )
        for one, name in zip(results.all, _name_all(results.all), strict=True)
    ]
    return Table(columns, tuple(rows))


def verdict_sentence(one: Verdict) -> str:
    """Return the claim, on which models, by which numbers, and why it is decided so."""
    return f"{one.claim.text} ({one.claim.source}), on {describe_decision(one)}"


def describe_decision(one: Verdict) -> str:
    """Return of which models a verdict is, by which numbers, and why it is decided so."""
    claim, test, limit = one.claim, one.test, one.comparison.limit
    text = f"{'; '.join(map(_describe_cells, claim.members))}. {one.comparison.name}: "
    if test is None:
        text += "no seed has all rows"
    else:
        places = _choose_places(one)
        text += f"{format_number(test.mean, places, sign=True)}"
        if test.deviation and test.low is not None and test.high is not None:
            ends = (format_number(end, places, sign=True) for end in (test.low, test.high))
            text += f" [{', '.join(ends)}]"
        text += f" {claim.unit}{EVERY_SEED if test.deviation == 0 else ''}"
        first = one.comparison.first
        text += f", n = {one.n}" if first == 0 else f", n = {one.n} from seed {first} on"
        if test.sign_flip_p is not None:
            text += f", sign-flip p {_round_p(test.sign_flip_p)}"
    against = "zero" if limit == 0 else f"{limit:g}"
    parts = len(claim.comparisons)
    if parts > 1 and not claim.claim.equal:
        text += f" (the worst of {parts})"
    text += f"; against {against}: {one.why}."
    text += f" {'Confirmatory' if one.confirmatory else 'Exploratory'}."
    if claim.worst:
        lost = ", ".join(f"{printable(rule)} seed {seed}" for rule, seed in claim.worst)
        text += f" Diverged, so the worst of its row: {lost}."
    if one.decision == "undecided":
        text += f" What would decide it: {describe_reach(one)}."
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
    spread = 0.0 if one.test is None else one.test.half_width or 0.0
    return 4 if spread < 1 else 2 if spread < 10 else 1


def next_command(one: Verdict, options: Sequence[str] = ()) -> str | None:
    """Return the launches that would decide a claim, None for a decided one or out of reach.

    They ask for the models that the claim is about and no others, so that the seeds which are there
    count. ``options`` are added to each.
    """
    if one.next is None or not one.next.trainings:
        return None
    group = one.claim.cells.group
    if group.measure not in {kind.name for kind in SHIPPED}:
        return f"{one.next.seeds} seeds of a sweep whose plug-in takes {printable(group.measure)}"
    found = [_launch_words(one, cells) for cells in one.claim.members]
    if not all(found):
        return f"{one.next.seeds} seeds of a recipe that no profile here has"
    launches = [shlex.join(["lcma", "launch", *words, *options]) for words in found]
    # What no training takes is measured after it, of the sweep launched last.
    name = "fid" if group.measure.removeprefix(HELD_OUT) == FID else "kid"
    sampling = [] if group.samples is None else ["--samples", str(group.samples)]
    words = ["lcma", "measure", name, *sampling, *options]
    then = [shlex.join(words)] if group.measure in BY_REQUEST else []
    return " && ".join(dict.fromkeys([*launches, *then]))


def _launch_words(one: Verdict, cells: Cells) -> list[str]:
    claim, group, budget, reach = one.claim, cells.group, cells.budget, one.next
    overrides = group.overrides
    if overrides is None or reach is None:
        return []
    seeds = f"{reach.first}-{reach.first + reach.seeds - 1}" if reach.first else str(reach.seeds)
    sweep = claim.claim.launch.split()[0]
    words = [sweep, "--seeds", seeds, "--flow", group.flow]
    words += ["--factorization", ",".join(claim.rules)] if claim.rules else []
    words += ["--profile", group.profile.split(", ")[0], *claim.sets]
    if "--dataset" not in claim.sets:
        words += ["--dataset", group.set_name]
    if budget is not None and "--budget" not in claim.sets:
        words += ["--budget", str(budget)]
    words += list_settings(overrides)
    return list(map(printable, words))


def describe_apart(results: Verdicts) -> str:
    """Return why some verdicts stand apart."""
    kind = results.kind
    if kind.name == BITS_PER_DIM:
        return APART
    return (
        f"By {printable(kind.name)}, of which {kind.direction} is better: bars and published "
        "numbers are of bits/dim, so these are no verdicts on them."
    )


def _describe_cells(cells: Cells) -> str:
    group = cells.group
    text = (
        f"{printable(group.dataset)} ({printable(group.variant)}), {printable(group.flow)}, "
        f"{printable(group.profile)}, {group.size}x{group.size} pixels, {group.steps} steps, "
        f"{format_count(group.splits, 'split')}"
    )
    if group.images is not None and group.measure == BITS_PER_DIM:
        text += f", {format_count(group.images, 'test image')}"
    if cells.budget is not None:
        text += f", budget {cells.budget}"
    if group.protocol != "plain":
        text += f", protocol {printable(group.protocol)}"
    return f"{text} (recipe {short_id(group.recipe_id)})"


def _mark(name: str, one: Verdict) -> str:
    return f"{name}{' !' if _fails_controls(one) else ''}{'' if one.confirmatory else ' ~'}"


def _fails_controls(one: Verdict) -> bool:
    return any(fails_controls(cells.group) for cells in one.claim.members)


def _format_effect(one: Verdict) -> str | None:
    test = one.test
    if test is None:
        return None
    mean, half = format_number(test.mean, 3, sign=True), test.half_width
    if test.deviation == 0:
        return mean + EVERY_SEED
    return mean if half is None else f"{mean} ± {format_number(half, 3)}"


def _round_p(p: float) -> str:
    return "<0.001" if p < 0.0005 else format_number(p, 3)


def _name_all(verdicts: Sequence[Verdict]) -> list[str]:
    """Return a name for each verdict: that of the models it is about.

    Models of one flow and set are told apart by their length, where there are several, and those of
    one length by what their recipes differ in; so is the pretraining that it is of, where `low` has
    several.
    """
    several = len({cells.group.set_name for one in verdicts for cells in one.claim.members}) > 1
    named = [_name_cells(one, several_sets=several) for one in verdicts]
    alike = Counter((one.claim.key, name) for one, name in zip(verdicts, named, strict=True))
    lengths = Counter(
        (one.claim.key, name, one.claim.cells.group.profile, one.claim.cells.group.steps)
        for one, name in zip(verdicts, named, strict=True)
    )

    def tell_apart(one: Verdict, name: str) -> str:
        group, more = one.claim.cells.group, ""
        if alike[one.claim.key, name] > 1:
            more = f" {group.profile} {group.steps}"
        if lengths[one.claim.key, name, group.profile, group.steps] > 1 and group.settings:
            more += f" {short_settings(group)}"
        budget = one.claim.cells.budget
        if budget is not None and len(list_budgets(group)) > 1:
            more += f" @{budget}"
        return name + more

    return [tell_apart(one, name) for one, name in zip(verdicts, named, strict=True)]


def _name_cells(one: Verdict, *, several_sets: bool) -> str:
    groups = [cells.group for cells in one.claim.members]
    name = " + ".join(dict.fromkeys(group.flow for group in groups))
    sets = dict.fromkeys(group.set_name for group in groups)
    return f"{name} {' + '.join(sets)}" if several_sets else name


def _ending(results: Verdicts) -> Iterator[str]:
    yield RULE if results.all else "No results that bear on a claim yet."
    yield from describe_lost(results.board)
    for key in results.unmeasured:
        yield f"No results yet: {claim_text(results, key)}. lcma launch {CLAIMS[key].launch}"
    for key in results.not_judged:
        yield (
            f"Not by {printable(results.kind.name)}: {claim_text(results, key)}, since "
            f"{OF_BITS_PER_DIM[key]}. `lcma verdicts` judges it."
        )


def claim_text(results: Verdicts, key: str) -> str:
    """Return a claim in short."""
    kind = results.kind
    if key in OF_BITS_PER_DIM:
        kind = BITS
    return format_text(CLAIMS[key], kind.name, kind.direction)
