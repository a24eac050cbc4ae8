"""Pictures from a database: maps with their tables, samples and interpolations."""

import itertools
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lcma.db import JobFacts, Store
from lcma.harness.files import file_name
from lcma.harness.place import Place
from lcma.harness.results.board import factorization_label
from lcma.harness.results.lookup import frame_records, label_options
from lcma.harness.results.maps import (
    NATS,
    MapReader,
    MapSet,
    SplitComparison,
    SplitSummary,
    choose_evenly,
    compare_maps,
    filter_used_sets,
    image_shape,
    list_map_sets,
    make_all_tables,
    series_key,
)
from lcma.harness.results.trials import choose_first_trials, describe_trial
from lcma.harness.show import map_pictures
from lcma.harness.show.grids import (
    Panel,
    Row,
    draw_grid,
    draw_tables,
    take_evenly,
    tile_images,
)
from lcma.harness.show.map_pictures import MOST, MapColumn
from lcma.harness.show.targets import PictureTarget
from lcma.harness.text import short_id
from lcma.harness.train.interpolation import interpolate
from lcma.harness.train.online import SplitHistory
from lcma.harness.train.protocol import PLAIN
from lcma.harness.work import weights
from lcma.sweeps import known_sets
from lcma.sweeps.errors import UserError
from lcma.sweeps.identity import content_id
from lcma.sweeps.measures import BITS_PER_DIM, OF_SAMPLES

SAMPLES = 64
_PIXELS = 64
"""Pixels that the side of an image takes in a row."""

_BESIDE, _GRID, _ALONE = 3, 217, 530
"""Grids side by side, and the most pixels of the side of one of several and of one alone."""


@dataclass(frozen=True)
class MapSheet:
    """A set of maps in numbers and pictures.

    ``maps`` shows other budgets beside this one; ``in_picture`` says whether this one is among
    them.
    """

    set: MapSet
    splits: tuple[SplitSummary, ...]
    maps: Path
    in_picture: bool
    tables: Path


@dataclass(frozen=True)
class ComparisonSheet:
    """Two sets of maps compared: numbers, and the picture."""

    one: MapSet
    other: MapSet
    splits: tuple[SplitComparison, ...]
    picture: Path


@dataclass(frozen=True)
class HistorySheet:
    """The tables that a trial of `online` had on the way, by split, and the picture."""

    trial: JobFacts
    splits: list[SplitHistory]
    picture: Path


@dataclass(frozen=True)
class InterpolationSheet:
    """Images between two test images of a trained flow's data set, by their indices.

    ``iterations`` and ``settled`` are those of `interpolation.Interpolation`.
    """

    trial: JobFacts
    first: int
    last: int
    row: Path
    iterations: int | None
    settled: bool


def draw_maps(store: Store, sets: Iterable[MapSet], target: PictureTarget) -> list[MapSheet]:
    """Draw maps, the budgets of a pretraining side by side, and every factorization's tables.

    Raises UserError where maps are damaged or a picture cannot be written.
    """
    reader = MapReader(store, list_map_sets(store))
    sheets = []
    ordered = sorted(sets, key=lambda one: (*series_key(one), one.budget))
    for _, group in itertools.groupby(ordered, key=series_key):
        series = list(group)
        shown = choose_evenly(series, MOST)
        overview = _draw_overview(reader, shown, series, target)
        for one in series:
            splits, tables = tuple(reader.summarize(one)), _draw_tables(reader, one, target)
            sheets.append(MapSheet(one, splits, overview, one in shown, tables))
    return sheets


