"""Pictures of trained flows: their samples, and the way between two images."""

import math
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from lcma.db import JobFacts, Store, select_view
from lcma.harness.files import make_file_name
from lcma.harness.measure import weights
from lcma.harness.measure.samples import draw_images, make_sampling
from lcma.harness.place import Place
from lcma.harness.results.board import factorization_label
from lcma.harness.results.lookup import label_options
from lcma.harness.results.maps import filter_read_sets, list_map_sets
from lcma.harness.results.trials import choose_first_trials, describe_trial
from lcma.harness.show.grids import Panel, draw_grid, tile_images
from lcma.harness.show.maps import draw_maps, list_pictures
from lcma.harness.show.targets import PictureTarget
from lcma.harness.train.interpolation import Interpolation, interpolate
from lcma.harness.train.protocol import PLAIN
from lcma.sweeps.errors import UserError
from lcma.sweeps.measures import BITS_PER_DIM, SAMPLE_MEASURES

SAMPLES = 64
_PIXELS, _GRID = 64, 530
"""Pixels that the side of an image takes in a row, and the most that the side of a grid does."""

_MEASURE_LINES = {BITS_PER_DIM: "{:.3f} bits/dim"} | {
    name: name + " {:.3g}" for name in SAMPLE_MEASURES
}


def draw_samples(
    store: Store,
    place: Place,
    trials: Iterable[JobFacts],
    target: PictureTarget,
    *,
    count: int = SAMPLES,
    temperature: float = 1.0,
    seed: int = 0,
) -> list[tuple[JobFacts, Path]]:
    """Draw a grid of samples for each trial, all from noise of one seed.

    Below a grid stand bits/dim and what samples were measured by. Raises UserError as
    `weights.load_flow` and `make_sampling` do.
    """
    drawn, sampling = [], make_sampling(temperature=temperature, seed=seed)
    usual = (count, temperature, seed) == (SAMPLES, 1.0, 0)
    options = () if usual else (f"n{count}", f"t{temperature:g}", f"r{seed}")
    below = [] if temperature == 1 else [f"drawn at temperature {temperature:g}"]
    for one in trials:
        flow, _ = weights.load_flow(store, place, one)
        images, _ = draw_images(flow, count, sampling, seed=0, device=torch.device("cpu"))
        name = factorization_label(one.factorization_or_kind)
        lines = [] if one.budget is None else [f"@{one.budget}"]
        lines += [] if one.map_options is None else [f"maps {label_options(one.map_options)}"]
        lines += _list_measures(store, one)
        grid = Panel(_tile_square(images.numpy()), 1, name, caption=tuple(lines), gap=12)
        title = f"{one.flow} on {one.dataset}, seed {one.seed}"
        path = target.path(_name_picture("samples", one, *options))
        drawn.append((one, draw_grid(path, [[grid]], title, below)))
    return drawn


def _tile_square(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    columns = math.ceil(math.sqrt(len(images)))
    scale = max(1, (_GRID - 2 * (1 + columns)) // (columns * images.shape[-1]))
    return tile_images(images, columns, scale)


def _list_measures(store: Store, one: JobFacts) -> list[str]:
    """Return a trial's bits/dim and measures of samples in words.

    A measure is by the plain protocol, or the only one.
    """
    found: dict[str, dict[tuple[str, str], float]] = defaultdict(dict)
    measures = select_view("measures", trial_id=one.subject, data_digest=one.data_digest)
    for row in store.rows(measures):
        found[row.measure][row.protocol, row.precision] = row.value
    lines = []
    for name, words in _MEASURE_LINES.items():
        values = found[name]
        plain = sorted(key for key in values if key[0] == PLAIN.name)
        if plain or len(values) == 1:
            lines.append(words.format(float(values[[*plain, *values][0]])))
    return lines


def draw_interpolations(
    store: Store,
    place: Place,
    trials: Iterable[JobFacts],
    target: PictureTarget,
    *,
    between: tuple[int, int],
    steps: int = 9,
    spherical: bool = False,
) -> list[tuple[JobFacts, Path, Interpolation]]:
    """Draw a row of images for each trial, from one test image to another, by their indices.

    Raises UserError as `weights.load_flow` does, and for images that are not there.
    """
    first, last = between
    drawn = []
    for one in trials:
        test = weights.load_data(place, one).part("test").images
        for index in between:
            if not 0 <= index < len(test):
                raise UserError(
                    f"--between {index}: {one.dataset} has {len(test)} test images, from 0 on"
                )
        flow, recipe = weights.load_flow(store, place, one)
        found = interpolate(flow, test[first], test[last], steps, spherical=spherical)
        options = (f"i{first}", f"j{last}", f"n{steps}", *(("spherical",) if spherical else ()))
        path = target.path(_name_picture("interpolation", one, *options))
        title = f"The way between two images by {describe_trial(one)}"
        grid = tile_images(found.images, steps, max(1, _PIXELS // recipe.model.size))
        below = [f"from test image {first} to {last}"]
        row = draw_grid(path, [[Panel(grid, 1, gap=0)]], title, below)
        drawn.append((one, row, found))
    return drawn


def _name_picture(kind: str, one: JobFacts, *options: str) -> str:
    budget = () if one.budget is None else (f"b{one.budget}",)
    what = (one.flow, one.dataset, one.factorization, *budget, f"s{one.seed}", one.subject[:8])
    return make_file_name(kind, *what, one.data_digest[:8], *options)


def draw_sweep(store: Store, place: Place, sweep_id: str, folder: Path) -> list[Path]:
    """Draw maps, tables and samples of a sweep: each cell's first trained seed."""
    target, trials = PictureTarget(folder), choose_first_trials(store, sweep_id)
    sheets = draw_maps(store, filter_read_sets(list_map_sets(store), trials), target)
    return [
        *list_pictures(sheets),
        *(path for _, path in draw_samples(store, place, trials, target)),
    ]
