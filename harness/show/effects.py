"""Effects of the letters of words for a terminal and as JSON."""

import shlex
from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Group as Lines
from rich.console import RenderableType
from rich.text import Text

from lcma.harness.results.board import (
    COMPARABLE,
    ENOUGH,
    Group,
    list_settings,
    name_measure,
    name_unit,
)
from lcma.harness.results.effects import Effect, Effects
from lcma.harness.results.lookup import label_options
from lcma.harness.show.board import format_titles, name_group
from lcma.harness.show.tables import TableColumn, render_table, tabulate
from lcma.harness.text import format_number, printable
from lcma.sweeps import factorizations
from lcma.sweeps.measures import BITS_PER_DIM

HANDFUL = 5
"""Number of words or seeds that a note names before it counts the rest."""


def _format_share(effect: Effect) -> str:
    return "-" if effect.share is None else f"{100 * effect.share:.1f} %"


COLUMNS = (
    TableColumn("split", kind="number", of=lambda effect: effect.splits[0]),
    TableColumn("effect", kind="number", places=4, sign=True, of="test.mean"),
    TableColumn("± 95 %", kind="number", places=4, of="test.half_width"),
    TableColumn("se", kind="number", places=4, of="test.standard_error"),
    TableColumn("seeds", kind="number", of="test.n"),
    TableColumn("share", kind="number", of=_format_share),
)


def render_effects(effects: Sequence[Effects]) -> RenderableType:
    """Return the effects for a terminal of 80 columns or more.

    Of groups and budgets without any only the one with most words is shown, if none has any, and
    the others are counted.
    """
    if not effects:
        return Text("No words over L and H here, so no effects. Next: lcma launch words")
    shown = [one for one in effects if one.main] or [max(effects, key=_count_most_words)]
    parts: list[RenderableType] = []
    for one in shown:
        title, under = _format_titles(one)
        parts += [Text(title, style="bold"), Text(under, style="dim")]
        if one.main:
            parts += [render_table(tabulate(one.main, *COLUMNS)), *map(Text, _say_rest(one))]
        style = "dim" if one.main else ""
        parts += [*(Text(note, style=style) for note in list_notes(one)), Text()]
    if left_out := len(effects) - len(shown):
        table = "table lacks" if left_out == 1 else "tables lack"
        others = f"{left_out} other {table} words at each seed: --json names them."
        parts += [Text(others, style="dim"), Text()]
    if shown[0].main:
        parts.append(Text(_describe_convention(shown[0].group), style="dim"))
    return Lines(*parts)


def _count_most_words(one: Effects) -> int:
    """Return how many words the seed with most of them has."""
    words: int = 2**one.group.splits
    return max((words - len(missing) for missing in one.incomplete.values()), default=0)


def _format_titles(one: Effects) -> tuple[str, str]:
    budget = "" if one.budget is None else f", budget {one.budget}"
    _, under = format_titles(one.group)
    if one.map_options is not None:
        under += f", maps {printable(label_options(one.map_options))}"
    return f"{name_group(one.group)}{budget}", under


def _say_rest(one: Effects) -> Iterator[str]:
    """Yield what is left to interactions."""
    if one.interactions_share is None:
        measure = name_measure(one.group.measure)
        yield f"All words have the same mean {measure}: there is nothing to share."
    elif one.interactions:
        largest = max(one.interactions, key=lambda e: abs(e.test.mean))
        mean, half = largest.test.mean, largest.test.half_width
        interval = "" if half is None else f" ± {format_number(half)}"
        yield (
            f"{100 * one.interactions_share:.1f} % is left to interactions; the largest, of splits "
            f"{' and '.join(map(str, largest.splits))}: {format_number(mean, sign=True)}"
            f"{interval} (even minus odd number of H there)."
        )


def _describe_convention(group: Group) -> str:
    better = "below 0: fewer bits"
    if group.measure != BITS_PER_DIM:
        side = "above" if group.direction == "higher" else "below"
        better = f"in {name_unit(group.unit)}, {side} 0: {group.direction}, which is better,"
    return (
        f"Effect: {name_measure(group.measure)} of the words with L at the split minus those with "
        f"H there, by seed; {better} when the low contributions are factored out there. ± 95 %: "
        "half of the t-interval over seeds, not corrected for the number of effects. Share: of the "
        "sum of squares among the word means, noise included."
    )


def effects_as_dict(effects: Sequence[Effects]) -> dict[str, Any]:
    """Return all numbers in full under "effects", ready for JSON; a missing one is None."""
    return {"effects": [_as_dict(one) for one in effects]}


_GROUP = (*COMPARABLE, "profile", "splits", "steps", "measure", "unit", "direction")


def _as_dict(one: Effects) -> dict[str, Any]:
    own = ("budget", "map_options", "seeds", "interactions_share", "lost")
    return {
        **{name: getattr(one.group, name) for name in _GROUP},
        **{name: getattr(one, name) for name in own},
        "main": list(map(_effect_as_dict, one.main)),
        "interactions": list(map(_effect_as_dict, one.interactions)),
        "incomplete": [{"seed": s, "missing": words} for s, words in one.incomplete.items()],
        "notes": list(list_notes(one)),
    }


def _effect_as_dict(effect: Effect) -> dict[str, Any]:
    test = {name: getattr(effect.test, name) for name in ("mean", "standard_error", "low", "high")}
    return {"splits": effect.splits, **test, "share": effect.share}


# What words are missing, and what to type


def list_notes(one: Effects) -> Iterator[str]:
    """Yield what to keep in mind of effects, and the launch that would fill their table."""
    words = factorizations.words(one.group.splits)
    if not one.seeds:
        there = f"0 of {len(words)} have a result, missing {_listed(words)}"
        if one.incomplete:
            seed, missing = min(one.incomplete.items(), key=lambda item: len(item[1]))
            there = (
                f"seed {seed} has the most, {len(words) - len(missing)} of {len(words)}, missing "
                f"{_listed(missing)}"
            )
        yield f"No effects: they need all words at one seed; {there}."
    elif one.incomplete:
        of_each = [f"{s} (missing {_listed(missing)})" for s, missing in one.incomplete.items()]
        some = "seed" if len(of_each) == 1 else "seeds"
        yield f"Left out, for not all {len(words)} words: {some} {_listed(of_each)}."
    if 0 < len(one.seeds) < ENOUGH:
        yield f"Fewer than {ENOUGH} seeds decide nothing: this is a first look."
    lost = [
        f"{row.factorization} {count} {state}"
        for row in one.rows
        for count, state in ((row.diverged, "diverged"), (row.failed, "failed"))
        if count
    ]
    if lost:
        yield f"Lost trials: {_listed(lost)}; `lcma status` says why."
    if one.incomplete or not one.seeds:
        yield _format_next(one)


def _format_next(one: Effects) -> str:
    group = one.group
    if group.overrides is None:
        return "Next: all words of a recipe that no profile here has."
    options = ["--flow", group.flow, "--dataset", group.set_name]
    options += ["--profile", group.profile.split(", ")[0]]
    options += ["--seeds", str(max([ENOUGH, *(seed + 1 for seed in one.incomplete)]))]
    if one.budget is not None:
        options += ["--budget", str(one.budget)]
    options += list_settings(group.overrides)
    if one.map_options is not None:
        options += ["--set", f"maps={one.map_options}"]
    return "Next: " + shlex.join(["lcma", "launch", "words", *map(printable, options)])


def _listed(items: Sequence[str]) -> str:
    named = ", ".join(items[:HANDFUL])
    return named if len(items) <= HANDFUL else f"{named} and {len(items) - HANDFUL} more"
