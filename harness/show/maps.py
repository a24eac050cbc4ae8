"""Contribution maps and the index tables that they make: pictures, tables of numbers, and JSON."""

import itertools
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np

from lcma.db import ContributionMap, Store
from lcma.harness.files import make_file_name
from lcma.harness.results.map_statistics import find_exit_splits
from lcma.harness.results.maps import (
    NATS,
    WORDS,
    MapReader,
    MapSet,
    Record,
    image_shape,
    iou_by_chance,
    list_map_sets,
    make_all_tables,
    make_word_tables,
    series_key,
)
from lcma.harness.show.grids import (
    SCALE_WIDTH,
    Colours,
    Panel,
    channel_names,
    colour_exits,
    draw_grid,
    draw_tables,
    exit_legend,
)
from lcma.harness.show.tables import Table, TableColumn, tabulate
from lcma.harness.show.targets import PictureTarget
from lcma.sweeps.errors import UserError

_TABLE_GAP = 24
"""Pixels between a map and its table."""

_SIDE = 96
"""Largest side of a panel, in pixels."""


@dataclass(frozen=True)
class MapSheet:
    """A set of maps in numbers and pictures."""

    set: MapSet
    splits: Sequence[Record]  # statistics of each split
    maps: Path  # picture of these maps and those of other budgets
    tables: Path  # picture of the tables of every factorization


def draw_maps(store: Store, sets: Iterable[MapSet], target: PictureTarget) -> list[MapSheet]:
    """Draw maps, the budgets of a pretraining in one picture, and every factorization's tables.

    Raises UserError where maps are damaged or a picture cannot be written.
    """
    reader = MapReader(store, list_map_sets(store))
    sheets = []
    ordered = sorted(sets, key=lambda map_set: (*series_key(map_set), map_set.budget))
    for _, group in itertools.groupby(ordered, key=series_key):
        series = list(group)
        overview = _draw_series(reader, series, target)
        for map_set in series:
            maps = reader.maps(map_set)
            tables = draw_tables(
                make_all_tables(maps, map_set.seed, map_set.letters),
                image_shape(maps),
                target.path(f"tables-{_name_file(map_set, with_budget=True)}"),
                f"Index tables: {map_set.heading}, budget {map_set.budget}",
            )
            splits = reader.summarize(map_set)
            sheets.append(MapSheet(map_set, splits, overview, tables))
    return sheets


def list_pictures(sheets: Sequence[MapSheet]) -> list[Path]:
    """Return the pictures of the sheets in order, each once."""
    return list(dict.fromkeys(path for s in sheets for path in (s.maps, s.tables)))


def _draw_series(reader: MapReader, series: Sequence[MapSet], target: PictureTarget) -> Path:
    first = series[0]
    kind, meaning = "Maps", "the values by which dimensions are ranked before each split"
    if first.unit == NATS:
        kind, meaning = "Contribution maps", "what each dimension adds to the log-determinant"
    return draw_map_grid(
        {f"budget {map_set.budget}": reader.maps(map_set) for map_set in series},
        f"{kind}: {first.heading}",
        [meaning],
        target.path(f"maps-{_name_file(first, with_budget=len(series) == 1)}"),
        first.letters[0],
        first.unit,
    )


def _name_file(map_set: MapSet, *, with_budget: bool) -> str:
    budget = [f"b{map_set.budget}"] if with_budget else []
    ids = map_set.pretraining_id[:8], map_set.data_digest[:8]
    return make_file_name(
        map_set.flow, map_set.dataset, *budget, f"s{map_set.seed}", *ids, map_set.score
    )


