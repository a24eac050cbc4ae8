"""What a process that computes keeps of its memory, and what it gives back."""

import ctypes
import resource

import pytest
import torch

from lcma.harness.train.devices import configure_device, current_memory, free_memory

MIB = 2**20

pytestmark = pytest.mark.skipif(
    not hasattr(ctypes.CDLL(None), "mallopt"), reason="this C library cannot be told to keep memory"
)


def _faults_of_a_tensor() -> int:
    """Allocate and write 24 MiB, and return how many pages the system had to clear for it."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.zeros(24 * MIB, dtype=torch.uint8).fill_(1)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def test_freed_memory_is_used_again_and_given_back_at_the_end() -> None:
    configure_device("cpu", 1)
    _faults_of_a_tensor()
    kept = current_memory("cpu")
    assert max(_faults_of_a_tensor() for _ in range(4)) < 100  # of 6144 pages
    free_memory("cpu")
    left = current_memory("cpu")
    assert kept is not None
    assert left is not None
    assert kept - left > 20 * MIB
