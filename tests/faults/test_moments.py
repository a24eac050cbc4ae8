"""A study that is killed, or whose server is stopped, at any moment of its tuner or its jobs ends
as an undisturbed one, and so does a launch whose server is stopped before and after its jobs."""

import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from lcma import db
from lcma.db import Store
from lcma.harness.cli import launching
from lcma.harness.kill_points import When
from lcma.harness.launch import sweep
from lcma.harness.tuning.study import Study, Tuner
from tests.conftest import Postgres
from tests.faults.moments import Death, Moment, Outages, hooked, in_child, with_kill_point
from tests.faults.points import TUNER
from tests.harness.conftest import SMALL
from tests.harness.launch.conftest import StoppableServer, place_in, run_cli, run_server
from tests.harness.tuning.conftest import Tuning, make, make_in

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning"),
]

Make = Callable[..., Tuning]

CHANGE = {"recipe": {"training": {"steps": 12}}, "tune": {"budget": {"high": 20}, "parallel": 2}}

KILLS: list[Moment] = [
    *(ASK := [("ask", "before"), ("ask", "after")]),
    *(TELL := [("tell", "before"), ("tell", "after")]),
    *(*ASK, ("checkpoint", "after"), ("report", "before"), *TELL),
]
"""Moments at which a study is killed, in its first and its second launch."""

CALLS: Mapping[str, tuple[Any, str]] = {
    "open": (Study, "_open"),
    "register": (Store, "register"),
    "begin": (Store, "begin_launch"),
    "retry": (Store, "retry"),
    "turn": (Study, "_ask"),
    "claim": (Store, "claim"),
    "finish": (Store, "finish"),
    "plan": (sweep, "update_plan"),
    "board": (launching, "read_board"),
    "measure": (Tuner, "_measure"),
}
"""Functions that use the database and are no kill points."""

OF_STUDY: list[tuple[str, When, int]] = [
    *(("open", "before", 1), ("open", "after", 1), ("register", "before", 1)),
    *(("begin", "before", 1), *((name, "before", 2) for name in TUNER)),
    *(("turn", "after", 2), ("register", "before", 2), ("submit", "before", 3)),
    *(("claim", "before", 2), ("claim", "after", 4), ("report", "before", 2)),
    *(("finish", "after", 4), ("measure", "before", 1)),
]
OF_LAUNCH: list[tuple[str, When, int]] = [
    (name, "before", 1) for name in ("register", "begin", "retry", "plan", "board")
]
"""Moments at which the server is stopped, each the n-th time that it comes."""


@pytest.fixture(scope="module")
def server() -> Iterator[StoppableServer]:
    with run_server() as stoppable_server:
        yield stoppable_server


@pytest.fixture
def url(server: StoppableServer) -> Iterator[str]:
    with closing(Postgres(server.url, temporary=True)) as postgres:
        name = postgres.make()
    yield postgres.url(name)
    with closing(Postgres(server.url, temporary=True)) as postgres:
        postgres.drop(name)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, few_root: Path) -> Tuning:
    """The study without kills and outages."""
    tuned = make_in(tmp_path_factory.mktemp("undisturbed"), few_root, CHANGE)
    assert in_child(tuned.run) == 0
    assert {row[2] for row in tuned.history()} == {"COMPLETE"}
    return tuned


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes kill points of `CALLS`."""
    for name, (owner, attribute) in CALLS.items():
        monkeypatch.setattr(owner, attribute, with_kill_point(name, getattr(owner, attribute)))


def assert_equal(disturbed: Tuning, undisturbed: Tuning) -> None:
    """Compare the trials, their values and results; no job may be done twice."""
    assert disturbed.history() == undisturbed.history()
    assert disturbed.bits() == undisturbed.bits()
    assert disturbed.store.view("attempts", outcome="done").job_id.is_unique


def test_a_study_is_killed_at_every_moment_in_turn(on_each: Make, undisturbed: Tuning) -> None:
    killed = on_each(CHANGE)
    statuses = [in_child(killed.run, Death(*moment)) for moment in KILLS]
    assert statuses == [signal.SIGKILL] * len(KILLS)
    assert {name for name, _ in KILLS} > set(TUNER)
    assert in_child(killed.run) == 0
    assert_equal(killed, undisturbed)


def test_the_server_of_a_study_is_stopped_again_and_again(
    calls: None,
    server: StoppableServer,
    url: str,
    tmp_path: Path,
    few_root: Path,
    undisturbed: Tuning,
) -> None:
    """Its jobs run in this process, so that their moments are seen."""
    outages = Outages(server, OF_STUDY)
    stopped = make(replace(place_in(tmp_path, few_root), db=url), CHANGE)
    with hooked(outages):
        stopped.run()
    outages.wait()
    assert outages.remaining == set()
    assert_equal(stopped, undisturbed)
    columns = ["job_id", "token", "outcome", "first_step", "last_step"]
    orders, attempts = [], []
    for tuned in (stopped, undisturbed):
        trials = sorted(tuned.study.trials, key=lambda t: t.datetime_complete)
        orders.append([trial.number for trial in trials])
        rows = tuned.store.view("attempts")[columns].sort_values(["job_id", "token"])
        attempts.append(rows.values.tolist())
    assert orders[0] == orders[1]
    assert attempts[0] == attempts[1]


def launch(
    capsys: pytest.CaptureFixture[str], outages: Outages, url: str, data: Path
) -> tuple[int, str]:
    """Run a launch in this process, with outages; return its exit code and what it prints."""
    Path("small.yaml").write_text(yaml.safe_dump(SMALL))
    options = ["--local", "--retry", "--db", url, "--data", data]
    try:
        with hooked(outages):
            return run_cli(capsys, "launch", "small.yaml", *options)[:2]
    finally:
        outages.wait()


def test_the_server_of_a_launch_is_stopped_from_registering_to_its_board(
    in_tmp: Path, calls: None, server: StoppableServer, url: str, photos_root: Path, capsys: Any
) -> None:
    assert launch(capsys, Outages(server, []), "undisturbed.db", photos_root)[0] == 0
    outages = Outages(server, OF_LAUNCH)
    code, output = launch(capsys, outages, url, photos_root)
    assert code == 0
    assert outages.remaining == set()
    assert output.count("The database is unreachable: waiting for it.") >= 4
    query = "select trial_id, bits_per_dim, holdout_bits_per_dim from results order by 1"
    results, expected = (db.connect(u).sql(query) for u in (url, "sqlite:///undisturbed.db"))
    assert results.equals(expected)
