"""A process for the device: PyTorch would know the device in all later tests."""

from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import pytest
from torch.utils import backend_registration

from tests.device import device
from tests.harness.conftest import few_photos_root

__all__ = ["few_photos_root"]

Run = Callable[..., Any]
"""Runs a function in the process of the device, and returns its result."""


@pytest.fixture(scope="session")
def run() -> Iterator[Run]:
    """A new process, since a fork would have the state that earlier tests left.

    All tests of the device share it, since its start takes longer than most of them.
    """
    if not hasattr(backend_registration, "_setup_privateuseone_for_python_backend"):
        pytest.skip("this PyTorch has no devices made of Python")
    spawn = get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn, initializer=device.register) as process:
        yield lambda function, *arguments: process.submit(function, *arguments).result()
