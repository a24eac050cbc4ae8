"""The share of the steps' time spent waiting for images."""

import time

import pytest
import torch

from lcma.harness.train.step_timer import StepTimer


def test_a_step_that_has_not_ended_is_not_counted() -> None:
    timer = StepTimer(torch.device("cpu"))
    timer.update()
    assert timer.wait_share is None
    timer.mark()
    timer.mark()
    timer.update()
    assert timer.wait_share is None
    timer.mark()
    timer.update()
    assert 0 <= timer.wait_share <= 1


@pytest.mark.parametrize("seconds", [0.0, 0.2])
def test_a_training_measures_how_long_it_waited(workshop, seconds: float) -> None:
    run = workshop.training("run", training={"holdout_every": None, "select": "last"})
    read_batch = run.trainer.read_batch
    run.trainer.read_batch = lambda step: (time.sleep(seconds), read_batch(step))[1]
    assert run.go(5)
    assert 0 < run.trainer.timer.wait_share < 1
    assert run.trainer.timer.wait_seconds >= 5 * seconds, "sleeping is waiting"
