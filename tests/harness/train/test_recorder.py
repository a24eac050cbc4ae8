"""Recorded operations: the graph of a block, run again with other numbers."""

import gc
import weakref
from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor

from lcma.harness.train.recorder import Recorder, RepeatedStep
from lcma.models.stacked import GeneratorNoise, Noise

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
