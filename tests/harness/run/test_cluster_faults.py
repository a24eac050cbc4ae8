"""Sweeps on a real Ray cluster of several nodes, parts of which are lost.

Whatever is lost, the sweep ends with every result once, equal to the bit to one left alone.
"""

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml

from lcma import db
from lcma.harness.place import Place
from lcma.harness.run.cluster import RayExecutor
from lcma.harness.run.driver import Launch
from lcma.harness.run.local import LocalExecutor
from lcma.harness.run.plan import Node, make_nodes, make_plan, register_plan
from lcma.harness.run.worker import run_work
from lcma.harness.selftest.comparison import RunContent, compare_runs, read_run
from lcma.harness.selftest.driver import LaunchTask
from lcma.harness.watch.doctor import run_checks
from lcma.sweeps import spec as specs
from lcma.sweeps.errors import UserError
from lcma.sweeps.spec import Resources
from tests.harness.conftest import SMALL, merged
from tests.harness.run.conftest import Told
from tests.harness.run.machines import DEADLINE, Machines, free_port, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800), pytest.mark.xdist_group("ray")]

LEASE = 3.0

SWEEP = merged(
    SMALL,
    {
        "name": "faults",
        "matrix": {"factorization": ["conventional", "low"], "budget": [300]},
        "recipe": {"training": {"steps": 400}},
        "resources": {"gpus": 0},
    },
)


@pytest.fixture(scope="module")
def machines() -> Iterator[Machines]:
    made = Machines()
    yield made
    made.close()


@pytest.fixture
def nodes_of(machines: Machines) -> Iterator[Machines]:
    """The cluster, without the nodes of the test before."""
    machines.clear()
    yield machines
    machines.clear()


class Sweep:
    """The sweep in a database of its own."""

    def __init__(self, folder: Path, url: str, data: Path, change: dict[str, Any]) -> None:
        self.folder = folder
        self.place = Place(url, folder / "runs", data)
        self.body = merged(SWEEP, change)
        self.file = folder / "faults.yaml"
        self.file.write_text(yaml.safe_dump(self.body))
        self.store = db.connect(url)

    def nodes(self, owner: str, lease_seconds: float = LEASE) -> list[Node]:
        plan = make_plan(specs.check(self.body, "test"), self.place, self.store)
        register_plan(plan, self.place, self.store)
        return make_nodes(
            plan,
            self.place,
            owner=owner,
            device="cpu",
            checkpoint_seconds=0.0,
            lease_seconds=lease_seconds,
        )

    def driver(self, address: str) -> subprocess.Popen[str]:
        """A launch in a process of its own."""
        task = LaunchTask(
            spec=str(self.file),
            db=self.store.url,
            runs=str(self.place.runs),
            data=str(self.place.data),
            ray=address,
            local=False,
            lease_seconds=LEASE,
            checkpoint_seconds=0.0,
            kills=None,
        )
        log = (self.folder / "driver.log").open("ab")
        process = subprocess.Popen(
            task.command(), stdin=subprocess.PIPE, stdout=log, stderr=log, text=True
        )
        assert process.stdin is not None
        process.stdin.write(task.text())
        process.stdin.close()
        return process

    def at_work(self, kind: str, beyond: int = 0) -> db.Job | None:
        """A job of a kind that runs and has got beyond a step."""
        running = [r for r in self.store.running_jobs() if r.kind == kind and r.step > beyond]
        return self.store.job(running[0].job_id) if running else None

    def outcomes(self, job_id: str) -> list[str]:
        frame = self.store.attempts(job_id=job_id).sort_values("token")
        return list(frame.outcome)

    def said(self) -> str:
        return (self.folder / "driver.log").read_text()


@pytest.fixture(params=["sqlite", "postgresql"])
def sweep(
    request: pytest.FixtureRequest, tmp_path: Path, photos_root: Path
) -> Callable[..., Sweep]:
    """Makes the sweep, changed as said, on each engine."""

    def make(change: dict[str, Any] | None = None) -> Sweep:
        url = f"sqlite:///{tmp_path / 'lcma.db'}"
        if request.param == "postgresql":
            url = request.getfixturevalue("postgres_url")
        return Sweep(tmp_path, url, photos_root, change or {})

    return make