def draw_map_grid(
    named: Mapping[str, Sequence[ContributionMap]],
    title: str,
    below: Sequence[str],
    path: Path,
    letter: str = "L",
    unit: str = NATS,
) -> Path:
    """Draw maps below each other by split, each beside the table that its word makes.

    A row has all channels of a map, their mean, and the channels of the table. The maps of a split
    share one scale of colours. Raises UserError where the maps differ in shape or number of splits,
    or the file cannot be written.

    Args:
        named: Maps by split, under their names.
        title: Of the picture.
        below: Lines under the title.
        path: The file.
        letter: The only letter of the word.
        unit: Of the maps.
    """
    (splits, shape), *others = {(len(maps), image_shape(maps)) for maps in named.values()}
    if others:
        raise UserError(
            f"{path.name}: its maps differ in shape or number of splits: go back to a copy of the "
            "database"
        )
    exits = [find_exit_splits(make_word_tables(letter, maps), shape) for maps in named.values()]
    names = channel_names(shape[0])
    rows = []
    for split in range(1, splits + 1):
        shown = [_add_mean(maps[split - 1]) for maps in named.values()]
        colours = Colours.of(np.stack(shown), unit)
        for k, heading in enumerate(named):
            panels = _make_panels(map(colours.paint, shown[k]), (*names, "mean"))
            above = f"split {split}, {heading}"
            panels[0] = replace(panels[0], heading=above, gap=SCALE_WIDTH, colours=colours)
            table = _make_panels(colour_exits(exits[k], split, splits), names)
            table[0] = replace(table[0], heading=WORDS[letter], gap=_TABLE_GAP)
            rows.append([*panels, *table])
    return draw_grid(path, rows, title, below, exit_legend(splits))


def _add_mean(item: ContributionMap) -> Any:
    """Return the channels of a map and, of several, their mean."""
    values = np.asarray(item.values, dtype=np.float64)
    return values if len(values) == 1 else np.concatenate([values, values.mean(0, keepdims=True)])


def _make_panels(images: Iterable[Any], names: Sequence[str]) -> list[Panel]:
    return [
        Panel(rgb, max(1, _SIDE // max(rgb.shape[:2])), name)
        for rgb, name in zip(images, names, strict=False)
    ]


# Numbers


def tabulate_maps(sheets: Sequence[MapSheet]) -> list[Table]:
    """Return a table of statistics of the maps, and a table of the index tables of low."""
    ids_by_heading: dict[str, list[str]] = defaultdict(list)
    for sheet in sheets:
        ids_by_heading[sheet.set.heading].append(sheet.set.id)
    units = {sheet.set.unit for sheet in sheets}
    rows = [
        split | {"maps": "" if k else sheet.set.id}
        for sheet in sheets
        for k, split in enumerate(sheet.splits)
    ]
    chance = ", ".join(f"{iou_by_chance(k):.3f}" for k in sorted({row["split"] for row in rows}))
    return [
        tabulate(
            rows,
            TableColumn("maps", of=itemgetter("maps")),
            _column("split", "split", "{}"),
            _column("mask share", "mask_share"),
            _column("by chance", "mask_share_by_chance"),
            _column("s.e.", "standard_error", "{:.2g}"),
            _column("rank gap", "rank_gap", "{:.2g}"),
            _column("error / gap", "error_to_gap", "{:.2g}"),
            _column("unresolved", "unresolved", "{:.1%}"),
            _column("tied", "tied", "{:.1%}"),
            subtitle=f"Maps, in {units.pop()}" if len(units) == 1 else "Maps",
            notes=tuple(f"{', '.join(ids)}: {heading}" for heading, ids in ids_by_heading.items()),
        ),
        tabulate(
            [(row["low"] or {}) | {name: row[name] for name in ("maps", "split")} for row in rows],
            TableColumn("maps", of=itemgetter("maps")),
            _column("split", "split", "{}"),
            _column("even IoU", "iou_even"),
            _column("odd IoU", "iou_odd"),
            _column("purity", "purity"),
            _column("channel purity", "channel_purity"),
            _column("halves IoU", "agreement"),
            _column("seeds IoU", "iou_other_seeds"),
            _column("budgets IoU", "iou_other_budgets"),
            subtitle="Tables of low: which dimensions stay",
            notes=(
                f"By chance, even and odd: 0.333; halves, seeds and budgets, by split: {chance}",
            ),
        ),
    ]


def maps_as_records(sheets: Sequence[MapSheet]) -> list[Record]:
    """Return a record for each set of maps, with one for each split, for JSON."""
    return [
        {"id": sheet.set.id}
        | {name: value for name, value in asdict(sheet.set).items() if name != "model"}
        | {"splits": list(sheet.splits)}
        | {"pictures": {"maps": str(sheet.maps), "tables": str(sheet.tables)}}
        for sheet in sheets
    ]


def _column(heading: str, name: str, form: str = "{:z.3f}") -> TableColumn:
    def find(row: Record) -> str | None:
        return None if row.get(name) is None else form.format(row[name])

    return TableColumn(heading, right=True, of=find)
