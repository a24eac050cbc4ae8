"""The launch that a self-test kills, in a process of its own: `lcma launch`, but armed and with
short leases."""

import json
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class LaunchTask:
    """A launch and its places. ``kills`` is the folder of orders, None for an undisturbed run."""

    spec: str
    db: str
    runs: str
    data: str
    ray: str | None
    local: bool
    lease_seconds: float
    checkpoint_seconds: float | None
    kills: str | None

    def command(self) -> list[str]:
        """Return the command that starts the launch.

        It reads the task from stdin, since a URL may hold a password.
        """
        return [sys.executable, "-m", "lcma.harness.selftest.driver"]

    def text(self) -> str:
        """Return the task as JSON, for the launch's stdin."""
        return json.dumps(asdict(self))


def main() -> None:
    """Carry out the task on stdin as `lcma launch` would."""
    from lcma.harness.kill_points import HOOK_VARIABLE
    from lcma.harness.place import Place
    from lcma.harness.run.sweep import LaunchOptions, launch_sweep
    from lcma.harness.selftest import armed
    from lcma.harness.terminal import Console, print_error
    from lcma.harness.watch.progress import Bars
    from lcma.sweeps import spec
    from lcma.sweeps.errors import UserError

    task = LaunchTask(**json.load(sys.stdin))
    if task.kills is not None:
        armed.arm_driver(Path(task.kills))
        # Workers inherit it, or are given it by Ray.
        os.environ[HOOK_VARIABLE] = f"{armed.__name__}:{armed.arm_worker.__name__}:{task.kills}"
    options = LaunchOptions(
        local=task.local,
        ray=task.ray,
        lease_seconds=task.lease_seconds,
        checkpoint_seconds=task.checkpoint_seconds,
    )
    place = Place(task.db, Path(task.runs), Path(task.data))
    try:
        with Bars(Console()) as bars:
            report, _ = launch_sweep(spec.load(task.spec), place, options, bars)
        sys.exit(1 if report.lost else 0)
    except UserError as error:
        print_error(error)
        sys.exit(2)


if __name__ == "__main__":
    main()
