"""What a sweep cost in all, beside its shared pretrainings and trainings, each done once."""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from lcma import db


@dataclass(frozen=True)
class Costs:
    """Seconds of a sweep's jobs; the clock of `held` is the database's.

    ``once``: the attempts by which jobs were done, each job once. ``attempts``: all of them, those
    that failed or were lost with what they reported too. ``held``: from each claim to the end of
    the attempt. ``alone``: as ``once``, but a pretraining for each trial that reads its maps.
    ``repeated`` are steps that were made more than once, or in vain.
    """

    pretrainings: int
    trainings: int
    once: float
    once_cpu: float
    attempts: float
    held: float
    alone: float
    repeated: int


def costs(store: db.Store, sweep_id: str) -> Costs:
    """Of all attempts at the jobs of a sweep, whatever launch made them."""
    facts = store.job_facts(store.job_ids(sweep_id)).values()
    trials = [fact for fact in facts if fact.kind == "trial"]
    frame = store.attempts(job_id=[fact.job_id for fact in facts])
    frame = frame[frame.protocol.isna() & frame.ended.notna()]
    done = frame[frame.outcome == "done"].set_index("job_id")
    chains: dict[tuple[str, str], list[db.JobFacts]] = {}
    for fact in facts:  # by budget
        if fact.kind == "pretraining" and fact.job_id in done.index:
            chains.setdefault((fact.subject, fact.data_digest), []).append(fact)
    steps = sum(chain[-1].steps for chain in chains.values())
    steps += sum(trial.steps for trial in trials if trial.job_id in done.index)
    read = [
        segment.job_id
        for trial in trials
        for segment in chains.get((trial.pretraining_id or "", trial.data_digest), ())
        if trial.job_id in done.index and segment.steps <= (trial.budget or 0)
    ]
    of_trials = done[done.index.isin([trial.job_id for trial in trials])]
    return Costs(
        pretrainings=len(chains),
        trainings=len(of_trials),
        once=float(done.seconds.sum()),
        once_cpu=float(done.cpu_seconds.sum()),
        attempts=float(frame.seconds.sum()),
        held=float((frame.ended - frame.started).sum()),
        alone=float(of_trials.seconds.sum() + done.seconds.loc[read].sum()),
        repeated=int((frame.last_step - frame.first_step).sum()) - steps,
    )


def launch(folder: Path, arguments: Sequence[str]) -> tuple[float, float]:
    """Wall and CPU seconds of one `lcma launch`, all of its processes included."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    command = [sys.executable, "-m", "lcma", "launch"]
    places = {f"LCMA_{name}": str(folder / at) for name, at in _PLACES.items()}
    subprocess.run(  # noqa: S603 - our own command
        [*command, *arguments, "--local", "--no-pictures"],
        env={**os.environ, **places},
        stdout=subprocess.DEVNULL,
        check=True,
    )
    after, seconds = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter() - began
    cpu = sum(getattr(after, k) - getattr(before, k) for k in ("ru_utime", "ru_stime"))
    return seconds, cpu


_PLACES = {"DB": "lcma.db", "RUNS": "runs", "DATA": "data"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("spec", nargs="?", default="words", help="a sweep (default: words)")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="options of `lcma launch`")
    given = parser.parse_args()
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, Python "
        f"{platform.python_version()}"
    )
    with tempfile.TemporaryDirectory() as name:
        seconds, cpu = launch(Path(name), [given.spec, *given.arguments])
        store = db.connect(str(Path(name) / _PLACES["DB"]), create=False)
        found = costs(store, store.sweeps()[-1].id)
    print(
        f"{found.pretrainings} shared pretrainings and {found.trainings} trainings, each once: "
        f"{found.once:.1f} s, {found.once_cpu:.1f} s of CPU\n"
        f"all attempts: {found.attempts:.1f} s, {found.attempts / found.once:.3f} of that; "
        f"{found.repeated} steps made again or in vain\n"
        f"from claims to ends: {found.held:.1f} s, {found.held / found.once:.3f} of it\n"
        f"the whole command, with workers and driver: {cpu:.1f} s of CPU, "
        f"{cpu / found.once_cpu:.3f} of that of each once; {seconds:.1f} s of wall time\n"
        f"a pretraining for each cell: {found.alone:.1f} s, {found.alone / found.once:.3f} of it"
    )
    print(json.dumps(asdict(found) | {"command_seconds": seconds, "command_cpu": cpu}))


if __name__ == "__main__":
    main()
