"""The weights that a trial left, and what else is needed to use them: its recipe and its data."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict

from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors

from lcma.db import Artifact, JobFacts, Store
from lcma.db.results import find_artifact_damage
from lcma.harness import data, storage
from lcma.harness.place import Place
from lcma.harness.storage import Folder, MissingFileError, StorageError, UnreachableError
from lcma.models import Flow, build
from lcma.sweeps import known_sets, plugins
from lcma.sweeps.errors import UserError
from lcma.sweeps.recipe import Recipe


def load_flow(store: Store, place: Place, trial: JobFacts) -> tuple[Flow, Recipe]:
    """Load the flow of a trial from its kept weights, and its recipe.

    The flow has the weights that were evaluated, so use it in `evaluation_mode`. Raises
    UserError if the trial left no weights, or they are missing or damaged.
    """
    with _find_weights(store, place, trial) as (folder, name, artifact):
        content = folder.read(name)
    where = f"{folder.name}/{name}"
    if hashlib.sha256(content).hexdigest() != artifact.digest:
        raise UserError(f"the weights {where} are damaged (sha256 differs): {_remedy(trial)}")
    recipe = load_recipe(store, trial)
    # Any rule with splits will do: the table is loaded with the weights, as a buffer of the split.
    split = "none" if trial.factorization == "none" else "checkerboard-even"
    flow = build(recipe.model, split, seed=0)
    try:
        flow.load_state_dict(load_tensors(content))
    except (SafetensorError, RuntimeError) as error:
        why = " ".join(str(error).split())[:120]
        raise UserError(
            f"the weights {where} do not fit their recipe ({why}): {_remedy(trial)}"
        ) from None
    return flow.eval(), recipe


def load_recipe(store: Store, trial: JobFacts) -> Recipe:
    """Load a trial's recipe, without its map options. Raises UserError if it cannot be read."""
    plugins.load_installed()
    try:
        recipe = store.recipes([trial.recipe_id])[trial.recipe_id]
        return Recipe.model_validate_json(recipe.body)
    except ValidationError:
        raise UserError(
            f"the recipe of trial {trial.trial_id} cannot be read by this version: upgrade lcma, "
            "or name in LCMA_PLUGINS the plug-in that its flow is from"
        ) from None


def load_data(place: Place, trial: JobFacts) -> data.PreparedSet:
    """Load the data on which a trial was trained. Raises UserError if the prepared set differs."""
    prepared = data.load(known_sets.set_name(trial.dataset, trial.variant), place.data)
    if prepared.manifest.digest != trial.data_digest:
        raise UserError(
            f"{prepared.folder} holds other images (digest {prepared.manifest.digest[:12]}) than "
            f"trial {trial.trial_id} was trained on ({trial.data_digest[:12]}): name their root "
            "with --data"
        )
    return prepared


def require_weights(store: Store, place: Place, trial: JobFacts) -> None:
    """Raise UserError if the trial left no weights, or their file is missing or unreadable;
    UnreachableError if it may be readable later."""
    with _find_weights(store, place, trial) as (folder, name, _):
        if name not in {file.name for file in folder.files()}:
            raise MissingFileError("no such file")


@contextmanager
def _find_weights(
    store: Store, place: Place, trial: JobFacts
) -> Iterator[tuple[Folder, str, Artifact]]:
    """Yield the folder and name of a trial's weights. Errors of storage in the block get the trial
    and a remedy."""
    left = store.artifacts([trial.job_id]).get(trial.job_id, [])
    artifact = next((artifact for artifact in left if artifact.kind == "weights"), None)
    if artifact is None:
        raise UserError(
            f"trial {trial.trial_id} is {trial.state} and left no weights: {_remedy(trial)}"
        )
    damage = find_artifact_damage(asdict(artifact))
    if damage is not None:
        raise UserError(f"the weights of trial {trial.trial_id} are not read: {damage}")
    folder = storage.open_folder(place.runs)
    *parts, name = artifact.path.split("/")
    for part in parts:
        folder = folder.subfolder(part)
    try:
        yield folder, name, artifact
    except UnreachableError:  # not the trial's fault, and it may pass
        raise
    except StorageError as error:
        where = f"{folder.name}/{name}"
        why = str(error).removeprefix(f"cannot read {where} ")  # the message below has it
        why = why if why.startswith("(") else f"({why})"
        raise UserError(
            f"cannot read the weights {where} of trial {trial.trial_id} {why}: name their place "
            f"with --runs, or {_remedy(trial)}"
        ) from None


def _remedy(trial: JobFacts) -> str:
    return f"train {trial.trial_id} again into another database with `lcma launch`"
