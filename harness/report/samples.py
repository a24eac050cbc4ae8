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

from db import Store
from harness.place import Place
from harness.report import lookup
from harness.report.text import plain
from harness.train.evaluate import evaluating
from models import Flow, build
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
    known = lookup.trained(store, [trial_id])
    kept = [one for one in known if one.weights]
    if not known:
        raise UserError(
            f"no trial {plain(trial_id)} in {store.url}: `lcma sql` reads the table `flow_trials`"
        )
    again = f"train {trial_id} again into another database with `lcma launch`"
    if not kept:
        raise UserError(f"trial {trial_id} is {known[0].state} and left no weights: {again}")
    (artifact,) = [a for a in store.artifacts(kept[0].job_id) if a.kind == "weights"]
    path = place.runs / artifact.path
    content = _read(path, again)
    if hashlib.sha256(content).hexdigest() != artifact.digest:
        raise UserError(f"the weights {path} are damaged (sha256 differs): {again}")
    try:
        recipe = Recipe.model_validate_json(lookup.recipe_body(store, kept[0].recipe_id))
    except ValidationError:
        raise UserError(
            f"the recipe of trial {trial_id} cannot be read by this version: upgrade lcma"
        ) from None
    # Any split will do: the trained table is a buffer of the split, kept with the weights.
    split = "none" if kept[0].factorization == "none" else "checkerboard-even"
    flow = build(recipe.model, split, seed=0)
    try:
        flow.load_state_dict(load_tensors(content))
    except (SafetensorError, RuntimeError) as error:
        why = " ".join(str(error).split())[:120]
        raise UserError(f"the weights {path} do not fit their recipe ({why}): {again}") from None
    return flow.eval(), recipe


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
    with torch.inference_mode(), evaluating(flow):
        for start in range(0, count, CHUNK):
            x = flow.sample(min(CHUNK, count - start), generator, temperature=temperature)
            drawn.append(x.nan_to_num().clamp(0, 255).to(torch.uint8).numpy())
    return np.concatenate(drawn)


def _read(path: Path, again: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(
            f"cannot read the weights {path} ({error.strerror}): name their folder with --runs, "
            f"or {again}"
        ) from None
