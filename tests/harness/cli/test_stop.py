"""`lcma stop` on both engines."""

import json
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

import lcma as package
from lcma import db
from lcma.harness.watch import stop
from lcma.sweeps.errors import UserError
from tests.db.conftest import World
from tests.harness.cli.conftest import Lcma, output_of, refused
from tests.stores import beat, list_running

pytestmark = pytest.mark.slow_on("postgresql")

LONG = """
name: long
matrix: {flow: realnvp, dataset: photos8, factorization: conventional}
recipe:
  model: {architecture: {width: 4}}
  training: {steps: 20}
"""


def start(folder: Path, *arguments: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "lcma", *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=folder, stdout=pipe, stderr=pipe, text=True)


@pytest.fixture(autouse=True)
def _wait_briefly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stop, "ANSWER_SECONDS", 0.3)


@pytest.fixture
def held(planned: World) -> db.Claim:
    """A trial of the sweep that a dead launch of it holds."""
    planned.store.begin_launch("dead", "s")
    return planned.win(planned.trials[0], owner="dead", now=planned.store.now())


@pytest.mark.parametrize("arguments", ["", "demo", "s", "--all", "demo --now"])
def test_a_job_that_no_launch_gives_back_is_taken(
    planned: World, held: db.Claim, lcma: Lcma, arguments: str
) -> None:
    out = output_of(lcma("stop", *arguments.split()))
    sweeps = "all sweeps" if arguments == "--all" else "the sweep demo"
    assert out.startswith(f"stopped {sweeps}: 1 job was taken from workers")
    assert ("Go on with: lcma launch demo" in out) == (arguments != "--all")
    assert planned.job(held.job_id).state == "pending"
    assert not beat(planned.store, held, step=1, lease_seconds=60.0)


def test_where_nothing_runs_it_says_so(planned: World, lcma: Lcma) -> None:
    report = json.loads(output_of(lcma("stop", "demo", "--json")))
    assert (report["sweeps"], report["held"], report["taken"]) == (["s"], 0, 0)
    assert lcma("stop", "demo")[1].startswith("no job of the sweep demo runs; a launch that only")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_running_launch_is_stopped_from_elsewhere_and_goes_on(
    tmp_path: Path, photos_root: Path
) -> None:
    """It ends with code 3; the next launch is not stopped."""
    (tmp_path / "long.yaml").write_text(LONG)
    launch = ["launch", "long.yaml", "--local", "--data", str(photos_root)]
    running = start(tmp_path, *launch, "--set", "training.steps=100000")
    store = None
    while store is None or not list_running(store):
        assert running.poll() is None, running.communicate()
        if db.exists(str(tmp_path / "lcma.db")):
            store = store or db.connect(str(tmp_path / "lcma.db"))
        time.sleep(0.2)
    stop = start(tmp_path, "stop", "long")
    assert stop.communicate()[0].startswith("stopped the sweep long: no job of it runs any more")
    out, err = running.communicate()
    assert (running.returncode, err) == (3, "")
    pattern = r"Stopped by \S+@\S+; \d running jobs? keeps? (its|their) last checkpoint"
    assert re.search(pattern, out)
    assert store.job_counts(held=True).total == 0
    assert set(store.view("attempts").outcome) == {"cancelled"}
    next_launch = start(tmp_path, *launch)
    out, err = next_launch.communicate()
    assert (next_launch.returncode, err) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["dem"], "no sweep 'dem' in the database: did you mean 'demo'?"),
        ([""], "no sweep '' in the database: it has demo"),
        (["demo", "--all"], "--all and a sweep exclude each other: leave one out"),
    ],
)
@pytest.mark.usefixtures("held")
def test_a_mistake_is_one_line_and_changes_nothing(
    planned: World, lcma: Lcma, arguments: list[str], message: str
) -> None:
    before = planned.dump()
    refused(lcma("stop", *arguments), message)
    assert planned.dump() == before


