"""A small sweep that is launched, cut, launched again, and compared with an undisturbed one."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from lcma import db
from lcma.sweeps.errors import UserError
from tests.faults.armed import Orders
from tests.harness.conftest import SMALL, merged
from tests.harness.launch.machines import HOOK, SLOW_STEPS, Machines, wait_until
from tests.processes import ROOT
from tests.stores import list_running, read_job

Launch = subprocess.Popen[bytes]
"""A launch in a process of its own."""

LEASE = 3.0
"""Length of leases, short so that the jobs of a dead launch are soon free."""

SWEEP = merged(
    SMALL,
    {
        "name": "faults",
        "matrix": {"factorization": ["conventional", "low"], "budget": [50]},
        "recipe": {"training": {"steps": 80, "ema": 0.9, "select": "best", "holdout_every": 20}},
        "resources": {"gpus": 0},
    },
)
"""A pretraining, a training that waits for its map, and one that waits for nothing."""

STACKED = {"recipe": {"optimization": {"stacked": True}}, "seeds": 2}
"""Changes it to trainings in stacks."""

WHOLE = merged(
    SWEEP,
    {
        "matrix": {
            "factorization": ["conventional", "self", "variance-low", "low"],
            "budget": [20, 50],
            "recipe": [{"optimization": {"stacked": False}}, {"optimization": {"stacked": True}}],
        },
        "exclude": [{"factorization": "self", "budget": 20}],
        "recipe": {"model": {"splits": 2}, "training": {"steps": 60}},
    },
)
"""Every kind of job: two pretraining segments in a chain, a pretraining that finds tables split by
split, and five trainings, three of which wait for one of them; and the same in stacks."""


class Sweep:
    """A sweep in a folder and a database of its own, on this machine or on ``machines`` of Ray."""

    def __init__(
        self,
        folder: Path,
        database: Any,
        data: Path,
        *,
        body: dict[str, Any] = SWEEP,
        runs: Path | str | None = None,
    ) -> None:
        folder.mkdir(exist_ok=True)
        self.folder, self.database, self.data = folder, database, data
        self.machines: Machines | None = None
        self.runs = runs or folder / "runs"
        self.orders = Orders(folder / "orders")
        (folder / "sweep.yaml").write_text(yaml.safe_dump(body))
        self._log, self._launches = folder / "launches.log", list[Launch]()

    @property
    def store(self) -> db.Store:
        return db.connect(self.database.url, create=False)

    def environment(self, *, armed: bool = False) -> dict[str, str]:
        """Return the variables of its launches, and of nodes that run its trials."""
        hook = f"tests.faults.armed:arm_worker:{self.orders.folder}" if armed else SLOW_STEPS
        return {HOOK: hook}

    def launch(self, *, armed: bool = False, **options: Any) -> Launch:
        """Start a launch; if it is ``armed``, its processes carry out `orders`."""
        executor = {"ray": self.machines.address} if self.machines else {"local": True}
        terms = {"lease_seconds": LEASE, "checkpoint_seconds": 0.0}
        task = {
            "spec": str(self.folder / "sweep.yaml"),
            "db": self.database.url,
            "runs": str(self.runs),
            "data": str(self.data),
            "orders": str(self.orders.folder) if armed else None,
            "options": executor | terms | options,
        }
        with self._log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.faults.driver", json.dumps(task)],
                cwd=ROOT,
                env=os.environ | self.environment(armed=armed),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self._launches.append(process)
        return process

    def finish(self, **options: Any) -> None:
        """Launch the sweep, and wait until all of it is done."""
        assert self.launch(**options).wait() == 0, self.output()

    def wait_for_job(
        self, kind: str = "trial", beyond: int = 5, token: int | None = None
    ) -> db.Job:
        """Wait for a running job of a kind that is beyond a step, in its n-th attempt."""

        def find() -> db.Job | None:
            with suppress(UserError):  # there is no database yet
                for facts in list_running(self.store):
                    if facts.kind == kind and facts.step > beyond:
                        job = read_job(self.store, facts.job_id)
                        if token in (None, job.token):
                            return job
            assert self._launches[-1].poll() is None, self.output()
            return None

        return wait_until(find)

    def wait_for_node(self, kind: str = "trial", **progress: Any) -> Any:
        """Wait for such a job; return the node on which it runs."""
        assert self.machines is not None
        return self.machines.find_node(self.wait_for_job(kind, **progress).pid)

    def outcomes(self) -> list[str]:
        """Return how the attempts ended, in the order in which they began."""
        return list(self.store.view("attempts").sort_values(["job_id", "token"]).outcome)

    def output(self) -> str:
        return self._log.read_text()

    def close(self) -> None:
        for process in self._launches:
            process.kill()
            process.wait()


def take_away(resource: Any) -> None:
    """Make a database or a place unreachable for a while."""
    resource.off()
    time.sleep(2 * LEASE)
    resource.on()


def pause(pid: int, meanwhile: Callable[[], None] = lambda: time.sleep(3 * LEASE)) -> None:
    """Let a process stand still for a while."""
    os.kill(pid, signal.SIGSTOP)
    try:
        meanwhile()
    finally:
        os.kill(pid, signal.SIGCONT)
