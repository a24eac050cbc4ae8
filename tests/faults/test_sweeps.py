"""A sweep that is cut somehow, and launched again if its launch ended, is one left alone."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.faults.conftest import MovedFile
from tests.faults.sweeps import LEASE, STACKED, Launch, Sweep, away, stop
from tests.harness.launch.conftest import fill

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1800), pytest.mark.xdist_group("faults")]

Make = Callable[..., Sweep]
Equal = Callable[..., None]
Cut = Callable[[Sweep, Launch], object]

ONE = {"matrix": {"factorization": "conventional"}}
"""Changes the sweep to one training."""

FORMS = {"sqlite": None, "postgresql-stacks": STACKED}
"""The engine, and a change of the sweep."""


def end_driver(number: int) -> Cut:
    return lambda one, launch: one.job() and launch.send_signal(number)


CUTS: dict[str, Cut] = {
    "a worker is killed": lambda one, _: os.kill(one.job().pid, signal.SIGKILL),
    "a worker stands still": lambda one, _: stop(one.job().pid),
    "a pretraining is killed": lambda one, _: os.kill(one.job("pretraining").pid, signal.SIGKILL),
    "the database is away": lambda one, _: one.job() and away(one.database),
    "the driver stands still": lambda one, launch: one.job() and stop(launch.pid),
    "the driver is killed": end_driver(signal.SIGKILL),
    "the driver is told to end": end_driver(signal.SIGTERM),
    "the driver is interrupted": end_driver(signal.SIGINT),
}
ON_RAY: dict[str, Cut] = {
    **{name: CUTS[name] for name in ("a worker is killed", "a worker stands still")},
    **{name: CUTS[name] for name in ("the database is away", "the driver is killed")},
    "a node is lost": lambda one, _: one.machines.lose(one.node()),
    "a node of a pretraining is lost": lambda one, _: one.machines.lose(one.node("pretraining")),
    "a raylet is killed": lambda one, _: kill_raylet(one.node()),
}
ENDS = {f"the driver is {how}" for how in ("killed", "told to end", "interrupted")}
"""Cuts that end a launch; it outlives the others."""

WORST = {"a worker is killed", "the database is away", "the driver is killed", "a node is lost"}

RAY = [pytest.mark.slow, pytest.mark.xdist_group("ray")]
on_ray = pytest.mark.parametrize("nodes", [0, pytest.param(2, marks=RAY)], ids=["here", "ray"])


def kill_raylet(node: Any, number: int = signal.SIGKILL) -> None:
    (raylet,) = node.all_processes["raylet"]
    raylet.process.send_signal(number)


def cases() -> Iterator[Any]:
    """Iterate over each cut, on this machine and on Ray, on stacks in PostgreSQL, and those that
    most is lost by on single trials in SQLite too."""
    for where, cuts in (("here", CUTS), ("ray", ON_RAY)):
        for cut in cuts:
            for form in FORMS if cut in WORST else ["postgresql-stacks"]:
                marks = RAY if where == "ray" else [pytest.mark.slow] * (form != "sqlite")
                name = f"{cut}-{where}-{form}"
                yield pytest.param(cut, 2 * (where == "ray"), form, marks=marks, id=name)


@pytest.mark.parametrize(("cut", "nodes", "form"), list(cases()))
def test_it_is_as_if_nothing_had_happened(
    new_sweep: Make, equal: Equal, cut: str, nodes: int, form: str
) -> None:
    one = new_sweep(FORMS[form], engine=form.partition("-")[0], nodes=nodes)
    launch = one.launch()
    (CUTS | ON_RAY)[cut](one, launch)
    assert (launch.wait() != 0) == (cut in ENDS), one.said()
    if cut in ENDS:
        one.finish()
    equal(one, FORMS[form])


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
@on_ray
def test_two_launches_at_once_run_each_job_once(
    new_sweep: Make, equal: Equal, nodes: int, form: str
) -> None:
    one = new_sweep(FORMS[form], engine=form.partition("-")[0], nodes=nodes, cpus=2)
    launches = [one.launch() for _ in range(2)]
    assert [launch.wait() for launch in launches] == [0, 0], one.said()
    assert set(one.outcomes()) == {"done"}
    equal(one, FORMS[form])


@on_ray
def test_a_worker_that_comes_back_when_its_job_is_done_changes_nothing(
    new_sweep: Make, equal: Equal, nodes: int
) -> None:
    """Another launch, without Ray, takes its job meanwhile; here the driver stands still too, which
    would take it back."""
    one = new_sweep(ONE, nodes=nodes)
    launch = one.launch()
    pid = one.job().pid

    def take() -> None:
        stop(pid, lambda: one.finish(ray=None, local=True))

    take() if nodes else stop(launch.pid, take)
    assert launch.wait() == 0, one.said()
    assert one.outcomes() == ["node_lost", "done"]
    equal(one, ONE)


def test_a_worker_that_is_told_to_end_leaves_a_checkpoint(new_sweep: Make, equal: Equal) -> None:
    one = new_sweep(ONE)
    launch = one.launch()
    os.kill(one.job().pid, signal.SIGTERM)
    assert launch.wait() == 0, one.said()
    attempts = one.store.view("attempts").sort_values("token")
    assert list(attempts.outcome) == ["preempted", "done"]
    assert attempts.first_step[1] == attempts.last_step[0] > 0
    equal(one, ONE)


@pytest.mark.slow
@pytest.mark.xdist_group("ray")
def test_signals_at_random_moments(new_sweep: Make, equal: Equal) -> None:
    """To launches with a Ray of their own."""
    one, moments = new_sweep(STACKED), Random(0)
    for number in (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGKILL):
        launch = one.launch(local=False)
        time.sleep(moments.uniform(4, 20))
        launch.send_signal(number)
        launch.wait()
    one.finish(local=False)
    equal(one, STACKED)


def fill_for_a_while(disk: Path) -> None:
    filler = fill(disk)
    time.sleep(4 * LEASE)  # as long as it takes a launch to see that no lease is renewed
    filler.unlink()


OUTAGES: dict[str, tuple[str, Callable[[Any], dict[str, Any]], Callable[[Any], None]]] = {
    "a server": ("server", lambda one: {"database": one}, away),
    "a server of a cluster": ("server", lambda one: {"database": one, "nodes": 2}, away),
    "a file": ("moved_file", lambda one: {"database": one}, away),
    "a place of checkpoints": ("bucket", lambda one: {"runs": one.runs}, away),
    "a disk of the database": (
        "small_disk",
        lambda disk: {"database": MovedFile(disk / "lcma.db")},
        fill_for_a_while,
    ),
    "a disk of checkpoints": ("small_disk", lambda disk: {"runs": disk / "r"}, fill_for_a_while),
}
"""What is away or full for a while: a fixture, what of the sweep is there, and how it is cut."""


@pytest.fixture
def moved_file(tmp_path: Path) -> MovedFile:
    return MovedFile(tmp_path / "lcma.db")


@pytest.mark.slow_on("file", "place", "disk", "cluster")
@pytest.mark.xdist_group("ray")
@pytest.mark.parametrize("what", OUTAGES)
def test_what_is_away_for_a_while_costs_nothing(
    new_sweep: Make, equal: Equal, request: pytest.FixtureRequest, what: str
) -> None:
    fixture, place, cut = OUTAGES[what]
    lent = request.getfixturevalue(fixture)
    one = new_sweep(**place(lent))
    launch = one.launch()
    one.job()
    cut(lent)
    ended = launch.wait()
    if what == "a file" and ended:  # which may end the launch, that then goes on
        one.finish()
    else:
        assert ended == 0, one.said()
        assert set(one.outcomes()) == {"done"}
    assert ("make room on its disk" in one.said()) == (what == "a disk of the database")
    equal(one)
