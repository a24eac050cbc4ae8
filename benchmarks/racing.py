"""Runs of lifecycles, side after side, round after round, each in fresh processes."""

import json
import subprocess
import sys
from dataclasses import asdict
from statistics import median
from typing import Any

from benchmarks.lifecycles import Run
from benchmarks.places import Site
from benchmarks.trackers import TRACKERS

OURS = TRACKERS[0].name
PEERS = ("MLflow", "Optuna")


def lifecycles(
    site: Site, processes: tuple[int, ...], rounds: int, seconds: float
) -> list[dict[str, Any]]:
    """All sides in turn with each number of processes."""
    for tracker in TRACKERS:
        print(f"  {tracker.name}: {tracker.how}", flush=True)
    found = []
    for number in processes:
        runs: dict[str, list[Run]] = {tracker.name: [] for tracker in TRACKERS}
        for _ in range(rounds):
            for name in runs:
                runs[name].append(_run(site, name, number, seconds))
        for name, of_side in runs.items():
            rates = [run.rate for run in of_side]
            # To the faster peer of the same round.
            ratios = [
                run.rate / max(runs[peer][index].rate for peer in PEERS)
                for index, run in enumerate(of_side)
            ]
            lives = sum(run.lifecycles for run in of_side)
            row = {
                "processes": number,
                "side": name,
                "rates": rates,
                "ratios": ratios,
                "lifecycles": lives,
                "commits_each": sum(run.commits for run in of_side) / lives,
                "cpu_milliseconds_each": 1000 * sum(run.cpu_seconds for run in of_side) / lives,
                "lost": sum(run.lost for run in of_side),
                "wrong": sum(run.wrong for run in of_side),
                "runs": [asdict(run) for run in of_side],
            }
            found.append(row)
            print(
                f"  lifecycle, {number} processes, {name}: {median(rates):.0f}/s "
                f"({min(rates):.0f} to {max(rates):.0f}), {median(ratios):.1f} times the faster "
                f"peer ({min(ratios):.1f} to {max(ratios):.1f}); "
                f"{row['commits_each']:.1f} commits and {row['cpu_milliseconds_each']:.2f} ms of "
                f"CPU here each; {lives} lived, {row['lost']} lost, {row['wrong']} twice or in "
                "part",
                flush=True,
            )
    return found


def _run(site: Site, side: str, processes: int, seconds: float) -> Run:
    # As many as could be begun in this time.
    trials = max(int(4000 * seconds), 1500 * processes) if side.startswith(OURS) else 10**9
    with site.fresh() as url:
        command = [sys.executable, "-m", "benchmarks.lifecycles", side, url]
        command += ["--processes", str(processes), "--seconds", str(seconds)]
        command += ["--trials", str(trials)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - ours
    if done.returncode:
        raise RuntimeError(f"{side} with {processes} processes failed:\n{done.stderr[-3000:]}")
    return Run(**json.loads(done.stdout.splitlines()[-1]))
