"""deploy/slurm-array.sbatch, run for real on this machine. Only `scontrol` is a stand-in, which
writes down what is asked of the scheduler."""

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from lcma import db
from tests.conftest import SITE
from tests.harness.conftest import SMALL, merged, prepare_few_photos
from tests.harness.launch.machines import HOOK, SLOW_STEPS, until
from tests.stores import list_running

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "deploy" / "slurm-array.sbatch"
SCONTROL = '#!/usr/bin/env bash\necho "$*" >> "$STAND_IN/scontrol"\n'

Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """Starts an element of an array, on one CPU as Slurm would, with its output in `log`."""
    stand_in = tmp_path / "bin"
    stand_in.mkdir()
    (stand_in / "scontrol").write_text(SCONTROL)
    (stand_in / "scontrol").chmod(0o755)
    change = {
        "matrix": {"factorization": "conventional"},
        "seeds": 4,
        "recipe": {"training": {"steps": 60}},
    }
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(merged(SMALL, change)))
    path = [str(stand_in), str(Path(sys.executable).parent), os.environ["PATH"]]
    own = {n: v for n, v in os.environ.items() if not n.startswith(("LCMA_", "SLURM_"))}
    given = {
        "PATH": os.pathsep.join(path),
        "PYTHONPATH": os.pathsep.join([SITE, *sys.path]),
        "STAND_IN": str(tmp_path),
        "LCMA_DB": "postgresql://nobody@127.0.0.1:1/none",
        "LCMA_RUNS": str(tmp_path / "runs"),
        "LCMA_DATA": str(tmp_path / "data"),
        "SLURM_ARRAY_JOB_ID": "70",
        HOOK: SLOW_STEPS,
    }
    cpus = sorted(os.sched_getaffinity(0))

    def start(element: int, **variables: str) -> "subprocess.Popen[bytes]":
        more = {"SLURM_ARRAY_TASK_ID": str(element), "LCMA_CACHE": str(tmp_path / f"{element}")}
        with (tmp_path / "log").open("ab") as log:
            return subprocess.Popen(
                ["bash", str(SCRIPT), "mine.yaml"],
                cwd=tmp_path,
                env=own | given | more | variables,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                preexec_fn=lambda: os.sched_setaffinity(0, {cpus[element % len(cpus)]}),
            )

    return start


@pytest.mark.integration
@pytest.mark.timeout(600)
@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="Linux has affinities")
def test_elements_share_a_sweep_and_one_that_is_preempted_goes_on(
    start: Start, tmp_path: Path, postgres_url: str
) -> None:
    prepare_few_photos(tmp_path / "data", 10)
    first, second = (start(element, LCMA_DB=postgres_url) for element in (0, 1))

    def running() -> Counter[str | None]:
        if not db.exists(postgres_url):
            return Counter()
        return Counter(job.owner for job in list_running(db.connect(postgres_url)))

    def log() -> str:
        return (tmp_path / "log").read_text()

    until(lambda: len(running()) == 2 or None not in (first.poll(), second.poll()))
    assert set(running().values()) == {1}, log()  # one CPU, one training
    first.send_signal(signal.SIGTERM)
    assert first.wait(120) == 128 + signal.SIGTERM, log()
    assert "Stopped; 1 running job keeps its last checkpoint" in log()
    again = start(0, LCMA_DB=postgres_url, SLURM_RESTART_COUNT="1")
    assert (again.wait(300), second.wait(300)) == (0, 0), log()
    attempts = db.connect(postgres_url).view("attempts")
    assert Counter(attempts.outcome) == {"done": 4, "cancelled": 1}
    assert not (tmp_path / "scontrol").exists()  # Slurm itself queues what it preempts


CODES = [
    (0, "", []),
    (1, "USR1", []),
    (5, "", []),
    (143, "USR1", ["requeue 70_3"]),
]


@pytest.mark.parametrize(("code", "given", "asked"), CODES)
def test_an_element_is_queued_again_out_of_time(
    start: Start, tmp_path: Path, code: int, given: str, asked: list[str]
) -> None:
    """`lcma` is a stand-in too, that ends with a code."""
    body = f"trap 'exit {code}' TERM; touch begun; [[ '{given}' == USR1 ]] || exit {code}\n"
    (tmp_path / "bin" / "lcma").write_text(
        f"#!/usr/bin/env bash\n{body}while :; do sleep 0.05; done\n"
    )
    (tmp_path / "bin" / "lcma").chmod(0o755)
    element = start(3)
    if given == "USR1":
        until(lambda: (tmp_path / "begun").exists(), 60)
        element.send_signal(signal.SIGUSR1)
    assert element.wait(60) == code, (tmp_path / "log").read_text()
    said = tmp_path / "scontrol"
    assert (said.read_text().splitlines() if said.exists() else []) == asked


@pytest.mark.parametrize("wrong", ["LCMA_DB", "LCMA_RUNS", "LCMA_DATA", "a file"])
def test_what_elements_cannot_share_is_refused(start: Start, tmp_path: Path, wrong: str) -> None:
    changed = {"LCMA_DB": "lcma.db"} if wrong == "a file" else {wrong: ""}
    assert start(0, **changed).wait(60) in (1, 2)
    said = (tmp_path / "log").read_text()
    assert (wrong if wrong != "a file" else "LCMA_DB: elements on several nodes need") in said
