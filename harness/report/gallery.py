"""Pictures of what the database holds: maps with their tables, and samples."""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from db import Store
from harness.place import Place
from harness.report import (
    comparing,
    lookup,
    map_pictures,
    mapping,
    mapsets,
    pictures,
    samples,
)
from harness.report.comparing import SplitComparison
from harness.report.files import file_name
from harness.report.lookup import TrainedTrial
from harness.report.map_pictures import MOST, Column
from harness.report.mapping import Reader, SplitSummary
from harness.report.mapsets import MapSet
from harness.report.ranking import label
from harness.report.text import short

COLUMNS = 8
SAMPLES = 64
_PIXELS = 64
"""Pixels that the side of a sample takes in a grid."""


@dataclass(frozen=True)
class MapSheet:
    """A set of maps: numbers, and pictures. ``maps`` shows other budgets beside this one.

    ``in_picture`` says whether this one is among them.
    """

    set: MapSet
    splits: tuple[SplitSummary, ...]
    maps: Path
    in_picture: bool
    tables: Path


@dataclass(frozen=True)
class ComparisonSheet:
    """Two sets of maps against each other: numbers, and the picture."""

    one: MapSet
    other: MapSet
    splits: tuple[SplitComparison, ...]
    picture: Path


@dataclass(frozen=True)
class SampleSheet:
    """Samples of one trained flow."""

    trial: TrainedTrial
    grid: Path


def draw_maps(store: Store, sets: Iterable[MapSet], folder: Path) -> list[MapSheet]:
    """Draw maps, the budgets of a pretraining side by side, and every factorization's tables.

    Raises UserError where maps are damaged or a picture cannot be written.
    """
    reader = Reader(store, mapsets.known(store))
    sheets = []
    ordered = sorted(sets, key=lambda one: (*_series(one), one.key.budget))
    for _, group in itertools.groupby(ordered, key=_series):
        series = list(group)
        shown = evenly(series, MOST)
        overview = _draw_overview(reader, shown, series, folder)
        for one in series:
            sheets.append(
                MapSheet(
                    set=one,
                    splits=tuple(reader.summarize(one)),
                    maps=overview,
                    in_picture=one in shown,
                    tables=_draw_tables(reader, one, folder),
                )
            )
    return sheets


def draw_comparison(store: Store, one: MapSet, other: MapSet, folder: Path) -> ComparisonSheet:
    """Hold two sets of maps against each other, and draw them with their difference.

    Raises UserError where they differ in shape or number of splits, are damaged, or the picture
    cannot be written.
    """
    reader = Reader(store, ())
    maps, others = reader.maps(one), reader.maps(other)
    form = "squeezed" if one.key.nms == other.key.nms == "squeezed" else "flat"
    numbers = comparing.compare(maps, others, form)
    drawn = map_pictures.draw_comparison(
        Column(one.id, maps),
        Column(other.id, others),
        numbers,
        ("A: " + _in_full(one), "B: " + _in_full(other)),
        folder / f"compare-{file_name(one.id, other.id)}.png",
    )
    return ComparisonSheet(one, other, tuple(numbers), drawn)


def evenly(series: Sequence[MapSet], most: int) -> list[MapSet]:
    """At most that many of them, evenly spaced, the first and the last among them."""
    if len(series) <= most:
        return list(series)
    return [series[round(k * (len(series) - 1) / (most - 1))] for k in range(most)]


