"""`table4` on a Ray cluster of three nodes, one of which is taken away while it runs, and so is the
launch: what a second launch finishes, beside what it took.

    python -m benchmarks.three_nodes --keep DIR -- --set training.steps=100

Options after `--` go to `lcma launch table4`. The cluster is of this machine alone.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from random import Random

from lcma import db
from lcma.harness.selftest.nodes import Nodes
from lcma.sweeps.errors import UserError

LCMA = [sys.executable, "-m", "lcma"]
OFFLINE = ("--dataset", "photos16", "--profile", "tiny", "--budget", "200", "--gpus", "0")


def launch(folder: Path, address: str, options: Sequence[str]) -> subprocess.Popen[bytes]:
    """The same command each time; what it prints goes on the screen."""
    command = [*LCMA, "launch", "table4", *OFFLINE, *options, "--ray", address, "--no-pictures"]
    return subprocess.Popen(command, cwd=folder)  # noqa: S603 - ourselves


def until_done(store_at: Path, number: int, process: subprocess.Popen[bytes]) -> int:
    """Wait until so many jobs are done; how many are."""
    while process.poll() is None:
        with suppress(UserError):  # not made yet
            done = db.connect(str(store_at), create=False).counts().by_state["done"]
            if done >= number:
                return done
        time.sleep(1.0)
    raise SystemExit(f"the launch ended before {number} jobs were done")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", default="3")
    parser.add_argument("--lose-after", type=int, default=5, help="jobs done before a node goes")
    parser.add_argument("--kill-after", type=int, default=10, help="and before the launch does")
    parser.add_argument("--keep", type=Path, help="folder for database and runs")
    parser.add_argument("launch", nargs="*", help="more options of the launch")
    asked = parser.parse_args(arguments)
    options = ["--seeds", asked.seeds, *asked.launch]
    with tempfile.TemporaryDirectory() as temporary:
        folder = (asked.keep or Path(temporary)).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        database, began = folder / "lcma.db", time.monotonic()
        nodes = Nodes()
        try:
            first = launch(folder, nodes.address, options)
            done = until_done(database, asked.lose_after, first)
            nodes.kill_one(Random(0), replace=False)  # noqa: S311 - any node
            print(f"== {done} jobs were done when a node of three was taken away", flush=True)
            done = until_done(database, max(asked.kill_after, done + 1), first)
            first.kill()
            first.wait()
            print(f"== {done} jobs were done when the launch was killed", flush=True)
            code = launch(folder, nodes.address, options).wait()
        finally:
            nodes.close()
        store = db.connect(str(database), create=False)
        attempts = store.attempts()
        facts = {
            "exit code of the second launch": code,
            "jobs": store.job_counts().by_state,
            "results": len(store.results()),
            "attempts": Counter(attempts.outcome.astype(str)),
            "attempts that ended a job": int(attempts[attempts.outcome == "done"].job_id.nunique()),
            "minutes": round((time.monotonic() - began) / 60, 1),
        }
        print(json.dumps(facts, indent=2))


if __name__ == "__main__":
    main()
