"""Recorded operations: the graph of a block, run again with other numbers."""

import gc
import weakref
from collections.abc import Callable, Sequence

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from lcma.harness.train.recorder import Recorder, RepeatedStep
from lcma.models.stacked import GeneratorNoise, Noise


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_a_graph_does_what_the_block_does_with_other_numbers() -> None:
    """Gradients, views, results of several parts, constants, and what is changed in place."""
    mask = draw(6, seed=9)

    def step(x: Tensor, weight: Tensor, mean: Tensor) -> list[Tensor]:
        leaf = weight.detach().requires_grad_()
        first, second = (F.relu(x @ leaf.view(4, 6)) * mask).chunk(2, dim=1)
        with torch.no_grad():
            mean.lerp_(first.mean(0), 0.25)
        loss = (first - mean).square().sum() + second.exp().sum()
        (gradient,) = torch.autograd.grad(loss, leaf)
        return [loss.detach(), gradient, first.detach()[:, 1:]]

    tensors = draw(5, 4), draw(24, seed=1), draw(3, seed=2)
    recorder = Recorder(tensors)
    with recorder:
        recorded = step(*tensors)
    graph = recorder.graph(recorded)
    for seed in (3, 4):
        others = draw(5, 4, seed=seed), draw(24, seed=seed), draw(3, seed=seed)
        clones = [tensor.clone() for tensor in others]
        expected = step(*others)
        with torch.no_grad():
            results = graph(*clones)
        assert all(torch.equal(a, b) for a, b in zip(results, expected, strict=True))
        assert torch.equal(clones[2], others[2])


NOISE = GeneratorNoise(torch.Generator())


def repeat_step(unrecorded: int) -> RepeatedStep:
    repeated = RepeatedStep()
    repeated.unrecorded = unrecorded
    return repeated


@pytest.mark.parametrize("block", [torch.rand_like, lambda x: float(x.sum())])
def test_operations_that_may_differ_the_next_time_are_not_recorded(
    block: Callable[[Tensor], object], caplog: pytest.LogCaptureFixture
) -> None:
    """They are done each time, and a line says so."""
    results: list[object] = []

    def step(tensors: Sequence[Tensor], noise: Noise) -> list[Tensor]:
        results.append(block(tensors[0]))
        return [tensors[0] + 1]

    repeated = repeat_step(unrecorded=0)
    for _ in range(3):
        assert repeated(step, [torch.ones(2)], [], NOISE)[0].tolist() == [2.0, 2.0]
    assert len(results) == 4  # the recorded one twice
    assert caplog.text.count("may do something else the next time") == 1


def test_a_change_of_anything_but_an_input_is_noticed(caplog: pytest.LogCaptureFixture) -> None:
    factor = 0.0

    def step(tensors: Sequence[Tensor], noise: Noise) -> list[Tensor]:
        return [tensors[0] * factor]

    repeated = repeat_step(unrecorded=1)
    for call in range(5):
        factor = float(call)
        assert repeated(step, [torch.ones(2)], [], NOISE)[0].tolist() == [factor] * 2
    assert caplog.text.count("has other bits here") == 1


def test_a_change_in_place_is_done_once() -> None:
    """Also at the calls that are made twice."""

    def step(tensors: Sequence[Tensor], noise: Noise) -> list[Tensor]:
        x, mean = tensors
        drawn = noise.draw(lambda like, generator: torch.full_like(like, 3.0), x)
        mean.add_(x + drawn)
        return [mean * 2]

    repeated, mean = repeat_step(unrecorded=1), torch.zeros(2)
    for call in range(1, 6):
        (result,) = repeated(step, [torch.ones(2)], [mean], NOISE)
        assert mean.tolist() == [4.0 * call] * 2
        assert result.tolist() == [8.0 * call] * 2


def test_a_record_that_fails_ends_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def step(tensors: Sequence[Tensor], noise: Noise) -> list[Tensor]:
        return [tensors[0] + 1]

    def fail(*tensors: object) -> list[Tensor]:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(Recorder, "graph", lambda self, results: fail)
    repeated = repeat_step(unrecorded=0)
    for _ in range(3):
        assert repeated(step, [torch.ones(2)], [], NOISE)[0].tolist() == [2.0, 2.0]
    assert caplog.text.count("a recorded step fails: out of memory") == 1


def test_a_record_is_freed_with_its_owner() -> None:
    """At once: the weights in it may be most of a device's memory."""
    repeated, weight = repeat_step(unrecorded=0), torch.ones(2)
    for _ in range(3):
        repeated(lambda tensors, noise, w=weight: [tensors[0] * w], [torch.ones(2)], [], NOISE)
    reference = weakref.ref(weight)
    gc.disable()
    try:
        del weight
        assert reference() is not None  # a constant of the graph
        del repeated
        assert reference() is None
    finally:
        gc.enable()
