"""The part of the half hour on a GPU that finds waits, run on a GPU made of Python."""

import math
from functools import partial
from typing import Any
from unittest import mock

import pytest

from benchmarks import gpu_half_hour
from benchmarks.gpu_half_hour import Run, find_waits
from lcma.harness.train.trainer import Trainer
from tests.device import device as devices
from tests.device.conftest import Run as RunInProcess


def rehearse(*, waits: bool) -> tuple[list[Any], list[str]]:
    half_hour = Run(devices.DEVICE, quick=True, data=None, until=math.inf)

    def shrink(trainer: Trainer) -> None:
        if waits:
            float(trainer.flow.layers[-2].scale)

    with (
        devices.on_device(),
        mock.patch.object(gpu_half_hour.catalog, "flows", return_value=["realnvp"]),
        mock.patch.object(Trainer, "_add_l2", shrink),
    ):
        find_waits(half_hour)
    return half_hour.rows, half_hour.errors


@pytest.mark.integration
def test_a_training_that_waits_for_the_device_is_found(run: RunInProcess) -> None:
    row = {"row": "realnvp", "steps without a wait": 5, "expected": 5}
    assert run(partial(rehearse, waits=False)) == ([row], [])
    rows, (error,) = run(partial(rehearse, waits=True))
    assert rows == []
    assert error.startswith("realnvp: DeviceError: ")
