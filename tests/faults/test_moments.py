"""A study that is killed, or whose server is stopped, at any moment of the tuner's and of its jobs
is the study left alone; and so is a launch whose server is stopped before and after its jobs."""

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
from lcma.harness.cli import main as cli
from lcma.harness.kill_points import When
from lcma.harness.launch import sweep
from lcma.harness.place import Place
from lcma.harness.tuning.study import Study, Tuner
from tests.conftest import Postgres
from tests.db.conftest import SqliteTemplates
from tests.faults.moments import Death, Moment, Outages, hooked, in_child, passing
from tests.faults.points import TUNER
from tests.harness.conftest import SMALL
from tests.harness.launch.conftest import StoppableServer, run_server
from tests.harness.tuning.conftest import Tuning, make

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning"),
]

Make = Callable[..., Tuning]
Type = Callable[..., int]

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
"""What is done at the database that is no kill point."""

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


@pytest.fixture
def place(tmp_path: Path, few_root: Path, sqlite_templates: SqliteTemplates) -> Place:
    """An empty database and an empty folder for runs, beside the images of a study."""
    sqlite_templates.copy("empty", tmp_path).rename(tmp_path / "lcma.db")
    return Place(f"sqlite:///{tmp_path / 'lcma.db'}", tmp_path / "runs", few_root)


@pytest.fixture(scope="module")
def server() -> Iterator[StoppableServer]:
    with run_server() as made:
        yield made


@pytest.fixture
def url(server: StoppableServer) -> Iterator[str]:
    """An empty database on the server."""
    with closing(Postgres(server.url, own=True)) as postgres:
        name = postgres.make()
    yield postgres.url(name)
    with closing(Postgres(server.url, own=True)) as postgres:
        postgres.drop(name)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, few_root: Path) -> Tuning:
    """The study left alone."""
    folder = tmp_path_factory.mktemp("undisturbed")
    tuned = make(Place(f"sqlite:///{folder / 'lcma.db'}", folder / "runs", few_root), CHANGE)
    assert in_child(tuned.run) == 0
    assert {row[2] for row in tuned.history()} == {"COMPLETE"}
    return tuned


@pytest.fixture
def passed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes moments of the calls."""
    for name, (owner, attribute) in CALLS.items():
        monkeypatch.setattr(owner, attribute, passing(name, getattr(owner, attribute)))


@pytest.fixture
def type_launch(in_tmp: Path, passed: None) -> Type:
    """Types a launch in this process, with outages; returns its exit code."""

    def run(outages: Outages, url: str, *more: str) -> int:
        (in_tmp / "typed.yaml").write_text(yaml.safe_dump(SMALL))
        try:
            with hooked(outages):
                cli.main(["launch", "typed.yaml", "--local", "--db", url, *more])
        except SystemExit as end:
            return int(end.code or 0)
        finally:
            outages.wait()
        return 0

    return run


def assert_alike(disturbed: Tuning, wanted: Tuning) -> None:
    """The same trials with the same values, the same results, and nothing finished done twice."""
    assert disturbed.history() == wanted.history()
    assert disturbed.bits() == wanted.bits()
    ended = disturbed.store.view("attempts", outcome="done").job_id
    assert ended.is_unique


def test_a_study_is_killed_at_every_moment_in_turn(on_each: Make, undisturbed: Tuning) -> None:
    killed = on_each(CHANGE)
    ended = [in_child(killed.run, Death(*moment)) for moment in KILLS]
    assert ended == [signal.SIGKILL] * len(KILLS)
    assert {name for name, _ in KILLS} > set(TUNER)
    assert in_child(killed.run) == 0
    assert_alike(killed, undisturbed)


def test_the_server_of_a_study_is_stopped_again_and_again(
    passed: None, server: StoppableServer, url: str, place: Place, undisturbed: Tuning
) -> None:
    """Its jobs are done in this process, whose moments can be seen."""
    outages = Outages(server, OF_STUDY)
    stopped = make(replace(place, db=url), CHANGE)
    with hooked(outages):
        stopped.run()
    outages.wait()
    assert outages.left == set()
    assert_alike(stopped, undisturbed)
    columns = ["job_id", "token", "outcome", "first_step", "last_step"]
    orders, attempts = [], []
    for tuned in (stopped, undisturbed):
        ended = sorted(tuned.study.trials, key=lambda t: t.datetime_complete)
        orders.append([trial.number for trial in ended])
        rows = tuned.store.view("attempts")[columns].sort_values(["job_id", "token"])
        attempts.append(rows.values.tolist())
    assert orders[0] == orders[1]
    assert attempts[0] == attempts[1]


def test_the_server_of_a_launch_is_stopped_from_registering_to_its_board(
    type_launch: Type, server: StoppableServer, url: str, photos_root: Path, capsys: Any
) -> None:
    more = ("--retry", "--no-pictures", "--data", str(photos_root))
    assert type_launch(Outages(server, []), "alone.db", *more) == 0
    outages = Outages(server, OF_LAUNCH)
    assert type_launch(outages, url, *more) == 0
    assert outages.left == set()
    assert capsys.readouterr().out.count("The database is unreachable: waiting for it.") >= 4
    query = "select trial_id, bits_per_dim, holdout_bits_per_dim from results order by 1"
    left, alone = (db.connect(at).sql(query) for at in (url, "sqlite:///alone.db"))
    assert left.equals(alone)
