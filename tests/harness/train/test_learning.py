"""Every flow learns: a few hundred steps on photographs beat what two moments know of them."""

from pathlib import Path

import pytest
import torch

from lcma.harness.data.bars import compute_bars
from lcma.harness.data.build import prepare
from lcma.harness.data.prepared import Prepared
from lcma.harness.train.batches import Images
from lcma.harness.train.checkpoint import CheckpointFolder
from lcma.harness.train.evaluate import evaluate
from lcma.harness.train.protocol import PLAIN
from lcma.harness.train.trainer import Hooks, Trainer
from lcma.models import build
from lcma.sweeps import catalog

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return prepare("photos8", tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def gaussian(photos: Prepared) -> float:
    """Bits/dim of the per-dimension Gaussian on the test part."""
    found = next(bar.bits_per_dim for bar in compute_bars(photos) if bar.name == "gaussian")
    assert found is not None
    return found


@pytest.mark.slow
@pytest.mark.parametrize("flow", list(catalog.flows()))
def test_three_hundred_steps_beat_the_gaussian(
    flow: str, photos: Prepared, gaussian: float, tmp_path: Path
) -> None:
    recipe = catalog.recipe(flow, "photos8", "tiny", {"training": {"steps": 300}})
    train, test = (Images(photos.part(part).images, CPU) for part in ("train", "test"))
    built = build(recipe.model, catalog.flows()[flow], seed=0)
    trainer = Trainer(built, recipe.optimization, 0, train, recipe.training)
    folder = CheckpointFolder(tmp_path)
    trainer.resume(folder, recipe.training.steps)
    at_start = evaluate(trainer.evaluated, test, PLAIN).bits_per_dim.value
    trainer.run(recipe.training.steps, folder, Hooks(checkpoint_seconds=1e9))
    found = evaluate(trainer.evaluated, test, PLAIN).bits_per_dim.value
    assert found < gaussian - 1 < at_start
    with torch.no_grad():
        images = test.gather(torch.arange(8).numpy())
        noise = torch.Generator().manual_seed(0)
        built = trainer.evaluated.eval()
        decoded = built.decode(built.encode(images, noise))
    off = (decoded - images).abs()
    assert float(off.max()) <= 1, "float32 can round over the edge of an integer, and no further"
    assert float((off > 0).double().mean()) < 0.01
