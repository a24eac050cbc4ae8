"""Coupling nets in bfloat16 or compiled: only the nets, and only in training."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lcma import models
from lcma.harness import data
from lcma.harness.train.evaluate import evaluate
from lcma.harness.train.protocol import PLAIN
from lcma.harness.train.trainer import Trainer
from lcma.models.coupling import CouplingNet
from lcma.models.glow import GlowNet
from lcma.sweeps import architectures, catalog
from tests.harness.train.conftest import SHORT, build_trainer

SMALL = {
    "realnvp": SHORT["realnvp"] | {"width": 4, "blocks": 0},
    "glow": SHORT["glow"] | {"width": 8},
}
FLOWS = [f for f in catalog.flows() if architectures.REGISTERED[f].coupling_nets]


def make_trainer(
    flow: str, prepared: data.PreparedSet, *, compiler: Any = "aot_eager", **optimization: object
) -> Trainer:
    """Return a trainer of a flow that is small enough to compile."""
    override = {
        "model": {"splits": 1, "architecture": SMALL[flow]},
        "optimization": {"stacked": False} | optimization,
        "training": {"steps": 20, "ema": 0.9, "select": "best", "holdout_every": 10},
    }
    recipe = catalog.recipe(flow, "photos8", "tiny", override)
    built, pixels = (
        models.build(recipe.model, "random-local", seed=1),
        prepared.part("train").images,
    )
    # inductor would need a C++ compiler
    return build_trainer(recipe, built, pixels, compiler=compiler, repeats=True)


def list_nets(flow: nn.Module) -> list[nn.Module]:
    return [m for m in flow.modules() if isinstance(m, CouplingNet | GlowNet)]


def read_gradients(trainer: Trainer) -> dict[str, Tensor]:
    return {n: p.grad for n, p in trainer.flow.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("flow", FLOWS)
def test_only_convolutions_of_nets_are_in_bfloat16(flow: str, prepared: data.PreparedSet) -> None:
    """The outputs of nets, every layer and the likelihood are float32."""
    trainer = make_trainer(flow, prepared, autocast="bfloat16")
    assert trainer.repeated is None
    trainer.start()
    nets = list_nets(trainer.flow)
    inside = {module for net in nets for module in net.modules()} - {*nets}
    dtypes: dict[bool, set[torch.dtype]] = {True: set(), False: set()}

    def record(module: nn.Module, _: object, outputs: object) -> None:
        for output in outputs if isinstance(outputs, tuple) else (outputs,):
            if isinstance(output, Tensor):
                dtypes[module in inside].add(output.dtype)

    for module in trainer.flow.modules():
        module.register_forward_hook(record)
    trainer.make_step()
    assert {gradient.dtype for gradient in read_gradients(trainer).values()} == {torch.float32}
    assert torch.bfloat16 in dtypes[True]
    assert dtypes[False] == {torch.float32}
    dtypes[True].clear()
    evaluate(trainer.flow, trainer.images, PLAIN)
    assert dtypes[True] == {torch.float32}


def loss_after_three_steps(trainer: Trainer) -> float:
    trainer.start()
    return [float(trainer.make_step()) for _ in range(3)][-1]


@pytest.mark.slow_on("glow")
@pytest.mark.parametrize("flow", FLOWS)
def test_bfloat16_changes_a_step_by_its_rounding(flow: str, prepared: data.PreparedSet) -> None:
    plain = loss_after_three_steps(make_trainer(flow, prepared))
    rounded = loss_after_three_steps(make_trainer(flow, prepared, autocast="bfloat16"))
    assert rounded != plain
    assert rounded == pytest.approx(plain, rel=0.01)


@pytest.mark.parametrize("flow", FLOWS)
def test_every_coupling_net_is_compiled(flow: str, prepared: data.PreparedSet) -> None:
    """Only in training, and with the gradients of the plain nets."""
    runs = 0

    def count_runs(graph: torch.fx.GraphModule, _: list[Tensor]) -> object:
        def run(*arguments: Tensor) -> object:
            nonlocal runs
            runs += 1
            return graph(*arguments)

        return run

    torch._dynamo.reset()
    compiled = make_trainer(flow, prepared, compile=True, compiler=count_runs)
    plain = make_trainer(flow, prepared)
    losses = []
    for trainer in (compiled, plain):
        trainer.start()
        losses.append(float(trainer.make_step()))
    assert runs == len(list_nets(compiled.flow))
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    torch.testing.assert_close(
        read_gradients(compiled), read_gradients(plain), rtol=1e-3, atol=1e-5
    )
    evaluate(compiled.flow, compiled.images, PLAIN)
    assert runs == len(list_nets(compiled.flow))
