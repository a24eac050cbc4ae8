"""Effects of the letters of words for a terminal and as JSON."""

from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Group as Lines
from rich.console import RenderableType
from rich.text import Text

from lcma.harness.results.board import COMPARABLE, MIN_SEEDS, Group, name_measure, name_unit
from lcma.harness.results.effects import Effect, Effects
from lcma.harness.results.lookup import label_options
from lcma.harness.show.board import format_titles
from lcma.harness.show.tables import TableColumn, render_table, tabulate
from lcma.harness.text import format_count, format_number
from lcma.sweeps.measures import BITS_PER_DIM

COLUMNS = (
    TableColumn("split", kind="number", of=lambda effect: effect.splits[0]),
    TableColumn("effect", kind="number", places=4, sign=True, of="test.mean"),
    TableColumn("± 95 %", kind="number", places=4, of="test.half_width"),
    TableColumn("se", kind="number", places=4, of="test.standard_error"),
    TableColumn("seeds", kind="number", of="test.n"),
    TableColumn(
        "share",
        right=True,
        of=lambda effect: None if effect.share is None else f"{100 * effect.share:.1f} %",
    ),
)


def render_effects(effects: Sequence[Effects]) -> RenderableType:
    """Return the effects for a terminal of 80 columns or more, and how many tables lack words."""
    parts: list[RenderableType] = []
    shown = [one for one in effects if one.main]
    for one in shown:
        title, under = format_titles(one.group)
        budget = "" if one.budget is None else f", budget {one.budget}"
        maps = "" if one.map_options is None else f", maps {label_options(one.map_options)}"
        table = tabulate(one.main, *COLUMNS, title=f"{title}{budget}", under=f"{under}{maps}")
        parts += [render_table(table), *map(Text, _list_notes(one)), Text()]
    if left_out := len(effects) - len(shown):
        tables = format_count(left_out, "table")
        parts.append(Text(f"No effects in {tables}, for want of all words at one seed."))
    if shown:
        parts.append(Text(_describe_convention(shown[0].group), style="dim"))
    else:
        parts.append(Text("Next: lcma launch words"))
    return Lines(*parts)


def _list_notes(one: Effects) -> Iterator[str]:
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
    if one.incomplete:
        yield f"Left out, for not all words: {format_count(len(one.incomplete), 'seed')}."
    if len(one.seeds) < MIN_SEEDS:
        yield f"Fewer than {MIN_SEEDS} seeds decide nothing: this is a first look."


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
_OWN = ("budget", "map_options", "seeds", "interactions_share", "incomplete")


def _as_dict(one: Effects) -> dict[str, Any]:
    return {
        **{name: getattr(one.group, name) for name in _GROUP},
        **{name: getattr(one, name) for name in _OWN},
        "main": list(map(_effect_as_dict, one.main)),
        "interactions": list(map(_effect_as_dict, one.interactions)),
    }


def _effect_as_dict(effect: Effect) -> dict[str, Any]:
    test = {name: getattr(effect.test, name) for name in ("mean", "standard_error", "low", "high")}
    return {"splits": effect.splits, **test, "share": effect.share}
