"""The share of the steps' time that goes on waiting for images."""

import time

import pytest
import torch

from lcma.harness.train.batches import BatchOrder
from lcma.harness.train.waiting import WaitTimer


class Slow:
    """Images that take long to come."""

    def __init__(self, workshop, order: BatchOrder, seconds: float) -> None:
        self.images, self.order, self.seconds = workshop.images(), order, seconds

    def batch(self, step: int) -> torch.Tensor:
        time.sleep(self.seconds)
        return self.images.gather(self.order.indices(step))


def test_a_step_that_has_not_ended_is_not_counted() -> None:
    waiting = WaitTimer(torch.device("cpu"))
    waiting.settle()
    assert waiting.share is None
    waiting.mark()
    waiting.mark()
    waiting.settle()
    assert waiting.share is None
    waiting.mark()
    waiting.settle()
    assert waiting.share is not None
    assert 0 <= waiting.share <= 1


@pytest.mark.parametrize("seconds", [0.0, 0.2])
def test_a_training_says_how_long_it_waited(workshop, seconds: float) -> None:
    run = workshop.training("run", training={"holdout_every": None, "select": "last"})
    run.trainer.feed = Slow(workshop, run.trainer.order, seconds)
    assert run.go(5)
    share = run.trainer.waiting.share
    assert share is not None
    assert 0 < share < 1
    assert run.trainer.waiting.waited >= 5 * seconds, "what was slept was waited"
