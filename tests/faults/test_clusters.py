"""What only a Ray cluster can lose, and how: the sweep ends as one left alone."""

import os
import signal
from collections.abc import Callable

import pytest

from lcma import db
from lcma.harness.place import Place
from lcma.harness.watch.doctor import run_checks
from tests.faults.test_sweeps import ONE, Equal, Make, kill_raylet
from tests.harness.launch.machines import Machines, free_port, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800), pytest.mark.xdist_group("ray")]


def test_a_worker_with_a_notice_leaves_a_checkpoint(new_sweep: Make, equal: Equal) -> None:
    """By SIGTERM, and by Ray's word that its node is taken away; it goes on on another."""
    change = ONE | {"recipe": {"training": {"steps": 400}}}
    one = new_sweep(change, nodes=2)
    launch = one.launch()
    os.kill(one.job(token=1).pid, signal.SIGTERM)
    one.machines.drain(one.node(token=2))
    assert launch.wait() == 0, one.said()
    attempts = one.store.view("attempts").sort_values("token")
    assert list(attempts.outcome) == ["preempted", "preempted", "done"]
    assert list(attempts.first_step)[1:] == list(attempts.last_step)[:2]
    equal(one, change)


def test_a_node_that_is_told_to_end_frees_its_jobs_at_once(new_sweep: Make, equal: Equal) -> None:
    """Ray kills its workers hard, and says why: no lease of ten minutes is waited for."""
    one = new_sweep(ONE, nodes=2)
    launch = one.launch(lease_seconds=600.0)
    # Under such a lease a worker reports its steps too seldom to wait for one.
    kill_raylet(one.node(beyond=-1), signal.SIGTERM)
    assert launch.wait() == 0, one.said()
    attempts = one.store.view("attempts").sort_values("token")
    assert list(attempts.outcome) == ["preempted", "done"]
    assert "its node was taken away" in attempts.message[0]
    assert "received SIGTERM" in attempts.message[0]
    equal(one, ONE)


@pytest.mark.parametrize(
    "cut", [Machines.lose_head, Machines.kill_store, Machines.kill_silent_store]
)
def test_a_launch_ends_with_its_head_and_goes_on_at_another(
    new_sweep: Make, equal: Equal, cut: Callable[[Machines], None]
) -> None:
    one, port = new_sweep(), free_port()
    for end in (cut, None):
        one.machines = Machines(port)
        try:
            one.machines.add(environment=one.environment())
            launch = one.launch()
            if end is not None:
                one.job()
                end(one.machines)
            assert launch.wait() == (0 if end is None else 5), one.said()
        finally:
            one.machines.close()
    equal(one)


def test_what_no_node_can_run_is_refused_before_anything_is_made(new_sweep: Make) -> None:
    one = new_sweep({"resources": {"cpus": 64}}, nodes=1, cpus=2)
    one.machines.add(cpus=1, gpus=1)
    place = Place(one.database.url, one.folder / "runs", one.data)

    def seen() -> bool:
        (ray,) = [f for f in run_checks(place, one.machines.address) if f.what == "ray"]
        return ray.verdict == "good" and "has 3 CPUs and 1 GPUs" in ray.said

    wait_until(seen)  # nodes that an earlier test lost may count for a while
    assert one.launch().wait() == 2
    assert "asks for 64 CPU, and no node has that (the nearest has 2 CPU" in one.said()
    assert not db.exists(one.database.url)
