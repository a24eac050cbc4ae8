"""The share of the steps' time that goes on waiting for images."""

import time

import pytest
import torch

from lcma.harness.train.batches import BatchOrder
from lcma.harness.train.step_timer import StepTimer


class Slow:
    """Images that take long to come."""

    def __init__(self, workshop, order: BatchOrder, seconds: float) -> None:
        self.images, self.order, self.seconds = workshop.images(), order, seconds

    def batch(self, step: int) -> torch.Tensor:
        time.sleep(self.seconds)
        return self.images.gather(self.order.indices(step))


def test_a_step_that_has_not_ended_is_not_counted() -> None:
    waiting = StepTimer(torch.device("cpu"))
    waiting.update()
    assert waiting.wait_share is None
    waiting.mark()
    waiting.mark()
    waiting.update()
    assert waiting.wait_share is None
    waiting.mark()
    waiting.update()
    assert waiting.wait_share is not None
    assert 0 <= waiting.wait_share <= 1


@pytest.mark.parametrize("seconds", [0.0, 0.2])
def test_a_training_says_how_long_it_waited(workshop, seconds: float) -> None:
    run = workshop.training("run", training={"holdout_every": None, "select": "last"})
    run.trainer.feed = Slow(workshop, run.trainer.order, seconds)
    assert run.go(5)
    share = run.trainer.timer.wait_share
    assert share is not None
    assert 0 < share < 1
    assert run.trainer.timer.wait_seconds >= 5 * seconds, "what was slept was waited"