def draw_comparison(
    store: Store, one: MapSet, other: MapSet, target: PictureTarget
) -> ComparisonSheet:
    """Compare two sets of maps, and draw them with their difference.

    Raises UserError where they differ in shape or number of splits, are damaged, or the picture
    cannot be written.
    """
    reader = MapReader(store, ())
    maps, others = reader.maps(one), reader.maps(other)
    form = "squeezed" if one.nms == other.nms == "squeezed" else "flat"
    numbers = compare_maps(maps, others, form, (one.letters, other.letters))
    drawn = map_pictures.draw_comparison(
        MapColumn(one.id, maps, one.letters[0]),
        MapColumn(other.id, others, other.letters[0]),
        ("A: " + _describe_set(one), "B: " + _describe_set(other)),
        target.path(f"compare-{file_name(one.id, other.id)}"),
    )
    return ComparisonSheet(one, other, tuple(numbers), drawn)


def draw_histories(
    store: Store, place: Place, trials: Sequence[JobFacts], target: PictureTarget
) -> tuple[list[HistorySheet], str]:
    """Draw the tables that trials of `online` had on the way, a picture for each trial.

    Trials that left no file of it, such as all of a published database, are passed over.

    Returns:
        What was drawn, and a line on the trials whose history cannot be read, '' for none.

    Raises UserError where a picture cannot be written.
    """
    sheets, problems = list[HistorySheet](), list[str]()
    left = store.artifacts([one.job_id for one in trials])
    for one in trials:
        if not any(artifact.kind == "tables" for artifact in left.get(one.job_id, [])):
            continue
        try:
            history = weights.load_history(store, place, one)
        except UserError as error:
            problems.append(str(error))
            continue
        path = target.path(_name_picture("history", one))
        title = f"Tables in training: {describe_trial(one)}"
        sheets.append(HistorySheet(one, history, map_pictures.draw_history(history, title, path)))
    more = f" (and so for {len(problems) - 1} more)" if len(problems) > 1 else ""
    return sheets, f"a history is not drawn: {problems[0]}{more}" if problems else ""


def draw_samples(
    store: Store,
    place: Place,
    trials: Iterable[JobFacts],
    target: PictureTarget,
    *,
    together: bool = False,
    sets: bool = False,
    count: int = SAMPLES,
    temperature: float = 1.0,
    seed: int = 0,
) -> list[tuple[JobFacts, Path]]:
    """Draw samples of each trial, all from noise of one seed.

    With ``together`` it is one figure for each flow and data set: all trials beside test images,
    that of the fewest bits/dim first; with ``sets`` one for each flow, without an image of any set.
    Beside a grid stand rule, bits/dim and what samples were measured by. Returns the trials, each
    with the path of its figure. Raises UserError as `weights.load_trained`, `weights.load_data` and
    `weights.draw_samples` do.
    """
    drawn = []
    usual = (count, temperature, seed) == (SAMPLES, 1.0, 0)
    options = (f"n{count}", f"t{temperature:g}", f"r{seed}")
    for group in _group_trials(trials, together=together, sets=sets):
        panels, figure = list[Panel](), _measure_trials(store, group)
        for measures, one in figure:
            flow, _ = weights.load_trained(store, place, one)
            lines = [
                *_tell_apart(one, group),
                *(_MEASURE_LINES[name].format(value) for name, value in measures.items()),
            ]
            images = weights.draw_samples(flow, count, seed, temperature)
            name = factorization_label(one.factorization_or_kind)
            if sets:
                lines, name = [name, *lines], known_sets.set_name(one.dataset, one.variant)
            panels.append(_tile_square(images, name, lines, _GRID if together else _ALONE))
        (_, one), *_ = figure
        path = target.path(_name_picture("samples", one, *(() if usual else options)))
        if together:
            ids = sorted(one.job_id for one in group)  # a trial has one for each content
            where = "sets" if sets else one.dataset
            which = content_id("samples", {"jobs": ids})[:8]
            path = target.path(file_name("samples-together", one.flow, where, which, *options))
        if together and not sets:
            test = take_evenly(weights.load_data(place, one).part("test").images, count)
            panels.insert(0, _tile_square(test, "test images", (), _GRID))
        seeds = ", ".join(dict.fromkeys(str(one.seed) for _, one in figure))
        title = f"{one.flow}{'' if sets else f' on {one.dataset}'}, seed {seeds}"
        rows = [Row(panels[k : k + _BESIDE]) for k in range(0, len(panels), _BESIDE)]
        below = [] if temperature == 1 else [f"drawn at temperature {temperature:g}"]
        path = draw_grid(path, rows, title, below)
        drawn += [(one, path) for _, one in figure]
    return drawn


