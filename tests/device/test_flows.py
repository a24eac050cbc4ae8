"""Every flow on a GPU made of Python has the bits of a CPU, and its steps do not wait or copy.

`tests.device.test_trials` compares likelihoods, maps, tables and distances.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch

from lcma import models
from lcma.harness import data
from lcma.harness.measure.samples import Sampling, draw_images
from lcma.harness.train.batches import Images
from lcma.harness.train.checkpoint import CheckpointFolder
from lcma.harness.train.interpolation import interpolate
from lcma.harness.train.online import OnlineTables
from lcma.harness.train.trainer import Hooks, Trainer
from lcma.models import residual
from lcma.models.lipschitz import GPU_ITERATIONS
from lcma.sweeps import catalog, plugins
from lcma.sweeps.architectures import REGISTERED
from lcma.sweeps.recipe import Recipe
from tests.device import device as devices
from tests.device.conftest import Run
from tests.processes import ROOT
from tests.states import list_differences

pytestmark = pytest.mark.xdist_group("device")

PLUGIN = "affine"
"""The flow of docs/extending.md."""

FLOWS = (*catalog.flows(), PLUGIN)
SHORT: dict[str, dict[str, Any]] = {
    "realnvp": {
        **{"checkerboard_couplings": 1, "channel_couplings": 1, "last_couplings": 1},
        **{"flow_norm": "batch", "net_norm": "batch"},
    },
    "glow": {"steps": 1},
    "iresnet": {"blocks": 1, "eval_terms": 2, "inverse_max_iterations": 5},
    # As many iterations as a step on a GPU makes at most.
    "resflow": {
        **{"blocks": 1, "eval_terms": 2, "inverse_max_iterations": 5},
        "max_iterations": GPU_ITERATIONS,
    },
    PLUGIN: {"couplings": 1},
}
"""One layer of each kind, since operations are slow here."""

FIRST, EVERY = 2, 2
"""Steps before the first checkpoint, and between two checks of holdout images and tables. A recipe
must have more."""


def count_steps(flow: str) -> int:
    """Return the steps of a training, with those that record, check and repeat a step."""
    return FIRST + (5 if REGISTERED[flow].stacks else 2)


def choose_recipe(flow: str) -> Recipe:
    shrinks = {"l2": 1e-4} if REGISTERED[flow].shrinks else {}
    return catalog.recipe(
        flow,
        "photos8",
        "tiny",
        {
            "model": {"splits": 1, "architecture": SHORT[flow]},
            "optimization": {
                **{"batch": 8, "warmup": 0, "stacked": False, "clip": 50.0},
                **{"flips": True, "shift": 1, **shrinks},
            },
            "training": {
                "steps": count_steps(flow),
                "ema": 0.9,
                "select": "best",
                "holdout_every": 10,
            },
            "maps": {"online": {"share": 0.3, "freeze": 0.1}},
        },
    )


RESUMED = "first after a resume"
CHECKED = "checked"
"""The step that compares a recorded step with the function. It reads whether all bits are equal."""


@dataclass
class Outcome:
    """Results of a flow on a device, and what its steps asked for."""

    values: dict[str, Any] = field(default_factory=dict)
    steps: dict[str, devices.Counts] = field(default_factory=dict)


class Training:
    def __init__(self, flow: str, prepared: data.PreparedSet, device: torch.device) -> None:
        recipe = choose_recipe(flow)
        model_flow = models.build(recipe.model, "checkerboard-even", seed=1).to(device)
        self.curves: dict[tuple[str, int], float] = {}
        self.trainer = Trainer(
            flow=model_flow,
            optimization=recipe.optimization,
            seed=1,
            images=Images(prepared.part("train").images, device),
            training=recipe.training.model_copy(update={"holdout_every": EVERY}),
            holdout=Images(prepared.part("holdout").images, device),
            online=OnlineTables(
                model_flow,
                recipe.maps.online.model_copy(update={"every": EVERY}),
                recipe.training.steps,
            ),
            repeats=REGISTERED[flow].stacks,
        )
        if self.trainer.repeated is not None:
            self.trainer.repeated.unrecorded = 1

    def go(self, folder: CheckpointFolder, until: int) -> None:
        def note(name: str, step: int, value: float) -> None:
            self.curves[name, step] = value

        self.trainer.run(until, folder, Hooks(metric=note))
        device_type = self.trainer.images.device.type
        state = self.trainer.flow.state_dict()
        assert [name for name, tensor in state.items() if tensor.device.type != device_type] == []


def use_flow(
    flow: str, prepared: data.PreparedSet, device: torch.device, folder: Path, *, resumed: bool
) -> Outcome:
    """Train a flow on a device, draw from it, and encode and decode images."""
    outcome, checkpoints = Outcome(), CheckpointFolder(folder)
    steps = count_steps(flow)
    training = Training(flow, prepared, device)
    training.trainer.resume(checkpoints, steps)
    training.go(checkpoints, FIRST)
    curves = training.curves
    if resumed:
        training = Training(flow, prepared, device)
        assert training.trainer.resume(checkpoints, steps) == FIRST
        training.trainer.flow.train()
    trainer = training.trainer
    kinds = (RESUMED,) if trainer.repeated is None else (RESUMED, "recorded", CHECKED, "repeated")
    for kind in kinds:
        with devices.counted() as outcome.steps[kind]:
            trainer.losses.append(trainer.make_step())
    training.go(checkpoints, steps)
    trained = trainer.evaluated
    values = outcome.values
    values["training"] = [trainer.state(), curves | training.curves]
    values["samples"] = list(draw_images(trained, 6, Sampling(), seed=1, device=device))
    images = prepared.part("test").images
    values["path"] = vars(interpolate(trained, images[0], images[1], 3))
    x = Images(images[:4], device).gather(np.arange(4))
    with torch.no_grad():
        latents = trained.encode(x, torch.Generator(device).manual_seed(0))
        values["latents"] = [latents, trained.latent_ids, trained.decode(latents)]
    return outcome


def write_plugin(folder: Path) -> Path:
    page = (ROOT / "docs" / "extending.md").read_text()
    (source,) = re.findall(r"`my_flow\.py`:\n\n```python\n(.*?)```", page, re.S)
    file = folder / "my_flow.py"
    file.write_text(source)
    return file


Comparison = tuple[dict[str, list[str]], Outcome]


def compare(flow: str, root: Path, folder: Path) -> Comparison:
    """Return which values differ between a CPU and the device, and the device's counts."""
    if flow == PLUGIN:
        plugins.load_file(write_plugin(folder))
    residual.EVALUATION_ITERATIONS = 3
    prepared = data.load("photos8", root)
    with devices.on_compared_cpu() as cpu:
        expected = use_flow(flow, prepared, cpu, folder / "cpu", resumed=False)
    with devices.on_device() as device:
        outcome = use_flow(flow, prepared, device, folder / "device", resumed=True)
    differing = {
        name: list_differences(value, devices.to_host(outcome.values[name]))
        for name, value in expected.values.items()
    }
    return differing, Outcome(steps=outcome.steps)


