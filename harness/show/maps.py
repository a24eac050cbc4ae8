"""Statistics of maps as `lcma maps` prints them: lines for a terminal of 80 columns, and JSON."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from rich.console import Group
from rich.text import Text

from lcma.db import MapStatistics
from lcma.harness.results.maps import MapSet, SplitSummary, WordTable, iou_by_chance
from lcma.harness.results.trials import describe_trial, trial_as_dict
from lcma.harness.show.gallery import ComparisonSheet, HistorySheet, MapSheet
from lcma.harness.text import format_number, printable
from lcma.harness.train.online import SplitHistory

Numbers = tuple[str, ...]

_MAPS = (
    ("", "split"),
    ("mask", "share"),
    ("by", "chance"),
    ("", "s.e."),
    ("rank", "gap"),
    ("error", "/ gap"),
    ("unre-", "solved"),
    ("", "tied"),
)
_TABLES = (
    ("", "split"),
    ("even", "IoU"),
    ("odd", "IoU"),
    ("", "purity"),
    ("channel", "purity"),
    ("halves", "IoU"),
    ("seeds", "IoU"),
    ("budgets", "IoU"),
    ("", "tied"),
)
_HISTORY = (
    ("", "split"),
    ("", "changes"),
    ("first", "step"),
    ("last", "step"),
    ("first", "share"),
    ("last", "share"),
)
_COMPARED = (
    ("", "split"),
    ("", "largest"),
    ("", "rms"),
    ("rank", "corr."),
    ("same, in", "windows"),
    ("low", "IoU"),
    ("high", "IoU"),
    ("by", "chance"),
)
_UNKNOWN = dict.fromkeys(field.name for field in fields(MapStatistics))


@dataclass(frozen=True)
class NumberBlock:
    """Rows of numbers under a line of text."""

    heading: Text
    rows: Sequence[Numbers]


def render_maps(sheets: Sequence[MapSheet]) -> Group:
    """Return the maps in numbers, and below them the tables of low."""
    maps = [NumberBlock(_heading(s.set), [_map_row(split) for split in s.splits]) for s in sheets]
    low = [
        NumberBlock(
            Text(printable(s.set.id), style="bold"), [_low_row(k.split, k.low) for k in s.splits]
        )
        for s in sheets
    ]
    splits = range(1, max(len(s.splits) for s in sheets) + 1)
    by_chance = ", ".join(f"{iou_by_chance(split):.3f}" for split in splits)
    return Group(
        Text(f"Maps{_in_unit(one.set for one in sheets)}"),
        *_lines(_MAPS, maps),
        Text(""),
        Text("Tables of low: which dimensions stay"),
        *_lines(_TABLES, low),
        Text(f"By chance: even, odd 0.333; halves, seeds, budgets {by_chance}"),
    )


def render_comparison(sheet: ComparisonSheet) -> Group:
    """Return two sets of maps and how they differ."""
    rows = [
        (
            str(s.split),
            _short(s.largest_difference, 3),
            _short(s.rms_difference, 3),
            format_number(s.rank_correlation, 3),
            format_number(s.rank_correlation_in_windows, 3),
            *(format_number(iou, 3) for iou in (s.iou_low, s.iou_high, s.iou_by_chance)),
        )
        for s in sheet.splits
    ]
    named = [Text(f"{k}  ") + _heading(x) for k, x in (("A", sheet.one), ("B", sheet.other))]
    unit = _in_unit([sheet.one, sheet.other])
    what = Text(f"A - B{unit}, rank correlation, and overlap of what stays")
    return Group(*named, Text(""), what, *_lines(_COMPARED, [NumberBlock(Text(), rows)]))


def maps_as_records(sheets: Sequence[MapSheet]) -> list[dict[str, Any]]:
    """Return a record for each set of maps, with one for each split, for JSON."""
    return [
        _set_record(sheet.set)
        | {"splits": [_split_record(split) for split in sheet.splits]}
        | {"pictures": {"maps": str(sheet.maps), "tables": str(sheet.tables)}}
        | {"in_picture": sheet.in_picture}
        for sheet in sheets
    ]


def render_histories(sheets: Sequence[HistorySheet]) -> Group:
    """Return when tables changed in training, and in what share of their windows."""
    blocks = [
        NumberBlock(
            Text(printable(describe_trial(sheet.trial)), style="bold"),
            [_history_row(split, one) for split, one in enumerate(sheet.splits, start=1)],
        )
        for sheet in sheets
    ]
    return Group(Text("Tables that changed in training"), *_lines(_HISTORY, blocks))


def histories_as_records(sheets: Sequence[HistorySheet]) -> list[dict[str, Any]]:
    """Return a record for each trial whose tables changed in training, for JSON."""
    return [
        trial_as_dict(sheet.trial)
        | {
            "splits": [
                {"split": split, "steps": one.steps, "shares": one.shares}
                for split, one in enumerate(sheet.splits, start=1)
            ]
        }
        | {"pictures": {"history": str(sheet.picture)}}
        for sheet in sheets
    ]


def comparison_as_record(sheet: ComparisonSheet) -> dict[str, Any]:
    """Return both sets, and a record for each split, for JSON."""
    return {
        "a": _set_record(sheet.one),
        "b": _set_record(sheet.other),
        "splits": [asdict(split) for split in sheet.splits],
        "picture": str(sheet.picture),
    }


def _set_record(one: MapSet) -> dict[str, Any]:
    more = {"masks": one.masks, "recipes": one.recipes}
    return {"id": one.id} | asdict(one.key) | more


def _split_record(split: SplitSummary) -> dict[str, Any]:
    record = asdict(split)
    statistics = record.pop("statistics") or _UNKNOWN
    words = {name: _word_record(record.pop(name)) for name in ("low", "high")}
    return record | statistics | words


def _word_record(word: dict[str, Any] | None) -> dict[str, Any] | None:
    if word is None:
        return None
    statistics: dict[str, Any] = word.pop("statistics")
    return statistics | word


def _in_unit(sets: Iterable[MapSet]) -> str:
    units = {one.unit for one in sets}
    return f", in {units.pop()}" if len(units) == 1 else ""


def _heading(one: MapSet) -> Text:
    return Text.assemble((printable(one.id), "bold"), "  ", printable(one.heading))


def _map_row(split: SplitSummary) -> Numbers:
    found = split.statistics
    if found is None:
        return (str(split.split), *["-"] * (len(_MAPS) - 1))
    return (
        str(split.split),
        format_number(found.mask_share, 3),
        format_number(found.mask_share_by_chance, 3),
        _short(found.standard_error),
        _short(found.rank_gap),
        _short(found.error_to_gap),
        _percent(found.unresolved),
        _percent(found.tied),
    )


def _low_row(split: int, low: WordTable | None) -> Numbers:
    if low is None:
        return (str(split), *["-"] * (len(_TABLES) - 1))
    numbers = low.statistics
    shares = (
        numbers.iou_even,
        numbers.iou_odd,
        numbers.purity,
        numbers.channel_purity,
        numbers.agreement,
        low.iou_other_seeds,
        low.iou_other_budgets,
    )
    return (str(split), *(format_number(share, 3) for share in shares), _percent(numbers.tied))


def _history_row(split: int, one: SplitHistory) -> Numbers:
    looks = [*zip(one.steps, one.shares, strict=True)][1:]
    ends = [looks[0], looks[-1]] if looks else []
    steps = [str(step) for step, _ in ends] or ["-", "-"]
    shares = [_percent(share) for _, share in ends] or ["-", "-"]
    return (str(split), str(len(looks)), *steps, *shares)


def _lines(headings: Sequence[tuple[str, str]], blocks: Sequence[NumberBlock]) -> Iterable[Text]:
    """Yield numbers in columns that all blocks share."""
    rows = [row for block in blocks for row in block.rows]
    widths = [
        max(map(len, (*heading, *(row[k] for row in rows)))) for k, heading in enumerate(headings)
    ]

    def line(cells: Iterable[str]) -> str:
        return "  ".join(f"{text:>{width}}" for text, width in zip(cells, widths, strict=True))

    for part in zip(*headings, strict=True):
        yield Text(line(part).rstrip(), style="dim")
    for block in blocks:
        if block.heading:
            yield block.heading
        for row in block.rows:
            yield Text(line(row))


def _short(value: float | None, digits: int = 2) -> str:
    return "-" if value is None else f"{value:.{digits}g}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"
