"""Training and evaluation of every flow: exact resume, no trace of an evaluation, a fit."""

import hashlib
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lcma.harness import data
from lcma.harness.data.bars import ensure_bars
from lcma.harness.environment import read_environment
from lcma.harness.train import contribution, recorder
from lcma.harness.train.batches import Images
from lcma.harness.train.checkpoint import CheckpointFolder
from lcma.harness.train.contribution import measure_maps
from lcma.harness.train.evaluate import evaluate
from lcma.harness.train.protocol import PLAIN
from lcma.harness.train.trainer import Hooks, Trainer
from lcma.models import Likelihood, build, build_nms
from lcma.sweeps import catalog
from lcma.sweeps.architectures import REGISTERED
from lcma.sweeps.recipe import Recipe
from lcma.sweeps.settings import merge
from tests.harness.train.conftest import (
    CPU,
    SHORT,
    build_trainer,
    copy_weights,
    train_and_resume,
)
from tests.states import list_differences

FLOWS = tuple(catalog.flows())


def make_recipe(flow: str, *, short: bool = False, **training: Any) -> Recipe:
    change = {"training": training, "model": {"architecture": SHORT[flow] if short else {}}}
    return catalog.recipe(flow, "photos8", "tiny", change)


def make_trainer(recipe: Recipe, prepared: data.PreparedSet, *, split: bool = True) -> Trainer:
    model = recipe.model
    return Trainer(
        flow=build(model, "random-local", seed=1) if split else build_nms(model, seed=1),
        optimization=recipe.optimization,
        seed=1,
        images=Images(prepared.part("train").images, CPU),
        training=recipe.training if split else None,
        holdout=Images(prepared.part("holdout").images[:40], CPU),
        repeats=REGISTERED[model.flow].stacks,
    )


SHIPPED: dict[str, dict[str, Any]] = {
    "realnvp": {
        "model": {
            "architecture": {
                "width": 8,
                "growth": 2,
                "blocks": 1,
                "checkerboard_couplings": 3,
                "channel_couplings": 3,
                "last_couplings": 4,
            }
        },
        "optimization": {"learning_rate": 0.001, "clip": 100.0, "stacked": False},
    },
    "glow": {
        "model": {"preprocess": "center", "architecture": {"width": 16}},
        "optimization": {"learning_rate": 0.003, "stacked": False},
    },
    "iresnet": {
        "model": {
            "preprocess": "center",
            "architecture": {"power_iterations": 5, "train_terms": 5, "eval_terms": 20},
        },
        "optimization": {"learning_rate": 0.01},
    },
    "resflow": {
        "model": {"architecture": {"eval_terms": 20}},
        "optimization": {"learning_rate": 0.004, "clip": 133.0},
    },
}
"""Settings of the `tiny` recipes when their bits were pinned."""

PINNED = {
    ("2.13.0", "AVX512", "AuthenticAMD"): {
        "realnvp": "f326e49a5ad9d1ee",
        "glow": "fc6330bfd835b814",
        "iresnet": "3d59da3bd8addee1",
        "resflow": "f8ad6268269e4cd5",
    },
    ("2.13.0", "AVX2", "AuthenticAMD"): {
        "realnvp": "9726d225233b3dfe",
        "glow": "42146900091a3079",
        "iresnet": "ca532e74d81c6957",
        "resflow": "7fbc528639671da9",
    },
    ("2.15.0", "AVX2", "AuthenticAMD"): {
        "realnvp": "2573a8fb6fe6f6fb",
        "glow": "42146900091a3079",
        "iresnet": "ca532e74d81c6957",
        "resflow": "7fbc528639671da9",
    },
    ("2.13.0", "AVX512", "GenuineIntel 6 207"): {
        "realnvp": "ffa4b73dbfcd8fc9",
        "glow": "48e1582f563b069a",
        "iresnet": "6f211b23c648bf76",
        "resflow": "6f42b0a9aad49df9",
    },
}
"""Weights after three steps as first measured, by PyTorch's release, vector instructions, and
processor (its maker, or maker, family and model)."""