def test_the_start_of_an_id_means_one_sweep_or_is_refused(
    planned: World, held: db.Claim, lcma: Lcma
) -> None:
    sweeps = tuple(db.Sweep(id=i, name="other", spec="{}") for i in ("ab1", "ab2", "channel-x"))
    planned.store.register(db.Registration(sweeps=sweeps), now=2000.0)
    before = planned.dump()
    for command in ("stop ab", "status --sweep ab", "board --sweep ab"):
        refused(lcma(*command.split()), "2 sweeps start with 'ab': give more of the id")
    with pytest.raises(UserError, match="2 sweeps start with 'ab'"):
        package.results(planned.store.url, sweep="ab")
    for command in ("stop", "curves"):
        message = "a sweep and a trial, pretraining or job start with 'chan': give more of the id"
        refused(lcma(command, "chan"), message)
    assert planned.dump() == before
    for name in ("ab1", "channel-x"):
        assert json.loads(lcma("stop", name, "--json")[1])["sweeps"] == [name]
    assert json.loads(lcma("stop", "other", "--json")[1])["sweeps"] == ["ab1", "ab2", "channel-x"]
    assert planned.job(held.job_id).state == "running"
    assert json.loads(lcma("stop", "channel-0", "--json")[1])["jobs"] == [held.job_id]


@pytest.mark.usefixtures("held")
def test_status_shows_requests_to_stop(planned: World, lcma: Lcma) -> None:
    request = r"were asked to stop \d+ s ago by me@here: "
    of_demo = ("status", "--sweep", "demo")
    assert not re.search(request, lcma("status")[1])
    planned.store.request_stop(["s"], by="me@here")
    for status in (["status"], of_demo):
        assert re.search(f"the sweep demo {request}1 job still runs", lcma(*status)[1])
    (record,) = json.loads(lcma("status", "--json")[1])["stopping"]
    assert (record["sweep_id"], record["by"], record["held"]) == ("s", "me@here", 1)
    planned.store.release("dead")
    assert not re.search(request, lcma("status")[1])
    assert re.search(request + "none of their jobs runs", lcma(*of_demo)[1])
    planned.store.begin_launch("later", "s")
    assert not re.search(request, lcma(*of_demo)[1])


def test_the_decision_after_a_failure_is_shown(planned: World, lcma: Lcma) -> None:
    policy = db.Policy(oom=1, remedy="alone on a full GPU")
    cost = db.Cost(seconds=10.0, cpu_seconds=4.0, gpu_seconds=3.0, peak_memory=3 * 2**29)
    failure = {"cost": cost, "message": "no room", "log": "", "policy": policy}
    for decision in (
        "to be run again alone on a full GPU (policy oom: 1)",
        "given up: policy oom: 1 used",
    ):
        claim = planned.claim(planned.trials[0], device="cuda", devices="GPU-1", now=None)
        planned.store.finish(claim, "oom", last_step=9, **failure)
        _, out, _ = lcma("why", planned.trials[0])
        assert decision in out
        assert "its tensors took at most 1.50 GiB of GPU-1, where it held 0.3 of a GPU" in out
    assert "no room (given up: policy oom: 1 used)" in lcma("status")[1]


@pytest.mark.parametrize("now", [[], ["--now"]])
def test_one_trial_is_stopped_and_the_launch_is_not(
    planned: World, held: db.Claim, lcma: Lcma, now: list[str]
) -> None:
    out = output_of(lcma("stop", held.job_id[:9], *now))
    assert re.match(r"stopped train realnvp .* seed 0: 1 job was taken from workers", out)
    assert "Go on with: lcma launch demo" in out
    job = planned.job(held.job_id)
    assert (job.state, job.stopped_by is not None) == ("pending", True)
    assert planned.store.stop_request("s") is None
    assert lcma("stop", "--all")[0] == 0
    assert planned.store.stop_request("a sweep that was never launched here") is None
    assert "a later launch runs it" in lcma("why", held.job_id)[1]
    report = json.loads(lcma("stop", held.job_id, "--json")[1])
    assert (report["jobs"], report["held"], report["taken"]) == ([held.job_id], 0, 0)
    planned.finish_trial(1)
    refused(lcma("stop", planned.trials[1]), "has ended, so there is nothing to stop")
