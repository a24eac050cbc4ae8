"""The images of each step, and the seeds of all draws."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import lcma.harness.train.batches as batching
from lcma.harness.seeds import derive_seed
from lcma.harness.train.batches import BatchOrder, Images, make_batch_reader

counts = st.integers(1, 40)
batches = st.integers(1, 100)
seeds = st.integers(0, 2**31 - 1)
DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


def concatenate(order: BatchOrder, steps: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    return np.concatenate([order.indices(step) for step in range(steps)])


@given(counts, batches, seeds)
@settings(max_examples=60)
def test_every_epoch_is_a_permutation(count: int, batch: int, seed: int) -> None:
    """Batches may be larger than the set, and may straddle epochs."""
    epochs = 3
    steps = -(-epochs * count // batch)
    order = concatenate(BatchOrder(count, batch, seed), steps)
    assert len(order) == steps * batch
    for epoch in range(epochs):
        assert sorted(order[epoch * count : (epoch + 1) * count]) == list(range(count))


@given(counts, batches, batches, seeds)
@settings(max_examples=30)
def test_the_batch_size_only_cuts_one_order(count: int, a: int, b: int, seed: int) -> None:
    first = concatenate(BatchOrder(count, a, seed), 3)
    second = concatenate(BatchOrder(count, b, seed), 3)
    length = min(len(first), len(second))
    assert np.array_equal(first[:length], second[:length])


def test_seeds_and_epochs_differ() -> None:
    orders = [BatchOrder(50, 50, seed).indices(epoch) for seed in (0, 1) for epoch in (0, 1)]
    assert len({tuple(order) for order in orders}) == 4


def test_the_order_never_changes() -> None:
    """Another order would be another training under the same id."""
    assert BatchOrder(10, 10, 0).indices(0).tolist() == [0, 1, 9, 6, 8, 3, 4, 7, 5, 2]


@pytest.mark.parametrize("kind", ["array", "memory map"])
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("device", DEVICES)
def test_images_are_gathered_as_they_are(
    kind: str, dtype: str, device: str, tmp_path: Path
) -> None:
    array = (np.random.RandomState(0).rand(9, 3, 4, 4) * 255).astype(dtype)
    np.save(tmp_path / "a.npy", array)
    source = np.load(tmp_path / "a.npy", mmap_mode="r") if kind == "memory map" else array
    images = Images(source, torch.device(device))
    assert len(images) == 9
    batch = images.gather(np.array([8, 0, 0, 3]))
    assert batch.dtype == getattr(torch, dtype)
    assert batch.device.type == torch.device(device).type
    assert np.array_equal(batch.cpu().numpy(), array[[8, 0, 0, 3]])
    batch.zero_()
    assert np.array_equal(images.gather(np.array([8])).cpu().numpy(), array[[8]]), "a copy"


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("share", [1.0, 0.0], ids=["held there", "sent batch by batch"])
def test_a_reader_gives_the_batches_of_its_order_from_any_step(
    device: str, share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In order, again, or from the step of a resumed run."""
    monkeypatch.setattr(batching, "RESIDENT_SHARE", share)
    array = np.random.RandomState(0).randint(0, 256, (50, 1, 4, 4)).astype(np.uint8)
    order = BatchOrder(50, 8, 3)
    read_batch = make_batch_reader(Images(array, torch.device(device)), order)
    for step in (*range(20), 20, 20, 3, 4, 40, 41, 0):
        assert np.array_equal(read_batch(step).cpu(), array[order.indices(step)]), step


def test_derived_seeds_never_change() -> None:
    """Every noise draw and every order depends on them."""
    assert derive_seed(0, "step", 0) == 6_028_582_006_816_865_203
    assert derive_seed(7, "evaluate", 1, 100) == 7_884_620_559_800_347_829
