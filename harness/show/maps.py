"""Statistics of maps as `lcma maps` prints them: tables, and JSON."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from operator import itemgetter
from typing import Any

from lcma.harness.results.maps import MapSet, iou_by_chance
from lcma.harness.results.trials import describe_trial, trial_as_dict
from lcma.harness.show.gallery import ComparisonSheet, HistorySheet, MapSheet
from lcma.harness.show.tables import Table, TableColumn, tabulate
from lcma.harness.text import format_number

Record = dict[str, Any]


def tabulate_maps(sheets: Sequence[MapSheet]) -> list[Table]:
    """Return the maps in numbers, and the tables of low."""
    splits = sorted({split.split for sheet in sheets for split in sheet.splits})
    by_chance = ", ".join(f"{iou_by_chance(split):.3f}" for split in splits)
    named: dict[str, list[str]] = defaultdict(list)
    for sheet in sheets:
        named[sheet.set.heading].append(sheet.set.id)
    maps = [
        {"maps": _once(sheet.set.id, k), **asdict(split)}
        for sheet in sheets
        for k, split in enumerate(sheet.splits)
    ]
    low = [
        {"maps": _once(sheet.set.id, k), **({} if split.low is None else asdict(split.low))}
        | {"split": split.split}
        for sheet in sheets
        for k, split in enumerate(sheet.splits)
    ]
    return [
        tabulate(
            maps,
            TableColumn("maps", of=itemgetter("maps")),
            _column("split", "split", str),
            _column("mask share", "mask_share", _share),
            _column("by chance", "mask_share_by_chance", _share),
            _column("s.e.", "standard_error", _short),
            _column("rank gap", "rank_gap", _short),
            _column("error / gap", "error_to_gap", _short),
            _column("unresolved", "unresolved", _percent),
            _column("tied", "tied", _percent),
            under=f"Maps{_in_unit(sheet.set for sheet in sheets)}",
            notes=tuple(f"{', '.join(ids)}: {heading}" for heading, ids in named.items()),
        ),
        tabulate(
            low,
            TableColumn("maps", of=itemgetter("maps")),
            _column("split", "split", str),
            _column("even IoU", "iou_even", _share),
            _column("odd IoU", "iou_odd", _share),
            _column("purity", "purity", _share),
            _column("channel purity", "channel_purity", _share),
            _column("halves IoU", "agreement", _share),
            _column("seeds IoU", "iou_other_seeds", _share),
            _column("budgets IoU", "iou_other_budgets", _share),
            _column("tied", "tied", _percent),
            under="Tables of low: which dimensions stay",
            notes=(f"By chance: even, odd 0.333; halves, seeds, budgets {by_chance}",),
        ),
    ]


def tabulate_comparison(sheet: ComparisonSheet) -> Table:
    """Return how two sets of maps differ, split by split."""
    named = {"A": sheet.one, "B": sheet.other}
    unit = _in_unit(named.values())
    return tabulate(
        map(asdict, sheet.splits),
        _column("split", "split", str),
        _column("largest", "largest_difference", lambda value: _short(value, 3)),
        _column("rms", "rms_difference", lambda value: _short(value, 3)),
        _column("rank corr.", "rank_correlation", _share),
        _column("same, in windows", "rank_correlation_in_windows", _share),
        _column("low IoU", "iou_low", _share),
        _column("high IoU", "iou_high", _share),
        _column("by chance", "iou_by_chance", _share),
        under=f"A - B{unit}, rank correlation, and overlap of what stays",
        notes=tuple(f"{name}, {one.id}: {one.heading}" for name, one in named.items()),
    )


def tabulate_histories(sheets: Sequence[HistorySheet]) -> Table:
    """Return when tables changed in training, and in what share of their windows."""
    rows = []
    for sheet in sheets:
        for k, one in enumerate(sheet.splits):
            looks = [*zip(one.steps, one.shares, strict=True)][1:]
            row: Record = {"trial": _once(describe_trial(sheet.trial), k), "split": k + 1}
            for name, look in (("first", looks[:1]), ("last", looks[-1:])):
                row |= {f"{name} step": step for step, _ in look}
                row |= {f"{name} share": share for _, share in look}
            rows.append(row | {"changes": len(looks)})
    return tabulate(
        rows,
        TableColumn("trial", of=itemgetter("trial")),
        *(_column(name, name, str) for name in ("split", "changes", "first step", "last step")),
        *(_column(name, name, _percent) for name in ("first share", "last share")),
        under="Tables that changed in training",
    )


def maps_as_records(sheets: Sequence[MapSheet]) -> list[Record]:
    """Return a record for each set of maps, with one for each split, for JSON."""
    return [
        _set_record(sheet.set)
        | {"splits": [asdict(split) for split in sheet.splits]}
        | {"pictures": {"maps": str(sheet.maps), "tables": str(sheet.tables)}}
        | {"in_picture": sheet.in_picture}
        for sheet in sheets
    ]


def histories_as_records(sheets: Sequence[HistorySheet]) -> list[Record]:
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


def comparison_as_record(sheet: ComparisonSheet) -> Record:
    """Return both sets, and a record for each split, for JSON."""
    return {
        "a": _set_record(sheet.one),
        "b": _set_record(sheet.other),
        "splits": [asdict(split) for split in sheet.splits],
        "picture": str(sheet.picture),
    }


def _set_record(one: MapSet) -> Record:
    return {name: value for name, value in asdict(one).items() if name != "model"}


def _once(text: str, split: int) -> str:
    return text if split == 0 else ""


def _in_unit(sets: Iterable[MapSet]) -> str:
    units = {one.unit for one in sets}
    return f", in {units.pop()}" if len(units) == 1 else ""


def _column(heading: str, name: str, show: Callable[[Any], str]) -> TableColumn:
    def find(row: Record) -> str | None:
        return None if row.get(name) is None else show(row[name])

    return TableColumn(heading, right=True, of=find)


def _share(value: float) -> str:
    return format_number(value, 3)


def _short(value: float, digits: int = 2) -> str:
    return f"{value:.{digits}g}"


def _percent(value: float) -> str:
    return f"{value:.1%}"
