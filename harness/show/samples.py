"""Pictures of trained flows: their samples, and interpolations between two images."""

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
from lcma.harness.results.trials import describe_trial
from lcma.harness.show.grids import Panel, draw_grid, tile_images
from lcma.harness.show.targets import PictureTarget
from lcma.harness.train.interpolation import Interpolation, interpolate
from lcma.harness.train.protocol import PLAIN
from lcma.sweeps.errors import UserError
from lcma.sweeps.measures import BITS_PER_DIM, SAMPLE_MEASURES

SAMPLES = 64
"""Default number of samples of a trial."""

_IMAGE_SIDE, _MAX_GRID_SIDE = 64, 530
"""Pixels a side of an image in a row, and at most of a grid."""

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

    The caption has bits/dim and measures of samples. Raises UserError as `weights.load_flow` and
    `make_sampling` do.
    """
    drawn, sampling = [], make_sampling(temperature=temperature, seed=seed)
    is_default = (count, temperature, seed) == (SAMPLES, 1.0, 0)
    options = () if is_default else (f"n{count}", f"t{temperature:g}", f"r{seed}")
    below = [] if temperature == 1 else [f"drawn at temperature {temperature:g}"]
    for trial in trials:
        flow, _ = weights.load_flow(store, place, trial)
        images, _ = draw_images(flow, count, sampling, seed=0, device=torch.device("cpu"))
        name = factorization_label(trial.factorization_or_kind)
        lines = [] if trial.budget is None else [f"@{trial.budget}"]
        lines += [] if trial.map_options is None else [f"maps {label_options(trial.map_options)}"]
        lines += _list_measures(store, trial)
        grid = Panel(_tile_square(images.numpy()), 1, name, caption=tuple(lines), gap=12)
        title = f"{trial.flow} on {trial.dataset}, seed {trial.seed}"
        path = target.path(_name_picture("samples", trial, *options))
        drawn.append((trial, draw_grid(path, [[grid]], title, below)))
    return drawn


def _tile_square(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    columns = math.ceil(math.sqrt(len(images)))
    scale = max(1, (_MAX_GRID_SIDE - 2 * (1 + columns)) // (columns * images.shape[-1]))
    return tile_images(images, columns, scale)


def _list_measures(store: Store, trial: JobFacts) -> list[str]:
    """Return lines with a trial's bits/dim and measures of samples.

    A measure is by the plain protocol, or by the only one.
    """
    by_protocol: dict[str, dict[tuple[str, str], float]] = defaultdict(dict)
    measures = select_view("measures", trial_id=trial.subject, data_digest=trial.data_digest)
    for row in store.rows(measures):
        by_protocol[row.measure][row.protocol, row.precision] = row.value
    lines = []
    for name, template in _MEASURE_LINES.items():
        values = by_protocol[name]
        plain = sorted(key for key in values if key[0] == PLAIN.name)
        if plain or len(values) == 1:
            lines.append(template.format(float(values[[*plain, *values][0]])))
    return lines


def draw_interpolations(
    store: Store,
    place: Place,
    trials: Iterable[JobFacts],
    target: PictureTarget,
    *,
    between: tuple[int, int],
    steps: int = 9,
) -> list[tuple[JobFacts, Path, Interpolation]]:
    """Draw a row of images for each trial, from one test image to another, by their indices.

    Raises UserError as `weights.load_flow` does, and for an index without an image.
    """
    first, last = between
    drawn = []
    for trial in trials:
        test = weights.load_data(place, trial).part("test").images
        for index in between:
            if not 0 <= index < len(test):
                raise UserError(
                    f"--between {index}: {trial.dataset} has {len(test)} test images, from 0 on"
                )
        flow, recipe = weights.load_flow(store, place, trial)
        interpolation = interpolate(flow, test[first], test[last], steps)
        options = f"i{first}", f"j{last}", f"n{steps}"
        path = target.path(_name_picture("interpolation", trial, *options))
        title = f"Interpolation between two images by {describe_trial(trial)}"
        grid = tile_images(interpolation.images, steps, max(1, _IMAGE_SIDE // recipe.model.size))
        below = [f"from test image {first} to {last}"]
        row = draw_grid(path, [[Panel(grid, 1, gap=0)]], title, below)
        drawn.append((trial, row, interpolation))
    return drawn


def _name_picture(kind: str, trial: JobFacts, *options: str) -> str:
    budget = () if trial.budget is None else (f"b{trial.budget}",)
    facts = (trial.flow, trial.dataset, trial.factorization, *budget, f"s{trial.seed}")
    return make_file_name(kind, *facts, trial.subject[:8], trial.data_digest[:8], *options)
