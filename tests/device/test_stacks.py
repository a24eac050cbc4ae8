"""A stack on a GPU made of Python: no step waits or copies, and all rows are convolved together.

It is computed without numbers, so an operation that reads one fails.
"""

from pathlib import Path

import pytest
import torch
from torch._subclasses.fake_tensor import unset_fake_temporarily

from lcma import models
from lcma.harness import data
from lcma.harness.train.batches import Images
from lcma.harness.train.online import OnlineTables
from lcma.harness.train.stack import Stack
from lcma.harness.train.trainer import Trainer
from tests.device import device as devices
from tests.device.conftest import Run
from tests.device.test_flows import choose_recipe

pytestmark = pytest.mark.xdist_group("device")


def make_trainer(flow: str, seed: int, images: Images) -> Trainer:
    recipe, device = choose_recipe(flow), images.device
    with unset_fake_temporarily():
        built = models.build(recipe.model, "checkerboard-even", seed=seed)
        tables = OnlineTables(built, recipe.maps.online, recipe.training.steps)
    built._apply(lambda tensor: torch.empty(tensor.shape, dtype=tensor.dtype, device=device))
    tables._sums = [
        torch.zeros(sums.shape, dtype=sums.dtype, device=device) for sums in tables._sums
    ]
    return Trainer(
        built, recipe.optimization, seed, images, training=recipe.training, online=tables
    )


MEMBERS = 4


def count_step(flow: str, root: Path) -> tuple[devices.Counts, int]:
    """Return the counts of a step of a stack, and the number of a model's kernels."""
    photos = data.load("photos8", root).part("train").images
    with devices.on_device_without_data() as device:
        images = Images(photos, device)
        stack = Stack([make_trainer(flow, seed, images) for seed in range(MEMBERS)])
        stack.step()
        with devices.counted() as counts:
            stack.step()
    kernels = [kernel for kernel in stack.trainers[0].flow.parameters() if kernel.dim() == 4]
    return counts, sum(kernel[0].numel() > 1 for kernel in kernels)


LAUNCHES = {"realnvp": 531, "glow": 513}
"""Operations of a step of a stack when they were last counted."""


@pytest.mark.parametrize("flow", LAUNCHES)
def test_a_step_of_a_stack_asks_nothing_of_the_device(
    flow: str, run: Run, few_photos_root: Path
) -> None:
    """And it convolves all rows together, which on a CPU depends on the sizes."""
    counts, kernels = run(count_step, flow, few_photos_root)
    assert counts.waits == {}
    assert counts.copies == counts.pinned == {}
    # `torch.vmap` makes a weight for a batch norm without one.
    assert [place for place in counts.constants if not place.endswith("aten.ones.default")] == []
    assert counts.launches.total() <= LAUNCHES[flow]
    assert 0 < counts.launches["convolution"] < 2 * kernels  # some are of borders
