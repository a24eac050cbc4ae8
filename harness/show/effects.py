"""Effects of the letters of words for a terminal and as JSON."""

from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Group as Lines
from rich.console import RenderableType
from rich.text import Text

from lcma.harness.results.board import COMPARABLE_FACTS, MIN_SEEDS, Group, name_measure, name_unit
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
    shown = [table for table in effects if table.main]
    for of_group in shown:
        title, subtitle = format_titles(of_group.group)
        budget = "" if of_group.budget is None else f", budget {of_group.budget}"
        maps = (
            "" if of_group.map_options is None else f", maps {label_options(of_group.map_options)}"
        )
        titles = {"title": f"{title}{budget}", "subtitle": f"{subtitle}{maps}"}
        table = tabulate(of_group.main, *COLUMNS, **titles)
        parts += [render_table(table), *map(Text, _list_notes(of_group)), Text()]
    if left_out := len(effects) - len(shown):
        tables = format_count(left_out, "table")
        parts.append(Text(f"No effects in {tables}: no seed has results of all words."))
    if shown:
        parts.append(Text(_describe_convention(shown[0].group), style="dim"))
    else:
        parts.append(Text("Next: lcma launch words"))
    return Lines(*parts)


def _list_notes(effects: Effects) -> Iterator[str]:
    if effects.interactions_share is None:
        measure = name_measure(effects.group.measure)
        yield f"All words have the same mean {measure}: there is nothing to share."
    elif effects.interactions:
        largest = max(effects.interactions, key=lambda e: abs(e.test.mean))
        mean, half = largest.test.mean, largest.test.half_width
        interval = "" if half is None else f" ± {format_number(half)}"
        yield (
            f"Interactions have a share of {100 * effects.interactions_share:.1f} %. The largest, "
            f"of splits {' and '.join(map(str, largest.splits))}: "
            f"{format_number(mean, sign=True)}{interval} (words with an even minus those with an "
            "odd number of H there)."
        )
    if effects.incomplete:
        yield f"Left out: {format_count(len(effects.incomplete), 'seed')} without all words."
    if len(effects.seeds) < MIN_SEEDS:
        yield f"Fewer than {MIN_SEEDS} seeds decide nothing: this is a first look."


def _describe_convention(group: Group) -> str:
    side = "above" if group.direction == "higher" else "below"
    unit = "" if group.measure == BITS_PER_DIM else f", in {name_unit(group.unit)}"
    return (
        f"Effect: {name_measure(group.measure)} of the words with L at the split minus that of the "
        f"words with H there, by seed{unit}; {side} 0 it is better to factor the low contributions "
        "out there. ± 95 %: half of the t-interval over seeds, not corrected for the number of "
        "effects. Share: part of the sum of squares among the word means, including noise."
    )


def effects_as_dict(effects: Sequence[Effects]) -> dict[str, Any]:
    """Return all numbers in full under "effects", ready for JSON; a missing one is None."""
    return {"effects": list(map(_as_dict, effects))}


_GROUP_FIELDS = (*COMPARABLE_FACTS, "profile", "splits", "steps", "measure", "unit", "direction")
_FIELDS = ("budget", "map_options", "seeds", "interactions_share", "incomplete")


def _as_dict(effects: Effects) -> dict[str, Any]:
    return {
        **{name: getattr(effects.group, name) for name in _GROUP_FIELDS},
        **{name: getattr(effects, name) for name in _FIELDS},
        "main": list(map(_effect_as_dict, effects.main)),
        "interactions": list(map(_effect_as_dict, effects.interactions)),
    }


def _effect_as_dict(effect: Effect) -> dict[str, Any]:
    test = {name: getattr(effect.test, name) for name in ("mean", "standard_error", "low", "high")}
    return {"splits": effect.splits, **test, "share": effect.share}
