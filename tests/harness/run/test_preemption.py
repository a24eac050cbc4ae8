"""A worker that is told to end writes a checkpoint, and its attempt counts for nothing."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lcma.harness.run.driver import Launch
from lcma.harness.run.local import LocalExecutor
from tests.harness.run.conftest import Told


class Ending(Told):
    """A display that sends SIGTERM to the first worker that has made steps."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[int] = []

    def update(self, ended: int, total: int, running: Any) -> None:
        for job in running:
            if job.step > 0 and not self.told:
                self.told.append(job.pid)
                os.kill(job.pid, signal.SIGTERM)


@pytest.mark.integration
@pytest.mark.usefixtures("slow_steps")
def test_sigterm_ends_an_attempt_as_preempted_with_a_checkpoint(
    one_trial: Callable[..., Any], tmp_path: Path
) -> None:
    store, node = one_trial(f"sqlite:///{tmp_path / 'told.db'}", steps=60, lease=1.0)
    executor, display = LocalExecutor(1), Ending()
    try:
        ended = Launch(store, [node], executor, display).run()
    finally:
        executor.close(kill=True)
    assert len(ended.with_ending("done")) == 1
    first, second = store.attempts().sort_values("token").itertuples()
    assert (first.outcome, second.outcome) == ("preempted", "done")
    assert second.first_step == first.last_step > 0
    assert display.notes[0].endswith("preempted; it is run again")
    assert "told to end" in first.message
