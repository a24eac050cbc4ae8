"""Pictures from a database: maps with their tables, samples and interpolations."""

import itertools
import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

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
from lcma.harness.run import weights
from lcma.harness.show import map_pictures
from lcma.harness.show.map_pictures import MOST, MapColumn
from lcma.harness.show.pictures import (
    SampleGrid,
    draw_sample_grids,
    draw_tables,
    sample_grid,
)
from lcma.harness.show.targets import FigureWidth, PictureTarget
from lcma.harness.text import short_id
from lcma.harness.train.features import LITE0
from lcma.harness.train.interpolation import interpolate
from lcma.harness.train.online import SplitHistory
from lcma.harness.train.protocol import PLAIN
from lcma.harness.train.samples import SampleProtocol, Sampling
from lcma.sweeps import known_sets
from lcma.sweeps.errors import UserError
from lcma.sweeps.identity import content_id
from lcma.sweeps.measures import BITS_PER_DIM, KID, OF_SAMPLES

COLUMNS = 8
SAMPLES = 64
_PIXELS = 64
"""Pixels that the side of a sample takes in a grid."""


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
    ordered = sorted(sets, key=lambda one: (*series_key(one), one.key.budget))
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
    form = "squeezed" if one.key.nms == other.key.nms == "squeezed" else "flat"
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