only_sqlite = pytest.mark.parametrize("sweep", ["sqlite"], indirect=True)


@pytest.fixture(scope="module")
def alone(
    tmp_path_factory: pytest.TempPathFactory, photos_root: Path
) -> Callable[[dict[str, Any]], RunContent]:
    """What the sweep leaves where nobody disturbs it, each form of it run once."""
    found: dict[str, RunContent] = {}

    def run(change: dict[str, Any]) -> RunContent:
        key = str(change)
        if key not in found:
            folder = tmp_path_factory.mktemp("alone")
            one = Sweep(folder, f"sqlite:///{folder / 'lcma.db'}", photos_root, change)
            for node in one.nodes("alone"):
                assert run_work(node.work).ending == "done"
            found[key] = read_run(one.store)
        return found[key]

    return run


@pytest.fixture
def equal(alone: Callable[[dict[str, Any]], RunContent]) -> Callable[..., None]:
    """Checks that a sweep left what one left alone does."""

    def check(one: Sweep, change: dict[str, Any] | None = None) -> None:
        assert compare_runs(alone(change or {}), read_run(one.store)) == []

    return check


class Watching(Told):
    """A display that ends the launch when what happens beside it has failed."""

    def __init__(self, beside: Future[None]) -> None:
        super().__init__()
        self.beside = beside

    def update(self, ended: int, total: int, running: Any) -> None:
        if self.beside.done():
            self.beside.result()


def launched(
    one: Sweep,
    address: str,
    meanwhile: Callable[[], None],
    resources: Resources | None = None,
    lease_seconds: float = LEASE,
) -> None:
    """Launch on the cluster until all has ended, and do something meanwhile."""
    nodes = one.nodes("a launch", lease_seconds)
    executor = RayExecutor(resources or Resources(), address)
    try:
        with ThreadPoolExecutor(1) as thread:
            doing = thread.submit(meanwhile)
            ended = Launch(one.store, nodes, executor, Watching(doing)).run()
            doing.result(DEADLINE)
    finally:
        executor.close(kill=True)
    assert len(ended.with_ending("done")) == len(nodes)


@pytest.mark.parametrize("kind", ["pretraining", "trial"])
def test_a_node_that_is_lost_costs_an_attempt(
    nodes_of: Machines, sweep: Callable[..., Sweep], equal: Callable[..., None], kind: str
) -> None:
    one = sweep()
    nodes_of.add()
    nodes_of.add()
    lost: list[str] = []

    def lose() -> None:
        job = until(lambda: one.at_work(kind, 20))
        nodes_of.lose(nodes_of.of(job.pid))
        lost.append(job.id)

    launched(one, nodes_of.address, lose)
    assert one.outcomes(lost[0]) == ["node_lost", "done"]
    equal(one)


@only_sqlite
def test_a_worker_that_is_killed_costs_an_attempt(
    nodes_of: Machines, sweep: Callable[..., Sweep], equal: Callable[..., None]
) -> None:
    one = sweep()
    nodes_of.add(cpus=2)
    killed: list[str] = []

    def kill() -> None:
        job = until(lambda: one.at_work("trial", 20))
        os.kill(job.pid, signal.SIGKILL)
        killed.append(job.id)

    launched(one, nodes_of.address, kill)
    assert one.outcomes(killed[0]) == ["node_lost", "done"]
    equal(one)


