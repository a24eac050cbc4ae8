"""A sweep on a Ray cluster that loses nodes, workers or its head ends as an undisturbed one."""

import os
import signal
from collections.abc import Callable

import pytest

from lcma import db
from lcma.harness.place import Place
from lcma.harness.watch.doctor import run_checks
from tests.faults.test_sweeps import ONE_TRAINING, Check, Make, kill_raylet
from tests.harness.launch.machines import Machines, free_port, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800), pytest.mark.xdist_group("ray")]


def test_a_worker_with_a_notice_leaves_a_checkpoint(make_sweep: Make, assert_equal: Check) -> None:
    """SIGTERM, or Ray's notice that the node is taken away; the training goes on elsewhere."""
    change = ONE_TRAINING | {"recipe": {"training": {"steps": 400}}}
    sweep = make_sweep(change, nodes=2)
    launch = sweep.launch()
    os.kill(sweep.wait_for_job(token=1).pid, signal.SIGTERM)
    sweep.machines.drain(sweep.wait_for_node(token=2))
    assert launch.wait() == 0, sweep.output()
    attempts = sweep.store.view("attempts").sort_values("token")
    assert list(attempts.outcome) == ["preempted", "preempted", "done"]
    assert list(attempts.first_step)[1:] == list(attempts.last_step)[:2]
    assert_equal(sweep, change)


def test_a_node_that_is_told_to_end_frees_its_jobs_at_once(
    make_sweep: Make, assert_equal: Check
) -> None:
    """Ray kills its workers and says why, so that nobody waits for a lease of ten minutes."""
    sweep = make_sweep(ONE_TRAINING, nodes=2)
    launch = sweep.launch(lease_seconds=600.0)
    # Under such a lease a worker reports its steps too seldom to wait for one.
    kill_raylet(sweep.wait_for_node(beyond=-1), signal.SIGTERM)
    assert launch.wait() == 0, sweep.output()
    attempts = sweep.store.view("attempts").sort_values("token")
    assert list(attempts.outcome) == ["preempted", "done"]
    assert "its node was taken away" in attempts.message[0]
    assert "received SIGTERM" in attempts.message[0]
    assert_equal(sweep, ONE_TRAINING)


@pytest.mark.parametrize(
    "cut", [Machines.lose_head, Machines.kill_store, Machines.kill_silent_store]
)
def test_a_launch_ends_with_its_head_and_another_head_finishes_the_sweep(
    make_sweep: Make, assert_equal: Check, cut: Callable[[Machines], None]
) -> None:
    sweep, port = make_sweep(), free_port()
    for is_cut in (True, False):
        sweep.machines = Machines(port)
        try:
            sweep.machines.add(environment=sweep.environment())
            launch = sweep.launch()
            if is_cut:
                sweep.wait_for_job()
                cut(sweep.machines)
            assert launch.wait() == (5 if is_cut else 0), sweep.output()
        finally:
            sweep.machines.close()
    assert_equal(sweep)


def test_a_sweep_that_no_node_can_run_is_refused_before_anything_is_made(make_sweep: Make) -> None:
    sweep = make_sweep({"resources": {"cpus": 64}}, nodes=1, cpus=2)
    sweep.machines.add(cpus=1, gpus=1)
    place = Place(sweep.database.url, sweep.folder / "runs", sweep.data)

    def are_counted() -> bool:
        (ray,) = [f for f in run_checks(place, sweep.machines.address) if f.what == "ray"]
        return ray.verdict == "good" and "has 3 CPUs and 1 GPUs" in ray.said

    wait_until(are_counted)  # nodes that an earlier test lost may count for a while
    assert sweep.launch().wait() == 2
    assert "asks for 64 CPU, and no node has that (the nearest has 2 CPU" in sweep.output()
    assert not db.exists(sweep.database.url)