def draw_samples_by_trial(
    store: Store,
    place: Place,
    trials: Iterable[JobFacts],
    target: PictureTarget,
    *,
    count: int = SAMPLES,
    temperature: float = 1.0,
    seed: int = 0,
) -> list[tuple[JobFacts, Path]]:
    """Draw a grid of samples from each trial; return the trials and the pictures' paths.

    Above it stand the trial, bits/dim and what samples were measured by. Raises UserError as
    `weights.load_trained` and `weights.draw_samples` do.
    """
    drawn = []
    drawn_as_usual = (count, temperature, seed) == (SAMPLES, 1.0, 0)
    for one in trials:
        flow, recipe = weights.load_trained(store, place, one)
        images = weights.draw_samples(flow, count, seed, temperature)
        options = () if drawn_as_usual else (f"n{count}", f"t{temperature:g}", f"r{seed}")
        path = target.path(_name_picture("samples", one, *options))
        title = f"Samples of {describe_trial(one)}"
        scale = max(1, _PIXELS // recipe.model.size)
        above = _describe_grid(store, one, temperature)
        drawn.append((one, sample_grid(images, path, COLUMNS, scale, title, above)))
    return drawn


def _describe_grid(store: Store, one: JobFacts, temperature: float) -> list[str]:
    (quality,), notes = _read_qualities(store, [one])
    rule = factorization_label(one.factorization_or_kind)
    at = "" if one.budget is None else f" @{one.budget}"
    options = [] if one.map_options is None else [label_options(one.map_options)]
    facts = [f"{rule}{at}", *options, f"seed {one.seed}", *_format_measures(quality)]
    if temperature != 1:
        notes.insert(0, f"drawn at temperature {temperature:g}")
    lines = [f"{one.flow}, {one.dataset}: {', '.join(facts)}", "; ".join(notes)]
    return [line for line in lines if line]


def draw_samples_together(
    store: Store,
    place: Place,
    trials: Iterable[JobFacts],
    target: PictureTarget,
    width: FigureWidth,
    *,
    sets: bool = False,
    count: int = SAMPLES,
    temperature: float = 1.0,
    seed: int = 0,
) -> list[tuple[JobFacts, Path]]:
    """Draw one figure for each flow and data set: samples of all its trials beside test images.

    With ``sets`` it is one for each flow: samples of all its data sets, without an image of any.
    All are drawn from noise of one seed, on each set the trial of the fewest bits/dim first. Below
    a grid stand bits/dim and what samples were measured by, each by one protocol in the whole
    figure. Returns the trials, each with the path of its figure. Raises UserError as
    `weights.load_trained`, `weights.load_data` and `weights.draw_samples` do.
    """
    drawn = []
    ordered = sorted(trials, key=_set_of)
    for _, group in itertools.groupby(ordered, key=lambda one: _set_of(one)[: 1 if sets else None]):
        found = list(group)
        qualities, below = _read_qualities(store, found)
        members = sorted(
            zip(qualities, found, strict=True),
            key=lambda pair: (_set_of(pair[1]), pair[0].get(BITS_PER_DIM, math.inf)),
        )
        one = members[0][1]
        grids = [] if sets else [_take_test_images(place, one, count)]
        for quality, member in members:
            flow, _ = weights.load_trained(store, place, member)
            images = weights.draw_samples(flow, count, seed, temperature)
            name = factorization_label(member.factorization_or_kind)
            lines = [
                *_tell_apart(member, [other for _, other in members]),
                *_format_measures(quality),
            ]
            if sets:
                lines.insert(0, name)
                name = known_sets.set_name(member.dataset, member.variant)
            grids.append(SampleGrid(name, tuple(lines), images))
        ids = sorted(member.job_id for _, member in members)  # a trial has one for each content
        which = content_id("samples", {"jobs": ids})[:8]
        what = f"n{count}", f"t{temperature:g}", f"r{seed}", width.value
        where = ("sets",) if sets else (one.dataset,)
        name = file_name("samples-together", one.flow, *where, which, *what)
        seeds = dict.fromkeys(str(member.seed) for _, member in members)
        title = f"{one.flow}{'' if sets else f' on {one.dataset}'}, seed {', '.join(seeds)}"
        path = draw_sample_grids(grids, target.path(name), title, width, below)
        drawn += [(member, path) for _, member in members]
    return drawn


def _take_test_images(place: Place, one: JobFacts, count: int) -> SampleGrid:
    test = weights.load_data(place, one).part("test").images
    shown = min(count, len(test))
    some = test[np.arange(shown) * len(test) // shown].round().clip(0, 255)
    return SampleGrid("test images", (), some.astype(np.uint8))


def _tell_apart(one: JobFacts, members: Sequence[JobFacts]) -> list[str]:
    """Return short lines on how a trial differs from others of its rule on its set.

    Its seed is among them where any two differ in it.
    """

    def rule(other: JobFacts) -> tuple[Any, ...]:
        return other.dataset, other.variant, other.factorization

    alike = [other for other in members if rule(other) == rule(one)]
    options = "as usual" if one.map_options is None else label_options(one.map_options)
    said = (
        ("steps", f"{one.steps} steps"),
        ("budget", f"@{one.budget}"),
        ("map_options", f"maps {options}"),
        ("recipe_id", f"recipe {short_id(one.recipe_id)}"),
        ("data_digest", f"data {short_id(one.data_digest)}"),
    )
    seed = [f"seed {one.seed}"] if len({other.seed for other in members}) > 1 else []
    return seed + [
        text for name, text in said if len({getattr(other, name) for other in alike}) > 1
    ]


_MEASURE_LINES = {BITS_PER_DIM: "{:.3f} bits/dim"} | {name: name + " {:.3g}" for name in OF_SAMPLES}


def _format_measures(quality: Mapping[str, float]) -> list[str]:
    return [_MEASURE_LINES[name].format(value) for name, value in quality.items()]


def _set_of(one: JobFacts) -> tuple[str, ...]:
    return one.flow, one.dataset, one.data_digest


def _read_qualities(
    store: Store, trials: Sequence[JobFacts]
) -> tuple[list[dict[str, float]], list[str]]:
    """Return bits/dim and measures of samples of each trial, and what to say of all.

    A measure is by one protocol for all trials, the usual one if they have it, else that of the
    most samples. One that they do not share is left out.
    """
    keys = [(one.subject, one.data_digest) for one in trials]
    rows = store.view("measures", trial_id=[key[0] for key in keys], measure=list(_MEASURE_LINES))
    found: dict[str, defaultdict[tuple[str, str], dict[tuple[str, str], float]]]
    found = {name: defaultdict(dict) for name in _MEASURE_LINES}
    counts = defaultdict[tuple[str, str], set[int]](set)
    for row in frame_records(rows):
        if (key := (row["trial_id"], row["data_digest"])) in keys:
            protocol = row["protocol"], row["precision"]
            found[row["measure"]][protocol][key] = float(row["value"])
            if row["images"] is not None:
                counts[row["measure"], row["protocol"]].add(int(row["images"]))
    qualities = [dict[str, float]() for _ in trials]
    notes, left_out = list[str](), list[str]()
    for name, by_protocol in found.items():
        shared = [
            _MeasuredBy(name, protocol, _read_sampling(store, trials[0], protocol[0]))
            for protocol, values in by_protocol.items()
            if len(values) == len(set(keys))
        ]
        if shared:
            chosen = min(shared, key=attrgetter("order"))
            for quality, key in zip(qualities, keys, strict=True):
                quality[name] = by_protocol[chosen.protocol][key]
            if not chosen.is_usual:
                notes.append(chosen.describe(counts[name, chosen.protocol[0]]))
        elif by_protocol:
            left_out.append(name)
    if left_out:
        notes.append(f"{', '.join(left_out)} left out: not of all by one protocol")
    return qualities, notes


@dataclass(frozen=True)
class _MeasuredBy:
    """A measure by the protocol of a name and precision; ``samples`` is None for no samples."""

    measure: str
    protocol: tuple[str, str]
    samples: SampleProtocol | None

    @property
    def is_usual(self) -> bool:
        """Return whether it is what is taken unless a person asks for another."""
        usual = self.samples is not None and self.samples.sampling == Sampling()
        return usual and not self.other_extractor

    @property
    def other_extractor(self) -> str:
        """Return the name of what sees features where it is not the usual one, else ''."""
        extractor = None if self.samples is None else self.samples.extractor
        return extractor.name if extractor not in (None, LITE0) and self.measure == KID else ""

    @property
    def order(self) -> tuple[Any, ...]:
        """Return the place among several: the usual one, then temperature 1, most samples."""
        if self.samples is None:
            return True, True, 0, self.protocol
        sampling = self.samples.sampling
        return not self.is_usual, sampling.temperature != 1, -sampling.samples, self.protocol

    def describe(self, counts: Collection[int]) -> str:
        """Return how it was measured, on these numbers of samples if they are known."""
        what = "bits/dim" if self.measure == BITS_PER_DIM else self.measure
        if self.samples is None:
            return f"{what}: protocol {self.protocol[0]}"
        sampling = self.samples.sampling
        drawn = "/".join(map(str, sorted(counts or [sampling.samples])))
        by = self.other_extractor and f", by {self.other_extractor}"
        return f"{what}: {drawn} samples, temperature {sampling.temperature:g}{by}"


def _read_sampling(store: Store, one: JobFacts, protocol: str) -> SampleProtocol | None:
    if protocol == PLAIN.name:
        return SampleProtocol()
    result = store.result(one.subject, one.data_digest, protocol)
    try:
        return None if result is None else SampleProtocol.model_validate_json(result.protocol_body)
    except ValidationError:
        return None


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
        title = f"From one test image to another by {describe_trial(one)}"
        row = sample_grid(found.images, path, steps, max(1, _PIXELS // recipe.model.size), title)
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
    return drawn + [path for _, path in draw_samples_by_trial(store, place, trials, target)], unread


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
    budgets = [one.key.budget for one in series if one not in shown]
    left_out = f"; budgets not drawn: {', '.join(map(str, budgets))}" if budgets else ""
    name = _file_name(first, with_budget=len(series) == 1)
    what, means = "Maps", "what dimensions are ranked by before each split"
    if first.unit == NATS:
        what, means = "Contribution maps", "what dimensions add to the log-determinant"
    return map_pictures.draw_maps(
        [MapColumn(f"budget {one.key.budget}", reader.maps(one), one.letters[0]) for one in shown],
        f"{what}: {first.heading}",
        [f"{means}{left_out}"],
        target.path(f"maps-{name}"),
    )


def _draw_tables(reader: MapReader, one: MapSet, target: PictureTarget) -> Path:
    maps = reader.maps(one)
    return draw_tables(
        make_all_tables(maps, one.key.seed, one.letters),
        image_shape(maps),
        target.path(f"tables-{_file_name(one, with_budget=True)}"),
        f"Index tables: {one.heading}, budget {one.key.budget}",
    )


def _file_name(one: MapSet, *, with_budget: bool) -> str:
    key = one.key
    return file_name(
        key.flow,
        key.dataset,
        *([f"b{key.budget}"] if with_budget else []),
        f"s{key.seed}",
        key.pretraining_id[:8],
        key.data_digest[:8],
        key.score,
    )