@only_sqlite
def test_a_worker_with_a_notice_leaves_a_checkpoint(
    nodes_of: Machines, sweep: Callable[..., Sweep], equal: Callable[..., None]
) -> None:
    """By SIGTERM, and by Ray's word that its node is taken away; it goes on on another."""
    change = {
        "matrix": {"factorization": "conventional"},
        "recipe": {"training": {"steps": 1500}},
    }
    one = sweep(change)
    nodes_of.add()
    nodes_of.add()

    def attempt(token: int) -> db.Job | None:
        job = one.at_work("trial", 20)
        return job if job is not None and job.token == token else None

    def notify() -> None:
        os.kill(until(lambda: attempt(1)).pid, signal.SIGTERM)
        nodes_of.drain(nodes_of.of(until(lambda: attempt(2)).pid))

    launched(one, nodes_of.address, notify)
    attempts = one.store.attempts().sort_values("token")
    assert list(attempts.outcome) == ["preempted", "preempted", "done"]
    assert list(attempts.first_step)[1:] == list(attempts.last_step)[:2]
    equal(one, change)


@only_sqlite
def test_a_node_that_is_told_to_end_frees_its_jobs_at_once(
    nodes_of: Machines, sweep: Callable[..., Sweep], equal: Callable[..., None]
) -> None:
    """Ray kills its workers hard, and says why: no lease of ten minutes is waited for."""
    change = {"matrix": {"factorization": "conventional"}}
    one = sweep(change)
    nodes_of.add()
    nodes_of.add()

    def tell() -> None:
        # under a lease of ten minutes a worker tells its steps too seldom to wait for one
        node = nodes_of.of(until(lambda: one.at_work("trial", -1)).pid)
        (raylet,) = node.all_processes["raylet"]
        raylet.process.terminate()

    launched(one, nodes_of.address, tell, lease_seconds=600.0)
    attempts = one.store.attempts().sort_values("token")
    assert list(attempts.outcome) == ["preempted", "done"]
    assert "its node was taken away" in attempts.message[0]
    assert "received SIGTERM" in attempts.message[0]
    equal(one, change)


@only_sqlite
def test_a_job_whose_nodes_go_again_and_again_is_done_in_the_end(
    nodes_of: Machines, sweep: Callable[..., Sweep], equal: Callable[..., None]
) -> None:
    """Four times, with no more than a step in between: to be preempted is no failure."""
    change = {"matrix": {"factorization": "conventional"}}
    one = sweep(change)
    for _ in range(5):  # now, since Ray starts none from another thread
        nodes_of.add()

    def attempt(token: int) -> db.Job | None:
        job = one.at_work("trial", -1)
        return job if job is not None and job.token == token else None

    def lose() -> None:
        for token in range(1, 5):
            job = until(lambda token=token: attempt(token))
            nodes_of.lose(nodes_of.of(job.pid))

    launched(one, nodes_of.address, lose)
    (job_id,) = one.store.attempts().job_id.unique()
    assert one.outcomes(job_id) == ["node_lost"] * 4 + ["done"]
    equal(one, change)


def test_a_driver_that_is_killed_is_launched_again(
    nodes_of: Machines, sweep: Callable[..., Sweep], equal: Callable[..., None]
) -> None:
    one = sweep()
    nodes_of.add(cpus=2)
    first = one.driver(nodes_of.address)
    until(lambda: one.at_work("pretraining", 20))
    first.kill()
    first.wait()
    second = one.driver(nodes_of.address)
    assert second.wait(DEADLINE) == 0, one.said()
    equal(one)
    lost = one.store.attempts(outcome="node_lost")
    assert len(lost) <= 2, "none where the workers were done before they heard of it"


def test_two_drivers_at_once_run_each_job_once(
    nodes_of: Machines, sweep: Callable[..., Sweep], equal: Callable[..., None]
) -> None:
    one = sweep()
    nodes_of.add(cpus=2)
    nodes_of.add(cpus=2)
    both = [one.driver(nodes_of.address) for _ in range(2)]
    assert [driver.wait(DEADLINE) for driver in both] == [0, 0], one.said()
    assert set(one.store.attempts().outcome) == {"done"}
    equal(one)


