"""Pictures of what the database holds: maps with their tables, and samples."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from db import Store
from harness.place import Place
from harness.report import lookup, mapping, pictures, samples
from harness.report.files import file_name
from harness.report.lookup import MapKey, TrainedTrial
from harness.report.mapping import SplitSummary
from harness.report.ranking import label
from harness.report.text import short

COLUMNS = 8
SAMPLES = 64
_PIXELS = 64
"""Pixels that the side of a sample takes in a grid."""


@dataclass(frozen=True)
class MapSheet:
    """The maps of one pretraining, content of a data set and budget: numbers and pictures."""

    key: MapKey
    splits: tuple[SplitSummary, ...]
    maps: Path
    tables: Path


@dataclass(frozen=True)
class SampleSheet:
    """Samples of one trained flow."""

    trial: TrainedTrial
    grid: Path


def draw_maps(store: Store, keys: Iterable[MapKey], folder: Path) -> list[MapSheet]:
    """Draw maps, and beside them every factorization's tables.

    Raises UserError where maps are damaged or a picture cannot be written.
    """
    sheets = []
    for key in keys:
        stored = store.maps(key.pretraining_id, key.data_digest, key.budget, key.score)
        summaries = mapping.summarize(stored)
        channels, height, width = stored[0].values.shape
        name = file_name(
            *(key.flow, key.dataset, f"b{key.budget}", f"s{key.seed}"),
            *(key.pretraining_id[:8], key.data_digest[:8], key.score),
        )
        of = f"{key.flow} on {key.dataset}, budget {key.budget}, seed {key.seed}"
        drawn = pictures.draw_maps(
            stored, f"Contribution maps ({key.score}): {of}", folder / f"maps-{name}.png"
        )
        tables = pictures.draw_tables(
            mapping.every_table(stored, key.seed),
            (channels, height, width),
            folder / f"tables-{name}.png",
            f"Index tables: {of}",
        )
        sheets.append(MapSheet(key, tuple(summaries), drawn, tables))
    return sheets


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
    origins = {(one.pretraining_id, one.data_digest, one.budget) for one in trials}
    keys = [
        key
        for key in lookup.map_keys(store)
        if (key.pretraining_id, key.data_digest, key.budget) in origins
    ]
    drawn = paths(draw_maps(store, keys, folder))
    return drawn + [sheet.grid for sheet in draw_samples(store, place, trials, folder)]


def named(one: TrainedTrial) -> str:
    """A trial in a few words."""
    at = "" if one.budget is None else f" at budget {one.budget}"
    trial = short(one.trial_id)
    what = label(one.factorization)
    return f"{one.flow} on {one.dataset}, {what}{at}, seed {one.seed} ({trial})"


def paths(sheets: Sequence[MapSheet]) -> list[Path]:
    """The pictures of the sheets in order."""
    return [path for sheet in sheets for path in (sheet.maps, sheet.tables)]
