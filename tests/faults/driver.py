"""`lcma launch` with short leases, in a process that may be ordered to die."""

import json
import os
import sys
from functools import partial
from pathlib import Path

from lcma.harness.launch import plan
from lcma.harness.launch.executor import ClusterLostError
from lcma.harness.launch.sweep import launch_sweep
from lcma.harness.place import Place
from lcma.harness.terminal import Console, print_error
from lcma.harness.watch.progress import Bars
from lcma.sweeps.errors import UserError


def main() -> None:
    """Launch the sweep of the task in the first argument as `lcma launch` does."""
    task = json.loads(sys.argv[1])
    if task["orders"] is not None:
        from tests.faults.armed import arm

        arm(task["orders"])
    runs = task["runs"] if "://" in task["runs"] else Path(task["runs"])
    place = Place(task["db"], runs, Path(task["data"]))
    try:
        with Bars(Console()) as bars:
            options = task["options"]
            terms = {name: options.pop(name) for name in ("lease_seconds", "checkpoint_seconds")}
            plan.Work = partial(plan.Work, **terms)
            report = launch_sweep(task["spec"], place, options, bars)
    except UserError as error:
        print_error(error)
        sys.exit(2)
    except ClusterLostError as error:
        print_error(error)
        os._exit(5)
    sys.exit(1 if report.lost else 0)


if __name__ == "__main__":
    main()
