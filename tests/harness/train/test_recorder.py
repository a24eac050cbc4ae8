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


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_a_graph_does_what_the_block_does_with_other_numbers() -> None:
    """Gradients, views, results of several parts, constants, and what is changed in place."""
    mask = numbers(6, seed=9)

    def step(x: Tensor, weight: Tensor, mean: Tensor) -> list[Tensor]:
        leaf = weight.detach().requires_grad_()
        first, second = (F.relu(x @ leaf.view(4, 6)) * mask).chunk(2, dim=1)
        with torch.no_grad():
            mean.lerp_(first.mean(0), 0.25)
        loss = (first - mean).square().sum() + second.exp().sum()
        (gradient,) = torch.autograd.grad(loss, leaf)
        return [loss.detach(), gradient, first.detach()[:, 1:]]

    tensors = numbers(5, 4), numbers(24, seed=1), numbers(3, seed=2)
    recorder = Recorder(tensors)
    with recorder:
        recorded = step(*tensors)
    graph = recorder.graph(recorded)
    for seed in (3, 4):
        others = numbers(5, 4, seed=seed), numbers(24, seed=seed), numbers(3, seed=seed)
        again = [tensor.clone() for tensor in others]
        expected = step(*others)
        with torch.no_grad():
            found = graph(*again)
        assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
        assert torch.equal(again[2], others[2])


NOISE = GeneratorNoise(torch.Generator())


@pytest.mark.parametrize("block", [torch.rand_like, lambda x: float(x.sum())])
def test_what_may_differ_the_next_time_is_not_recorded(
    block: Callable[[Tensor], object], caplog: pytest.LogCaptureFixture
) -> None:
    """It is done each time, and a line tells it."""
    done: list[object] = []

    def step(tensors: Sequence[Tensor], noise: Noise) -> list[Tensor]:
        done.append(block(tensors[0]))
        return [tensors[0] + 1]

    repeated = RepeatedStep()
    repeated.unrecorded = 0
    for _ in range(3):
        assert repeated(step, [torch.ones(2)], [], NOISE)[0].tolist() == [2.0, 2.0]
    assert len(done) == 4  # the recorded one twice
    assert caplog.text.count("may do something else the next time") == 1


def test_what_changes_without_being_an_input_is_noticed(caplog: pytest.LogCaptureFixture) -> None:
    factor = 0.0

    def step(tensors: Sequence[Tensor], noise: Noise) -> list[Tensor]:
        return [tensors[0] * factor]

    repeated = RepeatedStep()
    repeated.unrecorded = 1
    for call in range(5):
        factor = float(call)
        assert repeated(step, [torch.ones(2)], [], NOISE)[0].tolist() == [factor] * 2
    assert caplog.text.count("has other bits here") == 1


def test_what_is_changed_in_place_is_changed_once() -> None:
    """As often as without a record: also at the calls that are made twice."""

    def step(tensors: Sequence[Tensor], noise: Noise) -> list[Tensor]:
        x, mean = tensors
        drawn = noise.draw(lambda like, generator: torch.full_like(like, 3.0), x)
        mean.add_(x + drawn)
        return [mean * 2]

    repeated, mean = RepeatedStep(), torch.zeros(2)
    repeated.unrecorded = 1
    for call in range(1, 6):
        (found,) = repeated(step, [torch.ones(2)], [mean], NOISE)
        assert mean.tolist() == [4.0 * call] * 2
        assert found.tolist() == [8.0 * call] * 2


def test_a_record_that_fails_ends_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def step(tensors: Sequence[Tensor], noise: Noise) -> list[Tensor]:
        return [tensors[0] + 1]

    def fail(*tensors: object) -> list[Tensor]:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(Recorder, "graph", lambda self, results: fail)
    repeated = RepeatedStep()
    repeated.unrecorded = 0
    for _ in range(3):
        assert repeated(step, [torch.ones(2)], [], NOISE)[0].tolist() == [2.0, 2.0]
    assert caplog.text.count("a recorded step fails: out of memory") == 1


def test_a_record_is_freed_with_its_owner() -> None:
    """At once: the weights in it may be most of a device's memory."""

    repeated, weight = RepeatedStep(), torch.ones(2)
    repeated.unrecorded = 0
    for _ in range(3):
        repeated(lambda tensors, noise, own=weight: [tensors[0] * own], [torch.ones(2)], [], NOISE)
    left = weakref.ref(weight)
    gc.disable()
    try:
        del weight
        assert left() is not None  # a constant of the graph
        del repeated
        assert left() is None
    finally:
        gc.enable()
