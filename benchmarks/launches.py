"""GPU launches of a training step, counted without a GPU: `python -m benchmarks.launches`.

Each operation that is not a view is a launch. The step of one model runs on the device of
`tests.device`. The step of a stack runs on fake tensors, since `torch.vmap` takes no tensors of
that device. Where a GPU and a CPU run different code, both run the GPU's.
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

COUNTED_STACKS = (1, 6, 12)
"""Stacks that are counted. Larger ones are computed: each further member has as many launches."""


def count_single(flow: str) -> tuple[int, int]:
    """Return the launches of a step of one model, and of a recorded step, 0 if it has none."""
    with devices.on_device() as device:
        trainer = _make_trainer(flow, 0, device)
        trainer.start()
        return _count(trainer.make_step, trainer.repeated)


def count_stack(flow: str, members: int) -> tuple[int, int]:
    """Return the launches of a step of a stack, and of a recorded step."""
    # Fake tensors have no values, so the check of a recorded step is skipped.
    with (
        devices.on_device_without_data() as device,
        mock.patch("lcma.harness.train.recorder.are_equal", return_value=True),
    ):
        stack = Stack([_make_trainer(flow, seed, device) for seed in range(members)])
        return _count(stack.step, stack.repeated)


def _make_trainer(flow: str, seed: int, device: torch.device) -> Trainer:
    convolution._bordered.cache_clear()  # it may have a tensor of another device
    recipe = catalog.recipe(flow, "photos8", "tiny")
    model = recipe.model
    with unset_fake_temporarily():
        network = models.build(model, "checkerboard-even", seed=seed)
    images = np.zeros((recipe.optimization.batch, model.channels, model.size, model.size), np.uint8)
    network._apply(lambda t: torch.empty(t.shape, dtype=t.dtype, device=device).copy_(t))
    repeats = REGISTERED[flow].stacks
    return Trainer(network, recipe.optimization, seed, Images(images, device), repeats=repeats)


def _count(step: Callable[[], object], repeated: RepeatedStep | None) -> tuple[int, int]:
    """Count the second step, and the fifth: the third is recorded, and the fourth is checked."""
    if repeated is not None:
        repeated.unrecorded = 2
    launches = []
    for _ in range(2 if repeated is None else 5):
        with devices.counted() as counts:
            step()
        launches.append(counts.launches.total())
    return launches[1], 0 if repeated is None else launches[4]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.launches", description=__doc__)
    parser.add_argument("flows", nargs="*", metavar="FLOW", help="only these (default: all)")
    options = parser.parse_args(arguments)
    devices.register()
    print("| a model and step | alone |" + "".join(f" {members} |" for members in STACKS))
    print("| --- |" + " --- |" * (1 + len(STACKS)))
    for flow in options.flows or catalog.flows():
        counts = {0: count_single(flow)}
        if REGISTERED[flow].stacks:
            counts |= {members: count_stack(flow, members) for members in COUNTED_STACKS}
        for row, name in enumerate((flow, f"{flow}, recorded")):
            if not counts[0][row]:
                continue
            cells = [counts[0][row]]
            if len(counts) > 1:
                of_6, of_12 = counts[6][row], counts[12][row]
                per_member = (of_12 - of_6) / 6
                cells += [counts[1][row], *((of_6 + (n - 6) * per_member) / n for n in STACKS[1:])]
            print(f"| {name} | {' | '.join(f'{cell:.0f}' for cell in cells)} |", flush=True)


if __name__ == "__main__":
    main()
