"""Freed memory stays with the process during its work, and goes back to the system afterwards."""

import ctypes
import resource

import pytest
import torch

from lcma.harness.train.devices import configure_device, current_memory, free_memory

MIB = 2**20

pytestmark = pytest.mark.skipif(
    not hasattr(ctypes.CDLL(None), "mallopt"), reason="this C library cannot be told to keep memory"
)


def _count_cleared_pages() -> int:
    """Allocate and write 24 MiB; return how many pages the system had to clear."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.zeros(24 * MIB, dtype=torch.uint8).fill_(1)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def test_freed_memory_is_used_again_and_returned_at_the_end() -> None:
    configure_device("cpu", 1)
    _count_cleared_pages()
    kept = current_memory("cpu")
    assert max(_count_cleared_pages() for _ in range(4)) < 100  # of 6144 pages
    free_memory("cpu")
    freed = current_memory("cpu")
    assert kept - freed > 20 * MIB
