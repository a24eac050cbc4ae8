"""The smallest flows and images that still have every part."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from lcma.harness.data import PreparedSet, load
from lcma.harness.train.batches import Images
from lcma.harness.train.checkpoint import CheckpointFolder
from lcma.harness.train.evaluate import evaluate
from lcma.harness.train.protocol import PLAIN
from lcma.harness.train.trainer import Hooks, StoppedError, Trainer
from lcma.models import Flow, build, build_nms
from lcma.sweeps.recipe import Model, Optimization, Recipe, Training

CPU = torch.device("cpu")
SHORT: dict[str, dict[str, int]] = {
    "realnvp": {"checkerboard_couplings": 1, "channel_couplings": 1, "last_couplings": 1},
    "glow": {"steps": 1},
    "iresnet": {"blocks": 1},
    "resflow": {"blocks": 1},
}
"""A layer of each kind in each scale: a step costs by the layer."""


@pytest.fixture
def prepared(photos_root: Path) -> PreparedSet:
    return load("photos8", photos_root)


def copy_weights(trainer: Trainer) -> dict[str, Tensor]:
    """Return copies of weights, averages and moments."""
    tensors = {f"flow {k}": v for k, v in trainer.flow.state_dict().items()}
    tensors |= {f"average {k}": v for k, v in trainer.evaluated.state_dict().items()}
    for index, moments in trainer.optimizer.state_dict()["state"].items():
        tensors |= {f"{kind} {index}": value for kind, value in moments.items()}
    return {name: tensor.clone() for name, tensor in tensors.items()}


def make_model(norm: str = "batch", *, splits: int = 1) -> Model:
    return Model.model_validate(
        {
            "flow": "realnvp",
            "size": 8,
            "channels": 1,
            "splits": splits,
            "architecture": {
                "width": 4,
                "blocks": 1,
                "flow_norm": norm,
                "net_norm": "batch" if norm == "batch" else "none",
                **SHORT["realnvp"],
            },
        }
    )


def make_pixels(
    count: int, seed: int = 0, channels: int = 1
) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Return fairly smooth images, so that there is something to learn."""
    random = np.random.RandomState(seed)
    base = random.randint(40, 200, (count, channels, 1, 1))
    return np.clip(base + random.normal(0, 15, (count, channels, 8, 8)), 0, 255).astype(np.uint8)


def build_trainer(
    recipe: Recipe, flow: Flow, pixels: np.ndarray[Any, Any], seed: int = 1, **options: Any
) -> Trainer:
    """Return a trainer of a flow by its recipe; the first ten images are the holdout part."""
    return Trainer(
        flow=flow,
        optimization=recipe.optimization,
        seed=seed,
        images=Images(pixels, CPU),
        training=recipe.training,
        holdout=Images(pixels[:10], CPU),
        **options,
    )


def train_and_resume(
    make: Callable[[], Trainer], prepared: PreparedSet, place: Path
) -> tuple[Trainer, Trainer]:
    """Train for 20 steps, undisturbed and resumed from step 10; both must evaluate to equal bits.

    The training that is resumed was stopped before step 14.
    """
    alone, stopped, resumed = (make() for _ in range(3))
    folder = CheckpointFolder(place / "alone")
    alone.resume(folder, 20)
    alone.run(20, folder, Hooks())
    folder = CheckpointFolder(place / "stopped")
    stopped.resume(folder, 20)
    with pytest.raises(StoppedError):
        stopped.run(20, folder, Hooks(must_stop=lambda: stopped.step == 14, checkpoint_seconds=0.0))
    assert resumed.resume(folder, 20) == 10
    resumed.run(20, folder, Hooks())
    images = Images(prepared.part("test").images[:50], resumed.images.device)
    bits = [evaluate(t.evaluated, images, PLAIN).bits_per_dim.value for t in (alone, resumed)]
    assert bits[0] == bits[1]
    return alone, resumed


@dataclass
class Run:
    """A trainer in a folder, with the metrics and the progress that it reported."""

    trainer: Trainer
    folder: CheckpointFolder
    metrics: dict[tuple[str, int], float] = field(default_factory=dict)
    progress: list[int] = field(default_factory=list)

    def go(
        self, until: int, *, stop_at: int | None = None, checkpoint_seconds: float | None = None
    ) -> bool:
        """Train from the newest checkpoint; return True if the run came to its end.

        ``stop_at`` is the step before which the caller asks it to stop.
        """
        self.trainer.resume(self.folder, until)
        hooks = Hooks(
            progress=self.progress.append,
            metric=self._metric,
            must_stop=lambda: self.trainer.step == stop_at,
            checkpoint_seconds=checkpoint_seconds,
        )
        try:
            self.trainer.run(until, self.folder, hooks)
        except StoppedError:
            return False
        return True

    def _metric(self, name: str, step: int, value: float) -> None:
        assert self.metrics.setdefault((name, step), value) == value, "not as reported before"


@dataclass(frozen=True)
class Workshop:
    """Makes flows, images and runs below a folder."""

    place: Path

    def flow(self, norm: str = "batch", *, seed: int = 0, splits: int = 1) -> Flow:
        return build(make_model(norm, splits=splits), "checkerboard-even", seed=seed)

    def nms(self, norm: str = "actnorm", *, splits: int = 2) -> Flow:
        return build_nms(make_model(norm, splits=splits), seed=0)

    def images(self, count: int = 40, seed: int = 0) -> Images:
        return Images(make_pixels(count, seed), CPU)

    def folder(self, name: str) -> CheckpointFolder:
        return CheckpointFolder(self.place / name, newest=2)

    def pretraining(self, name: str, *, norm: str = "actnorm", **optimization: Any) -> Run:
        settings = {"learning_rate": 1e-3, "batch": 8, "warmup": 5}
        trainer = Trainer(
            flow=self.nms(norm),
            optimization=Optimization.model_validate(settings | optimization),
            seed=4,
            images=self.images(),
        )
        return Run(trainer, self.folder(name))

    def training(
        self, name: str, *, flow: Flow | None = None, training: Any = None, **optimization: Any
    ) -> Run:
        """Return a run with an average, flips, clipping, L2 and a choice by the holdout part."""
        settings = {"learning_rate": 3e-3, "batch": 8, "flips": True, "clip": 1.0, "l2": 1e-4}
        choice = {"select": "best", "holdout_every": 10}
        defaults = {"steps": 40, "ema": 0.9, "schedule": "cosine", **choice}
        trainer = Trainer(
            flow=self.flow() if flow is None else flow,
            optimization=Optimization.model_validate(settings | optimization),
            seed=4,
            images=self.images(),
            training=Training.model_validate(defaults | (training or {})),
            holdout=self.images(20, seed=1),
        )
        return Run(trainer, self.folder(name))


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path)


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Run]:
    """A function that returns an uninterrupted run of 40 steps of a kind."""
    workshop = Workshop(tmp_path_factory.mktemp("undisturbed"))

    @cache
    def train(kind: str) -> Run:
        run: Run = getattr(workshop, kind)(kind)
        with pytest.MonkeyPatch.context() as patch:  # even on a slow machine
            patch.setattr("lcma.harness.train.trainer._MIN_PAUSE", math.inf)
            assert run.go(40)
        return run

    return train
