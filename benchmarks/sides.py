"""The two sides of a row, as functions that make one step when called."""

import importlib.util
import logging
import math
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from benchmarks.comparisons import Side
from lcma.harness.train.batches import BatchOrder, Images
from lcma.harness.train.stack import form_stacks
from lcma.harness.train.trainer import Trainer
from lcma.models import Flow, build
from lcma.sweeps.architectures import REGISTERED
from lcma.sweeps.catalog import flows
from lcma.sweeps.factorizations import is_word
from lcma.sweeps.recipe import Optimization

Step = Callable[[], None]

logger = logging.getLogger("lcma")

SEED = 0


@cache
def load_photographs(size: int) -> NDArray[np.uint8]:
    """Return crops (N, 3, size, size) of a photograph that scikit-image ships."""
    spec = importlib.util.find_spec("skimage")  # scikit-image itself takes long to import
    assert spec is not None
    assert spec.submodule_search_locations is not None
    path = Path(spec.submodule_search_locations[0]) / "data" / "astronaut.png"
    image = np.asarray(Image.open(path)).transpose(2, 0, 1)
    n = 512 // size
    crops = image.reshape(3, n, size, n, size).transpose(1, 3, 0, 2, 4)
    return np.ascontiguousarray(crops.reshape(n * n, 3, size, size))


def build_flow(side: Side) -> Flow:
    """Build our flow of a side."""
    model = side.recipe.model
    shape = (model.channels, model.size, model.size)
    factorization = side.factorization
    if factorization == "conventional":
        factorization = flows()[side.flow]
    # The maps of a word are noise, since every index table costs the same.
    noise = np.random.RandomState(SEED).standard_normal((model.splits, *shape))
    maps = list(noise) if is_word(factorization) else ()
    return build(model, factorization, seed=SEED, maps=maps)


class PeerTraining:
    """The loop of normflows' examples, with the recipe's optimizer and clipping."""

    def __init__(
        self, model: nn.Module, optimization: Optimization, images: Images, *, lipschitz: bool
    ) -> None:
        self.model, self.images = model.to(images.device), images
        self.optimization, self.lipschitz = optimization, lipschitz
        self.order = BatchOrder(len(images), optimization.batch, SEED)
        self.steps = 0
        self.model.train()
        with torch.no_grad():
            self._compute_nats()  # the first batch starts the actnorms and the power iteration
        trained = [p for p in self.model.parameters() if p.requires_grad]
        rate, betas = optimization.learning_rate, optimization.betas
        self.optimizer: torch.optim.Optimizer = (
            torch.optim.Adamax(trained, lr=rate, betas=betas, foreach=True)
            if optimization.optimizer == "adamax"
            else torch.optim.Adam(trained, lr=rate, betas=betas, fused=True)
        )

    def _compute_nats(self) -> torch.Tensor:
        """Return the mean negative log-likelihood of integers, in nats per image."""
        x = self.images.gather(self.order.indices(self.steps))
        x = (x + torch.rand(x.shape, device=x.device)) / 256
        constant = x[0].numel() * math.log(256)
        loss: torch.Tensor = self.model.forward_kld(x) + constant  # type: ignore[operator]
        return loss

    def __call__(self) -> None:
        if self.lipschitz:
            import normflows as nf

            from benchmarks.peers import LIPSCHITZ_ITERATIONS

            nf.utils.update_lipschitz(self.model, LIPSCHITZ_ITERATIONS)
        loss = self._compute_nats()
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        if self.optimization.clip is not None:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.optimization.clip)
        self.optimizer.step()
        self.steps += 1


def make_trainer(side: Side, device: torch.device, seed: int = SEED) -> Trainer:
    """Return a trainer of a side's flow, after its data-dependent initialization."""
    recipe = side.recipe
    images = Images(load_photographs(recipe.model.size), device)
    repeats = side.recorded and REGISTERED[side.flow].stacks
    flow = build_flow(side).to(device)
    trainer = Trainer(flow, recipe.optimization, seed, images, repeats=repeats)
    if trainer.repeated is not None:
        trainer.repeated.unrecorded = 0
    trainer.start()
    return trainer


def prepare(side: Side, device: torch.device, note: Callable[[str], None] = logger.warning) -> Step:
    """Return the step of a side, after its data-dependent initialization.

    ``note`` gets a line if the stack is trained in several stacks.
    """
    torch.manual_seed(SEED)
    np.random.seed(SEED)  # of normflows' Russian roulette
    recipe = side.recipe
    if side.kind == "normflows":
        from benchmarks.peers import build_peer

        residual = side.flow in ("iresnet", "resflow")
        images = Images(load_photographs(recipe.model.size), device)
        model = build_peer(recipe.model)
        return PeerTraining(model, recipe.optimization, images, lipschitz=residual)
    if side.kind == "stack":
        trainers = [make_trainer(side, device, seed) for seed in range(side.models)]
        stacks = form_stacks(trainers, note)
        for stack in stacks:
            stack.repeated.unrecorded = 0 if side.recorded else sys.maxsize

        def train_all() -> None:
            for stack in stacks:
                stack.step()

        return train_all
    trainer = make_trainer(side, device)
    if side.kind == "lcma":

        def train() -> None:
            for _ in range(side.models):
                trainer.make_step()

        return train
    flow = trainer.flow
    generator = torch.Generator(device)
    x = trainer.images.gather(np.arange(recipe.optimization.batch))
    flow.eval()
    flow.before_evaluation()
    run = flow.contributions if side.kind == "contributions" else flow

    def evaluate() -> None:
        with torch.no_grad():
            run(x, generator)

    return evaluate