@pytest.mark.parametrize(
    ("flow", "recorded"), [*((flow, False) for flow in FLOWS), ("realnvp", True), ("glow", True)]
)
def test_a_step_ends_in_the_bits_that_it_always_had(flow: str, recorded: bool) -> None:
    """Other processors sum in another order, so nothing is pinned there."""
    release, vectors = torch.__version__.partition("+")[0], torch.backends.cpu.get_cpu_capability()
    # Maker, family and model, by which libraries of linear algebra choose the order of sums.
    processor = read_environment("cpu").device.partition(" ")[2]
    digests = [
        pinned[flow]
        for (*versions, maker), pinned in PINNED.items()
        if versions == [release, vectors] and processor.startswith(maker)
    ]
    if not digests:
        pytest.skip(f"no bits are pinned for PyTorch {release} on {vectors} of {processor}")
    change = merge(SHIPPED[flow], {"training": {"schedule": "constant", "ema": 0.9}})
    recipe = catalog.recipe(flow, "photos8", "tiny", change)
    pixels = np.random.RandomState(0).randint(0, 256, (64, 3, 8, 8)).astype(np.uint8)
    built = build(recipe.model, "random-local", seed=1)
    trainer = build_trainer(recipe, built, pixels, repeats=recorded)
    if trainer.repeated is not None:
        trainer.repeated.unrecorded = 0
    trainer.start()
    for _ in range(3):
        trainer.make_step()
    digest = hashlib.sha256()
    for weights in (trainer.flow.state_dict(), trainer.evaluated.state_dict()):
        for tensor in weights.values():
            digest.update(tensor.contiguous().numpy().tobytes())
    assert digest.hexdigest()[:16] == digests[0]


@pytest.mark.parametrize("split", [True, False])
@pytest.mark.parametrize("flow", ["realnvp", "glow"])
def test_a_recorded_step_has_the_bits_of_others(
    flow: str, split: bool, prepared: data.PreparedSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = make_recipe(flow, short=True, ema=0.9)
    plain, recorded = (make_trainer(recipe, prepared, split=split) for _ in range(2))
    passes = 0
    for trainer in (plain, recorded):
        trainer.repeated.unrecorded = 100 if trainer is plain else 1
        trainer.start()
    forward = recorded.flow.forward

    def counted(*arguments: Any) -> Likelihood:
        nonlocal passes
        passes += 1
        return forward(*arguments)

    monkeypatch.setattr(recorded.flow, "forward", counted)
    losses = [[trainer.make_step() for _ in range(5)] for trainer in (plain, recorded)]
    assert passes == 4
    assert losses[0] == losses[1]
    assert list_differences(copy_weights(plain), copy_weights(recorded)) == []


@pytest.mark.slow_on("iresnet")
@pytest.mark.parametrize("flow", FLOWS)
def test_a_resumed_training_ends_with_the_same_bits(
    flow: str, prepared: data.PreparedSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "UNRECORDED_STEPS", 3)
    recipe = make_recipe(flow, short=True, steps=20, ema=0.9, select="best", holdout_every=10)
    make = partial(make_trainer, recipe, prepared)
    alone, resumed = train_and_resume(make, prepared, tmp_path)
    assert list_differences(copy_weights(alone), copy_weights(resumed)) == []
    assert alone.best["holdout_bits_per_dim"] == resumed.best["holdout_bits_per_dim"]


@pytest.mark.parametrize("flow", FLOWS)
def test_an_evaluation_and_its_maps_leave_no_trace(
    flow: str, prepared: data.PreparedSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The maps sum to the scalar for every score."""
    monkeypatch.setattr(contribution, "MAX_IMAGES", 600)  # ten probes an image instead of 167
    recipe = make_recipe(flow, short=True, steps=20)
    trainer = make_trainer(recipe, prepared, split=False)
    trainer.start()
    for _ in range(3):
        trainer.make_step()
    before = copy_weights(trainer)
    images = Images(prepared.part("test").images[:60], CPU)
    bits = [evaluate(trainer.flow, images, PLAIN).bits_per_dim.value for _ in range(2)]
    measured, again = (measure_maps(trainer.flow, images) for _ in range(2))
    assert bits[0] == bits[1]
    assert all(np.array_equal(a.values, b.values) for a, b in zip(measured, again, strict=True))
    assert list_differences(before, copy_weights(trainer)) == []
    assert trainer.flow.training

    scores = {m.score for m in measured}
    conventions = ("", "/sorted", "/uniform") if flow == "glow" else ("",)
    assert scores == {s + c for s in ("cumulative", "normalized", "total") for c in conventions}
    assert len(measured) == len(scores) * recipe.model.splits
    for measured_map in measured:
        values = measured_map.values.astype(np.float64)
        assert abs(values.sum() - measured_map.scalar) < 1e-5 * np.abs(values).sum()


@pytest.mark.parametrize(
    ("flow", "steps"),
    [("realnvp", 25), *(pytest.param(flow, 300, marks=pytest.mark.slow) for flow in FLOWS)],
)
def test_a_few_hundred_steps_beat_independent_gaussians(
    flow: str, steps: int, prepared: data.PreparedSet, tmp_path: Path
) -> None:
    recipe = make_recipe(flow, steps=steps)
    trainer = make_trainer(recipe, prepared)
    folder = CheckpointFolder(tmp_path)
    trainer.resume(folder, steps)
    trainer.run(steps, folder, Hooks())
    test = prepared.part("test")
    bits = evaluate(trainer.evaluated, Images(test.images, CPU), PLAIN).bits_per_dim.value
    gaussian = next(bar for bar in ensure_bars(prepared) if bar.name == "gaussian")
    assert bits < gaussian.bits_per_dim
