"""Trained flows, loaded from their weights, samples of them, and the tables they had on the way."""

import hashlib
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors

from lcma.db import Artifact, JobFacts, Store
from lcma.db.results import find_artifact_damage
from lcma.harness import data, storage
from lcma.harness.place import Place
from lcma.harness.storage import Folder, MissingFileError, StorageError, UnreachableError
from lcma.harness.text import printable
from lcma.harness.train.evaluate import evaluation_mode
from lcma.models import Flow, build
from lcma.models.split import Split
from lcma.sweeps import known_sets, plugins
from lcma.sweeps.errors import UserError
from lcma.sweeps.recipe import Recipe

CHUNK = 64
"""Images drawn at once. Noise is drawn by chunk, so a seed fixes the images for this size only."""

MOST = 4096
"""Most samples: more do not fit into a picture."""


def load_flow(store: Store, place: Place, trial_id: str) -> tuple[Flow, Recipe]:
    """Load a trained flow, as it was evaluated, and its recipe.

    If the trial was trained on several contents of its data set, the latest is loaded. Raises
    UserError for an unknown trial, one without weights, and weights that are missing or damaged.
    """
    known = store.job_facts(trial_ids=[trial_id])
    if not known:
        raise UserError(
            f"no trial {printable(trial_id)} in {store.name}: `lcma sql` reads the table "
            "`flow_trials`"
        )
    kept = [one for one in known if one.weights]
    flow, recipe = load_trained(store, place, (kept or known)[0])
    flow.before_evaluation()
    return flow, recipe


def load_trained(store: Store, place: Place, one: JobFacts) -> tuple[Flow, Recipe]:
    """Load the flow and recipe of a trial on one exact content of its data set, as `load_flow`.

    The flow has the state of its last training step: to be used in `evaluation_mode`.
    """
    content, where = _read_weights(store, place, one)
    recipe = load_recipe(store, one)
    # Any split will do: the trained table is a buffer of the split, kept with the weights.
    split = "none" if one.factorization == "none" else "checkerboard-even"
    flow = build(recipe.model, split, seed=0)
    try:
        flow.load_state_dict(load_tensors(content))
        _require_permutations(flow)
    except (SafetensorError, RuntimeError) as error:
        why = " ".join(str(error).split())[:120]
        raise UserError(
            f"the weights {where} do not fit their recipe ({why}): {_remedy(one)}"
        ) from None
    return flow.eval(), recipe


def _require_permutations(flow: Flow) -> None:
    for layer in flow.modules():
        if isinstance(layer, Split):
            whole = torch.arange(len(layer.index))
            inverse = torch.argsort(layer.index)
            if not (layer.index[inverse].equal(whole) and layer.inverse_index.equal(inverse)):
                raise RuntimeError("a table is no permutation")


def load_recipe(store: Store, one: JobFacts) -> Recipe:
    """Load a trial's recipe, but for its map options. Raises UserError if it cannot be read."""
    plugins.load_installed()
    try:
        recipe = store.recipes([one.recipe_id])[one.recipe_id]
        return Recipe.model_validate_json(recipe.body)
    except ValidationError:
        raise UserError(
            f"the recipe of trial {one.trial_id} cannot be read by this version: upgrade lcma, "
            "or name in LCMA_PLUGINS the plug-in that its flow is from"
        ) from None


def load_data(place: Place, one: JobFacts) -> data.Prepared:
    """Load the data on which a trial was trained. Raises UserError if others are prepared."""
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
    """Draw images (count, C, H, W), uint8. A seed fixes them on one kind of device.

    ``temperature`` scales the noise of every prior. Raises UserError for a count or temperature
    that makes no sense.
    """
    if not 1 <= count <= MOST:
        raise UserError(f"--count {count} makes no sense: give 1 to {MOST}")
    if not (math.isfinite(temperature) and temperature >= 0):
        raise UserError(f"--temperature {temperature} makes no sense: give 0 or more, such as 1.0")
    generator = torch.Generator().manual_seed(seed)
    drawn = []
    with torch.no_grad(), evaluation_mode(flow):
        for start in range(0, count, CHUNK):
            x = flow.sample(min(CHUNK, count - start), generator, temperature=temperature)
            drawn.append(x.nan_to_num().clamp(0, 255).to(torch.uint8).numpy())
    return np.concatenate(drawn)


def require_weights(store: Store, place: Place, one: JobFacts) -> None:
    """Raise UserError if the trial left no weights, or their file is missing or unreadable.

    It is UnreachableError for a cause that may pass.
    """
    artifact = _find_weights(store, one)
    folder, name = _open_folder(place, artifact)
    with _explain_errors(one, f"{folder.name}/{name}"):
        if name not in {file.name for file in folder.files()}:
            raise MissingFileError("no such file")


def _read_weights(store: Store, place: Place, one: JobFacts) -> tuple[bytes, str]:
    """Read the bytes of a trial's weights, verified, and their place, for messages."""
    artifact = _find_weights(store, one)
    folder, name = _open_folder(place, artifact)
    where = f"{folder.name}/{name}"
    with _explain_errors(one, where):
        content = folder.read(name)
    if hashlib.sha256(content).hexdigest() != artifact.digest:
        raise UserError(f"the weights {where} are damaged (sha256 differs): {_remedy(one)}")
    return content, where


def _find_weights(store: Store, one: JobFacts) -> Artifact:
    left = store.artifacts([one.job_id]).get(one.job_id, [])
    found = [artifact for artifact in left if artifact.kind == "weights"]
    if not found:
        raise UserError(f"trial {one.trial_id} is {one.state} and left no weights: {_remedy(one)}")
    damage = find_artifact_damage(asdict(found[0]))
    if damage is not None:
        raise UserError(f"the weights of trial {one.trial_id} are not read: {damage}")
    return found[0]


def _open_folder(place: Place, artifact: Artifact) -> tuple[Folder, str]:
    folder = storage.open_folder(place.runs)
    *parts, name = artifact.path.split("/")
    for part in parts:
        folder = folder.below(part)
    return folder, name


@contextmanager
def _explain_errors(one: JobFacts, where: str) -> Iterator[None]:
    try:
        yield
    except UnreachableError:  # no trial's, and it may pass
        raise
    except StorageError as error:
        why = str(error).removeprefix(f"cannot read {where} ")  # which is said here
        why = why if why.startswith("(") else f"({why})"
        raise UserError(
            f"cannot read the weights {where} of trial {one.trial_id} {why}: name their place "
            f"with --runs, or {_remedy(one)}"
        ) from None


def _remedy(one: JobFacts) -> str:
    return f"train {one.trial_id} again into another database with `lcma launch`"
