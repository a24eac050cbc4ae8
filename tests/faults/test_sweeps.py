"""A sweep that is cut, and launched again if its launch ended, ends as an undisturbed one."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.faults.conftest import MovedFile
from tests.faults.sweeps import LEASE, STACKED, Launch, Sweep, pause, take_away
from tests.harness.launch.conftest import fill

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1800), pytest.mark.xdist_group("faults")]

Make = Callable[..., Sweep]
Check = Callable[..., None]
Cut = Callable[[Sweep, Launch], object]

ONE_TRAINING = {"matrix": {"factorization": "conventional"}}
"""Changes the sweep to one training."""

FORMS = {"sqlite": None, "postgresql-stacks": STACKED}
"""The engine, and a change of the sweep."""


def kill_worker(kind: str = "trial") -> Cut:
    return lambda sweep, _: os.kill(sweep.wait_for_job(kind).pid, signal.SIGKILL)


def lose_node(kind: str = "trial") -> Cut:
    return lambda sweep, _: sweep.machines.lose(sweep.wait_for_node(kind))


def end_driver(number: int) -> Cut:
    return lambda sweep, launch: sweep.wait_for_job() and launch.send_signal(number)


CUTS: dict[str, Cut] = {
    "a worker is killed": kill_worker(),
    "a worker stands still": lambda sweep, _: pause(sweep.wait_for_job().pid),
    "a pretraining is killed": kill_worker("pretraining"),
    "the database is away": lambda sweep, _: sweep.wait_for_job() and take_away(sweep.database),
    "the driver stands still": lambda sweep, launch: sweep.wait_for_job() and pause(launch.pid),
    "the driver is killed": end_driver(signal.SIGKILL),
    "the driver is told to end": end_driver(signal.SIGTERM),
    "the driver is interrupted": end_driver(signal.SIGINT),
}
ON_RAY: dict[str, Cut] = {
    **{name: CUTS[name] for name in ("a worker is killed", "a worker stands still")},
    **{name: CUTS[name] for name in ("the database is away", "the driver is killed")},
    "a node is lost": lose_node(),
    "a node of a pretraining is lost": lose_node("pretraining"),
    "a raylet is killed": lambda sweep, _: kill_raylet(sweep.wait_for_node()),
}
ENDS_LAUNCH = {f"the driver is {how}" for how in ("killed", "told to end", "interrupted")}
"""Cuts that end a launch, which outlives the others."""

WORST = {"a worker is killed", "the database is away", "the driver is killed", "a node is lost"}

RAY = [pytest.mark.slow, pytest.mark.xdist_group("ray")]
on_ray = pytest.mark.parametrize("nodes", [0, pytest.param(2, marks=RAY)], ids=["here", "ray"])


def kill_raylet(node: Any, number: int = signal.SIGKILL) -> None:
    (raylet,) = node.all_processes["raylet"]
    raylet.process.send_signal(number)


def cases() -> Iterator[Any]:
    """Yield each cut, on this machine and on Ray, on stacks in PostgreSQL, and the worst cuts on
    single trials in SQLite too."""
    for where, cuts in (("here", CUTS), ("ray", ON_RAY)):
        for cut in cuts:
            for form in FORMS if cut in WORST else ["postgresql-stacks"]:
                marks = RAY if where == "ray" else [pytest.mark.slow] * (form != "sqlite")
                name = f"{cut}-{where}-{form}"
                yield pytest.param(cut, 2 * (where == "ray"), form, marks=marks, id=name)


@pytest.mark.parametrize(("cut", "nodes", "form"), list(cases()))
def test_a_cut_changes_no_result(
    make_sweep: Make, assert_equal: Check, cut: str, nodes: int, form: str
) -> None:
    sweep = make_sweep(FORMS[form], engine=form.partition("-")[0], nodes=nodes)
    launch = sweep.launch()
    (CUTS | ON_RAY)[cut](sweep, launch)
    assert (launch.wait() != 0) == (cut in ENDS_LAUNCH), sweep.output()
    if cut in ENDS_LAUNCH:
        sweep.finish()
    assert_equal(sweep, FORMS[form])


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
@on_ray
def test_two_launches_at_once_run_each_job_once(
    make_sweep: Make, assert_equal: Check, nodes: int, form: str
) -> None:
    sweep = make_sweep(FORMS[form], engine=form.partition("-")[0], nodes=nodes, cpus=2)
    launches = [sweep.launch() for _ in range(2)]
    assert [launch.wait() for launch in launches] == [0, 0], sweep.output()
    assert set(sweep.outcomes()) == {"done"}
    assert_equal(sweep, FORMS[form])


@on_ray
def test_a_worker_that_comes_back_when_its_job_is_done_changes_nothing(
    make_sweep: Make, assert_equal: Check, nodes: int
) -> None:
    """Another launch, without Ray, takes its job meanwhile. On this machine the driver, which would
    take it back, stands still too."""
    sweep = make_sweep(ONE_TRAINING, nodes=nodes)
    launch = sweep.launch()
    pid = sweep.wait_for_job().pid

    def finish_elsewhere() -> None:
        pause(pid, lambda: sweep.finish(ray=None, local=True))

    finish_elsewhere() if nodes else pause(launch.pid, finish_elsewhere)
    assert launch.wait() == 0, sweep.output()
    assert sweep.outcomes() == ["node_lost", "done"]
    assert_equal(sweep, ONE_TRAINING)


def test_a_worker_that_is_told_to_end_leaves_a_checkpoint(
    make_sweep: Make, assert_equal: Check
) -> None:
    sweep = make_sweep(ONE_TRAINING)
    launch = sweep.launch()
    os.kill(sweep.wait_for_job().pid, signal.SIGTERM)
    assert launch.wait() == 0, sweep.output()
    attempts = sweep.store.view("attempts").sort_values("token")
    assert list(attempts.outcome) == ["preempted", "done"]
    assert attempts.first_step[1] == attempts.last_step[0] > 0
    assert_equal(sweep, ONE_TRAINING)


@pytest.mark.slow
@pytest.mark.xdist_group("ray")
def test_signals_at_random_moments(make_sweep: Make, assert_equal: Check) -> None:
    """They go to launches with a Ray of their own."""
    sweep, moments = make_sweep(STACKED), Random(0)
    for number in (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGKILL):
        launch = sweep.launch(local=False)
        time.sleep(moments.uniform(4, 20))
        launch.send_signal(number)
        launch.wait()
    sweep.finish(local=False)
    assert_equal(sweep, STACKED)


def fill_for_a_while(disk: Path) -> None:
    filler = fill(disk)
    time.sleep(4 * LEASE)  # as long as it takes a launch to see that no lease is renewed
    filler.unlink()


OUTAGES: dict[str, tuple[str, Callable[[Any], dict[str, Any]], Callable[[Any], None]]] = {
    "a server": ("server", lambda server: {"database": server}, take_away),
    "a server of a cluster": ("server", lambda server: {"database": server, "nodes": 2}, take_away),
    "a file": ("moved_file", lambda file: {"database": file}, take_away),
    "a place of checkpoints": ("bucket", lambda bucket: {"runs": bucket.runs}, take_away),
    "a disk of the database": (
        "small_disk",
        lambda disk: {"database": MovedFile(disk / "lcma.db")},
        fill_for_a_while,
    ),
    "a disk of checkpoints": ("small_disk", lambda disk: {"runs": disk / "r"}, fill_for_a_while),
}
"""Outages: the fixture that is away or full, the options of a sweep on it, and a cut of it."""


@pytest.fixture
def moved_file(tmp_path: Path) -> MovedFile:
    return MovedFile(tmp_path / "lcma.db")


@pytest.mark.slow_on("file", "place", "disk", "cluster")
@pytest.mark.xdist_group("ray")
@pytest.mark.parametrize("outage", OUTAGES)
def test_an_outage_costs_nothing(
    make_sweep: Make, assert_equal: Check, request: pytest.FixtureRequest, outage: str
) -> None:
    fixture, choose_options, cut = OUTAGES[outage]
    resource = request.getfixturevalue(fixture)
    sweep = make_sweep(**choose_options(resource))
    launch = sweep.launch()
    sweep.wait_for_job()
    cut(resource)
    code = launch.wait()
    if outage == "a file" and code:  # a moved file may end the launch
        sweep.finish()
    else:
        assert code == 0, sweep.output()
        assert set(sweep.outcomes()) == {"done"}
    assert ("make room on its disk" in sweep.output()) == (outage == "a disk of the database")
    assert_equal(sweep)