def _group_trials(
    trials: Iterable[JobFacts], *, together: bool, sets: bool
) -> list[list[JobFacts]]:
    if not together:
        return [[one] for one in trials]
    ordered = sorted(trials, key=_set_of)
    groups = itertools.groupby(ordered, key=lambda one: _set_of(one)[: 1 if sets else None])
    return [list(group) for _, group in groups]


def _tile_square(images: NDArray[np.uint8], name: str, lines: Sequence[str], side: int) -> Panel:
    columns = math.ceil(math.sqrt(len(images)))
    scale = max(1, (side - 2 * (1 + columns)) // (columns * images.shape[-1]))
    return Panel(tile_images(images, columns, scale), 1, name, caption=tuple(lines), gap=12)


def _tell_apart(one: JobFacts, members: Sequence[JobFacts]) -> list[str]:
    """Return short lines on how a trial differs from others on its set; alone, what its map is."""
    alike = [m for m in members if (m.dataset, m.variant) == (one.dataset, one.variant)]
    options = None if one.map_options is None else label_options(one.map_options)
    said = {
        "seed": f"seed {one.seed}",
        "budget": f"@{one.budget}",
        "map_options": f"maps {options}",
        "steps": f"{one.steps} steps",
        "recipe_id": f"recipe {short_id(one.recipe_id)}",
        "data_digest": f"data {short_id(one.data_digest)}",
    }
    shown = {name for name in said if len({getattr(other, name) for other in alike}) > 1}
    shown |= set() if members[1:] else {"budget", "map_options"}
    return [text for name, text in said.items() if name in shown and getattr(one, name) is not None]


_MEASURE_LINES = {BITS_PER_DIM: "{:.3f} bits/dim"} | {name: name + " {:.3g}" for name in OF_SAMPLES}


def _set_of(one: JobFacts) -> tuple[str, ...]:
    return one.flow, one.dataset, one.data_digest


def _measure_trials(
    store: Store, trials: Sequence[JobFacts]
) -> list[tuple[dict[str, float], JobFacts]]:
    """Return trials with bits/dim and measures of samples, on each set the best first.

    A measure is by one protocol for all trials: the plain one, or the only one that all have.
    """
    keys = [(one.subject, one.data_digest) for one in trials]
    rows = store.view("measures", trial_id=[key[0] for key in keys], measure=list(_MEASURE_LINES))
    found: dict[str, defaultdict[tuple[str, str], dict[tuple[str, str], float]]]
    found = {name: defaultdict(dict) for name in _MEASURE_LINES}
    for row in frame_records(rows):
        if (key := (row["trial_id"], row["data_digest"])) in keys:
            found[row["measure"]][row["protocol"], row["precision"]][key] = float(row["value"])
    measures = [dict[str, float]() for _ in trials]
    for name, by_protocol in found.items():
        shared = [one for one, values in by_protocol.items() if len(values) == len(set(keys))]
        plain = sorted(one for one in shared if one[0] == PLAIN.name)
        if plain or len(shared) == 1:
            values = by_protocol[[*plain, *shared][0]]
            for of_trial, key in zip(measures, keys, strict=True):
                of_trial[name] = values[key]
    return sorted(
        zip(measures, trials, strict=True),
        key=lambda pair: (_set_of(pair[1]), pair[0].get(BITS_PER_DIM, math.inf)),
    )


def draw_interpolations(
    store: Store,
    place: Place,
    trials: Iterable[JobFacts],
    target: PictureTarget,
    *,
    between: tuple[int, int],
    steps: int = 9,
    spherical: bool = False,
) -> list[InterpolationSheet]:
    """Draw a row of images for each trial, from one test image to another.

    Raises UserError as `weights.load_trained` does, and for images that are not there.
    """
    first, last = between
    sheets = []
    for one in trials:
        test = weights.load_data(place, one).part("test").images
        for index in between:
            if not 0 <= index < len(test):
                raise UserError(
                    f"--between {index}: {one.dataset} has {len(test)} test images, from 0 on"
                )
        flow, recipe = weights.load_trained(store, place, one)
        found = interpolate(flow, test[first], test[last], steps, spherical=spherical)
        options = (f"i{first}", f"j{last}", f"n{steps}", *(("spherical",) if spherical else ()))
        path = target.path(_name_picture("interpolation", one, *options))
        title = f"The way between two images by {describe_trial(one)}"
        grid = tile_images(found.images, steps, max(1, _PIXELS // recipe.model.size))
        below = [f"from test image {first} to {last}"]
        row = draw_grid(path, [Row([Panel(grid, 1, gap=0)])], title, below)
        sheets.append(InterpolationSheet(one, first, last, row, found.iterations, found.settled))
    return sheets


def draw_sweep(store: Store, place: Place, sweep_id: str, folder: Path) -> tuple[list[Path], str]:
    """Draw maps, tables, their histories and samples of a sweep: each cell's first trained seed.

    Returns:
        The pictures' paths, and a line on histories that cannot be read, '' for none.
    """
    target, trials = PictureTarget(folder), choose_first_trials(store, sweep_id)
    used = {(one.subject, one.data_digest) for one in trials}
    sets = filter_used_sets(list_map_sets(store), store, used)
    drawn = list_pictures(draw_maps(store, sets, target))
    histories, unread = draw_histories(store, place, trials, target)
    drawn += [one.picture for one in histories]
    return drawn + [path for _, path in draw_samples(store, place, trials, target)], unread


def list_pictures(sheets: Sequence[MapSheet]) -> list[Path]:
    """Return the pictures of the sheets in order, each once."""
    return list(dict.fromkeys(path for s in sheets for path in (s.maps, s.tables)))


def _name_picture(kind: str, one: JobFacts, *options: str) -> str:
    budget = () if one.budget is None else (f"b{one.budget}",)
    what = (one.flow, one.dataset, one.factorization, *budget, f"s{one.seed}", one.subject[:8])
    return file_name(kind, *what, one.data_digest[:8], *options)


def _describe_set(one: MapSet) -> str:
    return f"{one.id}, {one.heading}"


def _draw_overview(
    reader: MapReader, shown: Sequence[MapSet], series: Sequence[MapSet], target: PictureTarget
) -> Path:
    first = shown[0]
    budgets = [one.budget for one in series if one not in shown]
    left_out = f"; budgets not drawn: {', '.join(map(str, budgets))}" if budgets else ""
    name = _file_name(first, with_budget=len(series) == 1)
    what, means = "Maps", "what dimensions are ranked by before each split"
    if first.unit == NATS:
        what, means = "Contribution maps", "what dimensions add to the log-determinant"
    return map_pictures.draw_maps(
        [MapColumn(f"budget {one.budget}", reader.maps(one), one.letters[0]) for one in shown],
        f"{what}: {first.heading}",
        [f"{means}{left_out}"],
        target.path(f"maps-{name}"),
    )


def _draw_tables(reader: MapReader, one: MapSet, target: PictureTarget) -> Path:
    maps = reader.maps(one)
    return draw_tables(
        make_all_tables(maps, one.seed, one.letters),
        image_shape(maps),
        target.path(f"tables-{_file_name(one, with_budget=True)}"),
        f"Index tables: {one.heading}, budget {one.budget}",
    )


def _file_name(one: MapSet, *, with_budget: bool) -> str:
    return file_name(
        one.flow,
        one.dataset,
        *([f"b{one.budget}"] if with_budget else []),
        f"s{one.seed}",
        one.pretraining_id[:8],
        one.data_digest[:8],
        one.score,
    )
