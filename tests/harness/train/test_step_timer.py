"""The share of the steps' time spent waiting for images."""

import time


def test_a_training_measures_how_long_it_waited(workshop) -> None:
    run = workshop.training("run", training={"holdout_every": None, "select": "last"})
    read_batch = run.trainer.read_batch
    run.trainer.read_batch = lambda step: (time.sleep(0.2), read_batch(step))[1]
    assert run.go(5)
    assert 0 < run.trainer.timer.wait_share < 1
    assert run.trainer.timer.wait_seconds >= 5 * 0.2, "sleeping is waiting"
