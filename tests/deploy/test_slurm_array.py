"""deploy/slurm-array.sbatch, run for real on this machine, except that a stand-in for `scontrol`
records its arguments."""

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
from tests.deploy.conftest import write_program
from tests.harness.conftest import SMALL, merged, prepare_few_photos
from tests.harness.launch.machines import HOOK, SLOW_STEPS, wait_until
from tests.processes import ROOT
from tests.stores import list_running

SCRIPT = ROOT / "deploy" / "slurm-array.sbatch"

Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """Starts an element of an array, on one CPU as Slurm would, with its output in `log`."""
    write_program(tmp_path / "bin", "scontrol", 'echo "$*" >> "$STAND_IN/scontrol"')
    change = {
        **{"matrix": {"factorization": "conventional"}, "seeds": 4},
        "recipe": {"training": {"steps": 60}},
    }
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(merged(SMALL, change)))
    path = [str(tmp_path / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]]
    environment = {n: v for n, v in os.environ.items() if not n.startswith(("LCMA_", "SLURM_"))}
    environment |= {
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
        number = str(element)
        of_element = {"SLURM_ARRAY_TASK_ID": number, "LCMA_CACHE": str(tmp_path / number)}
        with (tmp_path / "log").open("ab") as log:
            return subprocess.Popen(
                ["bash", str(SCRIPT), "mine.yaml"],
                cwd=tmp_path,
                env=environment | of_element | variables,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                preexec_fn=lambda: os.sched_setaffinity(0, {cpus[element % len(cpus)]}),
            )

    return start


@pytest.mark.integration
@pytest.mark.timeout(600)
@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="Linux has affinities")
def test_elements_share_a_sweep_and_a_preempted_one_is_resumed(
    start: Start, tmp_path: Path, postgres_url: str
) -> None:
    prepare_few_photos(tmp_path / "data", 10)
    first, second = (start(element, LCMA_DB=postgres_url) for element in (0, 1))

    def count_by_owner() -> Counter[str | None]:
        if not db.exists(postgres_url):
            return Counter()
        return Counter(job.owner for job in list_running(db.connect(postgres_url)))

    def log() -> str:
        return (tmp_path / "log").read_text()

    wait_until(lambda: len(count_by_owner()) == 2 or None not in (first.poll(), second.poll()))
    assert set(count_by_owner().values()) == {1}, log()  # one CPU, one training
    first.send_signal(signal.SIGTERM)
    assert first.wait(120) == 128 + signal.SIGTERM, log()
    assert "Stopped; 1 running job keeps its last checkpoint" in log()
    resumed = start(0, LCMA_DB=postgres_url, SLURM_RESTART_COUNT="1")
    assert (resumed.wait(300), second.wait(300)) == (0, 0), log()
    attempts = db.connect(postgres_url).view("attempts")
    assert Counter(attempts.outcome) == {"done": 4, "cancelled": 1}
    assert not (tmp_path / "scontrol").exists()  # Slurm itself queues what it preempts


@pytest.mark.parametrize(
    ("code", "is_warned", "requests"),
    [(0, False, ""), (1, True, ""), (5, False, ""), (143, True, "requeue 70_3\n")],
)
def test_an_element_is_queued_again_only_out_of_time(
    start: Start, tmp_path: Path, code: int, is_warned: bool, requests: str
) -> None:
    """`lcma` is a stand-in that ends with a code, if Slurm warns it by SIGUSR1 only then."""
    wait = "touch begun; while :; do sleep 0.05; done" if is_warned else f"exit {code}"
    write_program(tmp_path / "bin", "lcma", f"trap 'exit {code}' TERM; {wait}")
    element = start(3)
    if is_warned:
        wait_until(lambda: (tmp_path / "begun").exists(), 60)
        element.send_signal(signal.SIGUSR1)
    assert element.wait(60) == code, (tmp_path / "log").read_text()
    file = tmp_path / "scontrol"
    assert (file.read_text() if file.exists() else "") == requests


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        *((name, "", name) for name in ("LCMA_DB", "LCMA_RUNS", "LCMA_DATA")),
        ("LCMA_DB", "lcma.db", "LCMA_DB: elements on several nodes need"),
    ],
)
def test_a_place_that_elements_cannot_share_is_refused(
    start: Start, tmp_path: Path, name: str, value: str, message: str
) -> None:
    assert start(0, **{name: value}).wait(60) in (1, 2)
    assert message in (tmp_path / "log").read_text()
