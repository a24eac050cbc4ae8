"""Trained flows back from their weights, and samples of them."""

import hashlib
import math
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors

from db import Store, TrainedTrial
from harness import data
from harness.place import Place
from harness.report.text import plain
from harness.train.evaluate import evaluating
from models import Flow, build
from sweeps import known_sets, plugins
from sweeps.errors import UserError
from sweeps.recipe import Recipe

CHUNK = 64
"""Images drawn at once. Noise is drawn chunk by chunk, so the seed fixes them for a given chunk."""

MOST = 4096
"""More samples than this fit no picture that a person would look at."""


def load_flow(store: Store, place: Place, trial_id: str) -> tuple[Flow, Recipe]:
    """A trained flow, as it was evaluated, and its recipe.

    Where the trial was trained on several contents of its data set, the latest. Raises UserError
    for an unknown trial, one without weights, and weights that are missing or damaged.
    """
    known = store.trained([trial_id])
    if not known:
        raise UserError(
            f"no trial {plain(trial_id)} in {store.name}: `lcma sql` reads the table `flow_trials`"
        )
    kept = [one for one in known if one.weights]
    return load_trained(store, place, (kept or known)[0])


def load_trained(store: Store, place: Place, one: TrainedTrial) -> tuple[Flow, Recipe]:
    """The same for a trial on one exact content of its data set."""
    trial_id, again = one.trial_id, _again(one)
    path, digest = weights_file(store, place, one)
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != digest:
        raise UserError(f"the weights {path} are damaged (sha256 differs): {again}")
    plugins.load_installed()
    try:
        recipe = Recipe.model_validate_json(store.recipe_bodies([one.recipe_id])[one.recipe_id])
    except ValidationError:
        raise UserError(
            f"the recipe of trial {trial_id} cannot be read by this version: upgrade lcma, "
            "or name in LCMA_PLUGINS the plug-in that its flow is from"
        ) from None
    # Any split will do: the trained table is a buffer of the split, kept with the weights.
    split = "none" if one.factorization == "none" else "checkerboard-even"
    flow = build(recipe.model, split, seed=0)
    try:
        flow.load_state_dict(load_tensors(content))
    except (SafetensorError, RuntimeError) as error:
        why = " ".join(str(error).split())[:120]
        raise UserError(f"the weights {path} do not fit their recipe ({why}): {again}") from None
    return flow.eval(), recipe


def load_data(place: Place, one: TrainedTrial) -> data.Prepared:
    """The data set that a trial was trained on; UserError where another content is prepared."""
    prepared = data.load(known_sets.set_name(one.dataset, one.variant), place.data)
    if prepared.manifest.digest != one.data_digest:
        raise UserError(
            f"{prepared.folder} holds other images (digest {prepared.manifest.digest[:12]}) than "
            f"trial {one.trial_id} was trained on ({one.data_digest[:12]}): name their root "
            "with --data"
        )
    return prepared


def draw_samples(
    flow: Flow, count: int, seed: int = 0, temperature: float = 1.0
) -> NDArray[np.uint8]:
    """Images (count, C, H, W). The same seed gives the same images on one kind of device.

    ``temperature`` scales the noise of every prior. Raises UserError for a count or temperature
    that makes no sense.
    """
    if not 1 <= count <= MOST:
        raise UserError(f"--count {count} makes no sense: give 1 to {MOST}")
    if not (math.isfinite(temperature) and temperature >= 0):
        raise UserError(f"--temperature {temperature} makes no sense: give 0 or more, such as 1.0")
    generator = torch.Generator().manual_seed(seed)
    drawn = []
    with torch.no_grad(), evaluating(flow):
        for start in range(0, count, CHUNK):
            x = flow.sample(min(CHUNK, count - start), generator, temperature=temperature)
            drawn.append(x.nan_to_num().clamp(0, 255).to(torch.uint8).numpy())
    return np.concatenate(drawn)


def weights_file(store: Store, place: Place, one: TrainedTrial) -> tuple[Path, str]:
    """The file of a trial's weights, which can be read, and the sha256 that it should have.

    Raises UserError where the trial left none or the file cannot be read.
    """
    if not one.weights:
        raise UserError(f"trial {one.trial_id} is {one.state} and left no weights: {_again(one)}")
    (artifact,) = [a for a in store.artifacts(one.job_id) if a.kind == "weights"]
    path = place.runs / artifact.path
    try:
        with path.open("rb") as file:
            file.read(1)
    except OSError as error:
        raise UserError(
            f"cannot read the weights {path} of trial {one.trial_id} ({error.strerror}): name "
            f"their folder with --runs, or {_again(one)}"
        ) from None
    return path, artifact.digest


def _again(one: TrainedTrial) -> str:
    return f"train {one.trial_id} again into another database with `lcma launch`"
