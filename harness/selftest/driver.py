"""The launch that is killed, in a process of its own: that of `lcma launch`, but armed and with
short leases."""

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Task:
    """What to launch and where. ``kills`` is the folder of orders, None for a run left alone."""

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
        """How to start it; the task is read from stdin, since a URL may hold a password."""
        return [sys.executable, "-m", "lcma.harness.selftest.driver"]

    def text(self) -> str:
        return json.dumps(asdict(self))


def main() -> None:
    """Carry out the task on stdin as `lcma launch` would."""
    from lcma.harness.cli.launching import Asked, run_launch
    from lcma.harness.cli.planning import Overrides
    from lcma.harness.place import Place
    from lcma.harness.selftest.armed import arm_process
    from lcma.sweeps.errors import UserError

    task = Task(**json.load(sys.stdin))
    kills = None if task.kills is None else Path(task.kills)
    if kills is not None:
        arm_process(kills, "driver")
    asked = Asked(
        spec=task.spec,
        overrides=Overrides(),
        local=task.local,
        ray=task.ray,
        gpus=None,
        parallel=None,
        retry=False,
        skip_invalid=False,
        pictures=None,
        tensorboard=None,
        lease_seconds=task.lease_seconds,
        checkpoint_seconds=task.checkpoint_seconds,
        kills=kills,
    )
    try:
        run_launch(asked, Place(task.db, Path(task.runs), Path(task.data)))
    except UserError as error:
        print(f"lcma: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