Compare = Callable[[str], Comparison]


@pytest.fixture(scope="module")
def compare_once(
    run: Run, few_photos_root: Path, tmp_path_factory: pytest.TempPathFactory
) -> Compare:
    @cache
    def compare_flow(flow: str) -> Any:
        return run(compare, flow, few_photos_root, tmp_path_factory.mktemp(flow))

    return compare_flow


def copy_batches(root: Path) -> tuple[list[str], devices.Counts]:
    """Return what differs if each batch is copied, and the counts of the last step."""
    prepared, states = data.load("photos8", root), []
    with devices.on_device() as device:
        for share in (0.5, 0.0):
            with mock.patch("lcma.harness.train.batches.RESIDENT_SHARE", share):
                trainer = Training("glow", prepared, device).trainer
            assert trainer.images.are_resident == (share > 0)
            trainer.repeated = None
            trainer.start()
            for _ in range(3):
                with devices.counted() as counts:
                    trainer.make_step()
            states.append(devices.to_host(trainer.flow.state_dict()))
    return list_differences(*states), counts


def test_images_of_a_batch_are_copied_once_from_pinned_memory(
    run: Run, few_photos_root: Path
) -> None:
    differing, counts = run(copy_batches, few_photos_root)
    assert differing == []
    assert counts.waits == counts.copies == {}
    assert counts.pinned.total() == 1


@pytest.mark.parametrize("name", ["training", "samples", "path", "latents"])
@pytest.mark.parametrize("flow", FLOWS)
def test_a_flow_has_the_bits_of_a_cpu(flow: str, name: str, compare_once: Compare) -> None:
    assert compare_once(flow)[0][name] == []


LAUNCHES = {"realnvp": 444, "glow": 569, "iresnet": 714, "resflow": 1783, PLUGIN: 162}
"""Operations of a step when they were last counted."""


@pytest.mark.parametrize("flow", FLOWS)
def test_a_step_asks_nothing_of_the_device(flow: str, compare_once: Compare) -> None:
    """It waits for no number, copies from pinned memory at most once, makes no constant, and has no
    more launches than before."""
    for kind, counts in compare_once(flow)[1].steps.items():
        if kind != CHECKED:
            assert counts.waits == {}
        assert counts.copies == {}
        assert counts.pinned.total() <= 1
        assert counts.constants == {}
        assert counts.launches.total() > 0
        if kind == RESUMED:
            assert counts.launches.total() <= LAUNCHES[flow]
