"""Launches of a training step on a GPU, counted without one: `python -m benchmarks.launches`.

An operation is a launch if it is no view. A step alone is computed on the device of `tests.device`,
one of a stack on fake tensors, since `torch.vmap` takes no tensors of that device; both take a
GPU's way where it is another one than a CPU's.
"""

import argparse
from collections.abc import Callable, Sequence
from unittest import mock

import numpy as np
import torch
from torch._subclasses.fake_tensor import unset_fake_temporarily

from lcma import models
from lcma.harness.train.batches import Images
from lcma.harness.train.recorder import RepeatedStep
from lcma.harness.train.stack import Stack
from lcma.harness.train.trainer import Trainer
from lcma.models import convolution
from lcma.sweeps import catalog
from lcma.sweeps.architectures import REGISTERED
from tests.device import device as devices

STACKS = (1, 6, 12, 24, 48)

COUNTED = (1, 6, 12)
"""Stacks that are counted: each further member has a few launches of its own, always as many."""


def count_alone(flow: str) -> tuple[int, int]:
    """Return the launches of a step of one model, and of one that was recorded, 0 for none."""
    with devices.on_device() as device:
        trainer = _make_trainer(flow, 0, device)
        trainer.start()
        return _count(trainer.make_step, trainer.repeated)


def count_stack(flow: str, members: int) -> tuple[int, int]:
    """Return the same of a step of a stack."""
    # There are no numbers by which a recorded step could be checked.
    with (
        devices.on_device_without_data() as device,
        mock.patch("lcma.harness.train.recorder.are_equal", return_value=True),
    ):
        stack = Stack([_make_trainer(flow, seed, device) for seed in range(members)])
        return _count(stack.step, stack.repeated)


def _make_trainer(flow: str, seed: int, device: torch.device) -> Trainer:
    convolution._bordered.cache_clear()  # of a tensor that is none here
    recipe = catalog.recipe(flow, "photos8", "tiny")
    with unset_fake_temporarily():
        made = models.build(recipe.model, "checkerboard-even", seed=seed)
    model = recipe.model
    images = np.zeros((recipe.optimization.batch, model.channels, model.size, model.size), np.uint8)
    made._apply(lambda own: torch.empty(own.shape, dtype=own.dtype, device=device).copy_(own))
    repeats = REGISTERED[flow].stacks
    return Trainer(made, recipe.optimization, seed, Images(images, device), repeats=repeats)


def _count(step: Callable[[], object], repeated: RepeatedStep | None) -> tuple[int, int]:
    """Count the second step, and the fifth: the third is recorded, and the fourth is checked."""
    if repeated is not None:
        repeated.unrecorded = 2
    found = []
    for _ in range(2 if repeated is None else 5):
        with devices.counted() as counts:
            step()
        found.append(counts.launches.total())
    return found[1], 0 if repeated is None else found[4]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.launches", description=__doc__)
    parser.add_argument("flows", nargs="*", metavar="FLOW", help="only these (default: all)")
    given = parser.parse_args(arguments)
    devices.register()
    print("| a model and step | alone |" + "".join(f" {members} |" for members in STACKS))
    print("| --- |" + " --- |" * (1 + len(STACKS)))
    for flow in given.flows or catalog.flows():
        found = {0: count_alone(flow)}
        if REGISTERED[flow].stacks:
            found |= {members: count_stack(flow, members) for members in COUNTED}
        for row, name in enumerate((flow, f"{flow}, recorded")):
            if not found[0][row]:
                continue
            told = [found[0][row]]
            if len(found) > 1:
                most, least = found[12][row], found[6][row]
                own = (most - least) / 6
                told += [found[1][row], *((least + (n - 6) * own) / n for n in STACKS[1:])]
            print(f"| {name} | {' | '.join(f'{each:.0f}' for each in told)} |", flush=True)


if __name__ == "__main__":
    main()