def draw_samples(
    store: Store,
    place: Place,
    trials: Iterable[TrainedTrial],
    folder: Path,
    *,
    count: int = SAMPLES,
    temperature: float = 1.0,
    seed: int = 0,
) -> list[SampleSheet]:
    """Draw a grid of samples from each trial; see `samples.draw_samples` and its errors."""
    sheets = []
    drawn_as_usual = (count, temperature, seed) == (SAMPLES, 1.0, 0)
    for one in trials:
        flow, recipe = samples.load_flow(store, place, one.trial_id)
        images = samples.draw_samples(flow, count, seed, temperature)
        name = file_name(
            *("samples", one.flow, one.dataset, one.factorization),
            *(() if one.budget is None else (f"b{one.budget}",)),
            *(f"s{one.seed}", one.trial_id[:8]),
            *(() if drawn_as_usual else (f"n{count}", f"t{temperature:g}", f"r{seed}")),
        )
        scale = max(1, _PIXELS // recipe.model.size)
        grid = pictures.sample_grid(images, folder / f"{name}.png", COLUMNS, scale)
        sheets.append(SampleSheet(one, grid))
    return sheets


def first_of_each(store: Store, sweep_id: str) -> list[TrainedTrial]:
    """Each factorization of a sweep at the first seed that has weights; empty if none has."""
    members = [member.trial_id for member in store.members(sweep_id)]
    kept = [one for one in lookup.trained(store, members) if one.weights]
    first = min((one.seed for one in kept), default=0)
    found: dict[tuple[object, ...], TrainedTrial] = {}
    for one in kept:
        if one.seed == first:
            found.setdefault((one.flow, one.dataset, one.factorization, one.budget), one)
    return list(found.values())


def draw_sweep(store: Store, place: Place, sweep_id: str, folder: Path) -> list[Path]:
    """Maps, tables and samples of a sweep at its first trained seed; the pictures' paths."""
    trials = first_of_each(store, sweep_id)
    used = {(one.trial_id, one.data_digest) for one in trials}
    sets = mapsets.used_by(mapsets.known(store), store, used)
    drawn = paths(draw_maps(store, sets, folder))
    return drawn + [sheet.grid for sheet in draw_samples(store, place, trials, folder)]


def named(one: TrainedTrial) -> str:
    """A trial in a few words."""
    at = "" if one.budget is None else f" at budget {one.budget}"
    trial = short(one.trial_id)
    what = label(one.factorization)
    return f"{one.flow} on {one.dataset}, {what}{at}, seed {one.seed} ({trial})"


def paths(sheets: Sequence[MapSheet]) -> list[Path]:
    """The pictures of the sheets in order, each once."""
    return list(dict.fromkeys(path for s in sheets for path in (s.maps, s.tables)))


def _series(one: MapSet) -> tuple[str, str, int, str, str, str]:
    """The same for sets that stand side by side in one picture."""
    key = one.key
    return (key.dataset, key.flow, key.seed, key.pretraining_id, key.data_digest, key.score)


def _in_full(one: MapSet) -> str:
    return f"{one.id}, {one.of_pretraining}, budget {one.key.budget}; {one.options}"


def _draw_overview(
    reader: Reader, shown: Sequence[MapSet], series: Sequence[MapSet], folder: Path
) -> Path:
    first = shown[0]
    budgets = [one.key.budget for one in series if one not in shown]
    left_out = f"; not drawn: {', '.join(map(str, budgets))}" if budgets else ""
    below = f"{' '.join(one.id for one in shown)}{left_out}"
    name = _file_name(first, with_budget=len(series) == 1)
    return map_pictures.draw_maps(
        [Column(f"budget {one.key.budget}", reader.maps(one)) for one in shown],
        f"Contribution maps: {first.of_pretraining}; {first.options}",
        below,
        folder / f"maps-{name}.png",
    )


def _draw_tables(reader: Reader, one: MapSet, folder: Path) -> Path:
    maps = reader.maps(one)
    return pictures.draw_tables(
        mapping.every_table(maps, one.key.seed),
        mapping.shape_of(maps),
        folder / f"tables-{_file_name(one, with_budget=True)}.png",
        f"Index tables: {one.of_pretraining}, budget {one.key.budget}; {one.options}",
    )


def _file_name(one: MapSet, *, with_budget: bool) -> str:
    key = one.key
    return file_name(
        *(key.flow, key.dataset, *([f"b{key.budget}"] if with_budget else []), f"s{key.seed}"),
        *(key.pretraining_id[:8], key.data_digest[:8], key.score),
    )
