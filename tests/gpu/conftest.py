"""Tests on a CUDA device (`make test-gpu`), or with LCMA_TEST_DEVICE=cpu on a CPU."""

import os
from pathlib import Path

import pytest
import torch

from lcma.harness import data
from lcma.harness.train.devices import configure_device


@pytest.fixture(scope="session")
def device() -> torch.device:
    """The device of the tests, which are skipped without it."""
    name = os.environ.get("LCMA_TEST_DEVICE", "cuda")
    if name not in ("cpu", "cuda"):
        raise pytest.UsageError(f"LCMA_TEST_DEVICE={name}: give cuda or cpu")
    if name == "cuda" and not torch.cuda.is_available():
        pytest.skip("PyTorch sees no CUDA device here")
    return torch.device(name)


@pytest.fixture(autouse=True)
def _configured(device: torch.device) -> None:
    """Computes as workers do: deterministic, float32 without TF32."""
    configure_device(device.type, 1)


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> data.PreparedSet:
    root: Path = tmp_path_factory.mktemp("data")
    data.prepare("photos8", root)
    return data.load("photos8", root)
