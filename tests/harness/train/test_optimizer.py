"""The optimizer that computes all parameters as one vector, against PyTorch's own."""

import copy
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from lcma.harness.train.optimizer import Adamax, make_optimizer, restore_optimizer
from lcma.sweeps.recipe import Optimization

SHAPES = [(), (1,), (7,), (12, 12), (5, 3, 3, 3), (1031,)]

actions = st.lists(
    st.one_of(
        st.tuples(st.just("step"), st.sets(st.integers(0, len(SHAPES) - 1))),
        st.tuples(st.sampled_from(["restore", "replace"]), st.just(frozenset[int]())),
    ),
    max_size=12,
)
"""Steps, each with the parameters that have no gradient, and what happens between them."""


def make_sides(dtype: torch.dtype) -> list[tuple[list[nn.Parameter], torch.optim.Optimizer]]:
    """Return equal parameters twice, for our optimizer and for PyTorch's."""
    settings = Optimization(batch=1, learning_rate=0.1, betas=(0.9, 0.99), optimizer="adamax")
    sides = []
    for ours in (True, False):
        torch.manual_seed(0)
        parameters = [nn.Parameter(torch.randn(shape, dtype=dtype)) for shape in SHAPES]
        optimizer = make_optimizer(parameters, settings)
        assert type(optimizer) is Adamax
        if not ours:
            optimizer = torch.optim.Adamax(parameters, lr=0.1, betas=(0.9, 0.99), foreach=True)
        sides.append((parameters, optimizer))
    return sides


def read_state(parameters: list[nn.Parameter], optimizer: torch.optim.Optimizer) -> list[Any]:
    return [(p.detach(), dict(optimizer.state.get(p) or {})) for p in parameters]


@pytest.mark.slow_on("float64")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@settings(max_examples=40)
@given(actions=actions)
def test_every_step_has_the_bits_of_pytorchs(
    dtype: torch.dtype, actions: list[tuple[str, frozenset[int]]]
) -> None:
    sides = make_sides(dtype)
    for number, (kind, without) in enumerate(actions):
        for parameters, optimizer in sides:
            optimizer.param_groups[0]["lr"] = 0.1 / (1 + number)
            if kind == "step":
                torch.manual_seed(number)
                for index, p in enumerate(parameters):
                    gradient = torch.randn_like(p) * 10.0 ** float(torch.randn(()))
                    p.grad = None if index in without else gradient
                optimizer.step()
            elif kind == "restore":
                restore_optimizer(optimizer, copy.deepcopy(optimizer.state_dict()))
            else:  # as a dissolved stack does
                for moments in optimizer.state.values():
                    moments.update({name: value.clone() for name, value in moments.items()})
        ours, theirs = (read_state(*side) for side in sides)
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


def test_a_closure_is_refused() -> None:
    (_, optimizer), _ = make_sides(torch.float32)
    with pytest.raises(TypeError, match="calls no closure"):
        optimizer.step(lambda: 0.0)
