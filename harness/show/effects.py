"""Effects of the letters of words as tables for a terminal and as JSON."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Group as Lines
from rich.console import RenderableType
from rich.text import Text

from lcma.harness.results.board import COMPARABLE, Group, name_measure, name_unit
from lcma.harness.results.effects import Effect, Effects
from lcma.harness.results.lookup import label_options
from lcma.harness.show.board import format_titles
from lcma.harness.show.tables import Table, TableColumn, render_table
from lcma.harness.text import format_count, format_number, printable
from lcma.sweeps.measures import BITS_PER_DIM

COLUMNS = (
    TableColumn("split", kind="number"),
    TableColumn("effect", kind="number", places=4, sign=True),
    TableColumn("± 95 %", kind="number", places=4),
    TableColumn("se", kind="number", places=4),
    TableColumn("seeds", kind="number"),
    TableColumn("share", kind="number"),
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


def render_effects(effects: Sequence[Effects]) -> RenderableType:
    """Return the effects for a terminal of 80 columns or more.

    Of groups and budgets without any only the one with most words is shown, if none has any, and
    the others are counted.
    """
    if not effects:
        return Text("No words over L and H here, so no effects. Next: lcma launch words")
    shown = [one for one in effects if one.main] or [max(effects, key=_most_words)]
    parts: list[RenderableType] = []
    for one in shown:
        title, under = _titles(one)
        parts += [Text(title, style="bold"), Text(under, style="dim")]
        if one.main:
            parts += [
                render_table(_table(one)),
                *(Text(line) for line in _left_to_interactions(one)),
            ]
        style = "dim" if one.main else ""
        parts += [*(Text(note, style=style) for note in one.notes), Text()]
    if left_out := len(effects) - len(shown):
        table = "table lacks" if left_out == 1 else "tables lack"
        others = f"{left_out} other {table} words at each seed: --json names them."
        parts += [Text(others, style="dim"), Text()]
    if shown[0].main:
        parts.append(Text(_describe_convention(shown[0].group), style="dim"))
    return Lines(*parts)


def _most_words(one: Effects) -> int:
    """Return how many words the seed with most of them has."""
    words: int = 2**one.group.splits
    return max((words - len(seed.missing) for seed in one.incomplete), default=0)


def effects_as_dict(effects: Sequence[Effects]) -> dict[str, Any]:
    """Return all numbers in full under "effects", ready for JSON; a missing one is None."""
    return {"effects": [_as_dict(one) for one in effects]}


_GROUP = (*COMPARABLE, "profile", "splits", "steps", "measure", "unit", "direction")


def _as_dict(one: Effects) -> dict[str, Any]:
    return {
        **{name: getattr(one.group, name) for name in _GROUP},
        "budget": one.budget,
        "map_options": one.map_options,
        "seeds": one.seeds,
        "main": list(map(_effect_dict, one.main)),
        "interactions": list(map(_effect_dict, one.interactions)),
        "interactions_share": one.interactions_share,
        "incomplete": list(map(asdict, one.incomplete)),
        "lost": one.lost,
        "notes": one.notes,
    }


def _effect_dict(effect: Effect) -> dict[str, Any]:
    test = {name: getattr(effect.test, name) for name in ("mean", "standard_error", "low", "high")}
    return {"splits": effect.splits, **test, "share": effect.share}


def _titles(one: Effects) -> tuple[str, str]:
    group = one.group
    splits = format_count(group.splits, "split")
    budget = "" if one.budget is None else f", budget {one.budget}"
    title = (
        f"{printable(group.dataset)} ({printable(group.variant)}), {printable(group.flow)}, "
        f"{printable(group.profile)}: {group.steps} steps, {splits}{budget}"
    )
    _, under = format_titles(group)
    if one.map_options is not None:
        under += f", maps {printable(label_options(one.map_options))}"
    return title, under


def _table(one: Effects) -> Table:
    rows = tuple(
        (
            effect.splits[0],
            effect.test.mean,
            effect.test.half_width,
            effect.test.standard_error,
            len(one.seeds),
            _percent(effect.share),
        )
        for effect in one.main
    )
    return Table(COLUMNS, rows)


def _left_to_interactions(one: Effects) -> Iterator[str]:
    if one.interactions_share is None:
        yield (
            f"All words have the same mean {name_measure(one.group.measure)}: there is nothing to "
            "share."
        )
    elif one.interactions:
        largest = max(one.interactions, key=lambda e: abs(e.test.mean))
        mean, half = largest.test.mean, largest.test.half_width
        interval = "" if half is None else f" ± {format_number(half)}"
        yield (
            f"{_percent(one.interactions_share)} is left to interactions; the largest, of splits "
            f"{' and '.join(map(str, largest.splits))}: {format_number(mean, sign=True)}"
            f"{interval} (even minus odd number of H there)."
        )


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"