@only_sqlite
def test_a_head_that_is_started_again_ends_what_was_begun(
    sweep: Callable[..., Sweep], equal: Callable[..., None]
) -> None:
    """The launch ends with the head, and the same command again goes on."""
    one, port = sweep(), free_port()
    machines = Machines(port)
    try:
        machines.add()
        first = one.driver(machines.address)
        until(lambda: one.at_work("trial", 20))
        machines.clear()
        machines.lose_head()
        assert first.wait(DEADLINE) != 0
    finally:
        machines.close()
    machines = Machines(port)
    try:
        machines.add()
        second = one.driver(machines.address)
        assert second.wait(DEADLINE) == 0, one.said()
    finally:
        machines.close()
    equal(one)


def test_a_database_server_that_is_started_again_costs_nothing(
    nodes_of: Machines, tmp_path: Path, photos_root: Path, server: Any, equal: Callable[..., None]
) -> None:
    one = Sweep(tmp_path, server.url, photos_root, {})
    nodes_of.add()

    def restart() -> None:
        until(lambda: one.at_work("trial", 20))
        server.off()
        server.on()

    launched(one, nodes_of.address, restart)
    assert set(one.store.attempts().outcome) == {"done"}
    equal(one)


def test_a_worker_that_stood_still_for_longer_than_its_lease_changes_nothing(
    nodes_of: Machines, sweep: Callable[..., Sweep], equal: Callable[..., None]
) -> None:
    """Another launch, without Ray, takes its job; it comes back when that is done."""
    change = {"matrix": {"factorization": "conventional"}}
    one = sweep(change)
    nodes_of.add()
    stopped: list[str] = []

    def stop() -> None:
        job = until(lambda: one.at_work("trial", 20))
        os.kill(job.pid, signal.SIGSTOP)
        try:
            other = LocalExecutor(1)
            again = Launch(one.store, one.nodes("another launch"), other, Told()).run()
            other.close(kill=False)
        finally:
            os.kill(job.pid, signal.SIGCONT)
        assert len(again.with_ending("done")) == 1
        stopped.append(job.id)

    launched(one, nodes_of.address, stop)
    assert one.outcomes(stopped[0]) == ["node_lost", "done"]
    assert list(one.store.attempts().sort_values("token").owner) == ["a launch", "another launch"]
    equal(one, change)


@only_sqlite
def test_what_no_node_can_run_is_refused_before_anything_is_made(
    nodes_of: Machines, tmp_path: Path, sweep: Callable[..., Sweep]
) -> None:
    nodes_of.add(cpus=2)
    nodes_of.add(cpus=1, gpus=1)
    executor = RayExecutor(Resources(gpus=1.0, cpus=2.0), nodes_of.address)
    try:
        with pytest.raises(UserError, match="asks for 2 CPU, 1 GPU, and no node has that"):
            executor.check(threads=1)
    finally:
        executor.close(kill=True)
    one = sweep({"resources": {"gpus": 0, "cpus": 64}})

    def seen() -> bool:
        (ray,) = [f for f in run_checks(one.place, nodes_of.address) if f.what == "ray"]
        return ray.verdict == "good" and "has 3 CPUs and 1 GPUs" in ray.said

    until(seen)  # nodes that an earlier test lost may count for a while
    driver = one.driver(nodes_of.address)
    assert driver.wait(DEADLINE) == 2
    assert "asks for 64 CPU, and no node has that (the nearest has 2 CPU" in one.said()
    assert one.store.sweeps() == []


@only_sqlite
def test_two_halves_share_a_gpu_and_never_three(
    nodes_of: Machines, sweep: Callable[..., Sweep], equal: Callable[..., None]
) -> None:
    change = {
        "matrix": {"factorization": ["conventional", "random", "rows"]},
        "recipe": {"training": {"steps": 800}},
        "seeds": 2,
    }
    one = sweep(change)
    nodes_of.add(cpus=8, gpus=1)
    launched(one, nodes_of.address, lambda: None, Resources(gpus=0.5))
    attempts = one.store.attempts()
    assert len(attempts) == 6
    at_once = [
        int(((attempts.started <= moment) & (attempts.ended > moment)).sum())
        for moment in attempts.started
    ]
    assert max(at_once) == 2
    equal(one, change)
