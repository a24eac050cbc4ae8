"""A study whose PostgreSQL server is stopped at any moment of the tuner's, and started again two
seconds later, is the study left alone."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from lcma.db import Store
from lcma.harness.cli import main as cli
from lcma.harness.cli import tuning as tune_command
from lcma.harness.kill_points import TUNER, install_hook
from lcma.harness.place import Place
from lcma.harness.run import workers
from lcma.harness.tuning.study import BudgetStudy, Study
from tests.conftest import Postgres
from tests.harness.conftest import merged
from tests.harness.outages import Moment, Outages, passing
from tests.harness.run.conftest import Inline, Server, stoppable
from tests.harness.tuning.conftest import STOP, Tuning, content, make

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning"),
]

Typed = Callable[..., int]

CHANGE = merged(STOP, {"tune": {"budget": {"high": 20}, "cost_weight": 3e3, "trials": 3}})

CALLS: Mapping[str, tuple[Any, str]] = {
    "open": (Study, "_study_of"),
    "register": (Store, "register"),
    "begin": (Store, "begin_launch"),
    "turn": (BudgetStudy, "_take"),
    "claim": (Store, "claim"),
    "finish": (Store, "finish"),
    "failures": (Store, "failures"),
    "outcome": (tune_command, "read_outcome"),
    "read": (Study, "read"),
}
"""What the tuner and its workers do at the database that is none of the `kill_points`: a turn ends
after a trial was taken, and the outcome is read in several transactions."""

OF_TUNER: Mapping[str, Mapping[Moment, int]] = {
    "open": {("open", "before"): 1, ("open", "after"): 1},
    "register": {("register", "before"): 1, ("begin", "before"): 1},
    **{name: {(name, "before"): 2} for name in TUNER},
    "turn": {("turn", "after"): 2},
    "enqueue": {("register", "before"): 2, ("submit", "before"): 3},
    "outcome": {("outcome", "before"): 1, ("read", "after"): 1},
}
"""Moments at which the server is stopped in one study, each the n-th time that it comes."""

OF_WORKER: Mapping[str, Mapping[Moment, int]] = {
    "claim": {("claim", "before"): 2, ("claim", "after"): 4},
    "finish": {("spool-end", "after"): 2, ("finish", "after"): 4},
}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with stoppable() as made:
        yield made


@pytest.fixture
def url(server: Server) -> Iterator[str]:
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
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LCMA_SPOOL", str(folder / "spools"))
        tuned.run()
    assert {row[2] for row in tuned.history()} == {"COMPLETE", "PRUNED"}
    return tuned


@pytest.fixture
def typed(in_tmp: Path, few_root: Path, monkeypatch: pytest.MonkeyPatch) -> Typed:
    """Types `lcma tune` with outages, in this process; its exit code."""
    monkeypatch.setenv("LCMA_DATA", str(few_root))
    monkeypatch.setattr(
        "lcma.harness.tuning.study.HOLD_SECONDS", 1.0
    )  # so that it holds on meanwhile
    for name, (owner, attribute) in CALLS.items():
        monkeypatch.setattr(owner, attribute, passing(name, getattr(owner, attribute)))

    def run(url: str, outages: Outages, change: Mapping[str, Any] = CHANGE) -> int:
        (in_tmp / "tuned.yaml").write_text(yaml.safe_dump(content(dict(change))))
        install_hook(outages)
        try:
            cli.main(["tune", "tuned.yaml", "--local", "--db", url])
        except SystemExit as end:
            return int(end.code or 0)
        finally:
            install_hook(None)
            outages.wait()
        return 0

    return run


def assert_alike(stopped: Tuning, wanted: Tuning) -> None:
    """The same trials in the same order with the same values, the same results, and nothing lost
    or done twice."""
    assert stopped.history() == wanted.history()
    assert order(stopped) == order(wanted)
    assert stopped.bits() == wanted.bits()
    assert attempts(stopped) == attempts(wanted)


def order(tuned: Tuning) -> list[int]:
    """The numbers of the trials as they ended."""
    return [t.number for t in sorted(tuned.study.trials, key=lambda t: t.datetime_complete)]


def attempts(tuned: Tuning) -> Any:
    return tuned.store.database.query(
        "select job_id, token, outcome, first_step, last_step from attempts order by job_id, token",
        limit=None,
        timeout=10,
    ).rows


@pytest.mark.parametrize("at", OF_TUNER.values(), ids=OF_TUNER)
def test_a_study_outlives_outages_at_moments_of_the_tuner(
    typed: Typed,
    server: Server,
    url: str,
    place: Place,
    undisturbed: Tuning,
    at: Mapping[Moment, int],
) -> None:
    outages = Outages(server, at)
    assert typed(url, outages) == 0
    assert outages.left == {}
    assert_alike(make(replace(place, db=url), CHANGE), undisturbed)


@pytest.mark.parametrize("at", OF_WORKER.values(), ids=OF_WORKER)
def test_a_study_outlives_outages_at_moments_of_its_jobs(
    typed: Typed,
    server: Server,
    url: str,
    place: Place,
    undisturbed: Tuning,
    monkeypatch: pytest.MonkeyPatch,
    at: Mapping[Moment, int],
) -> None:
    """Jobs are done in this process, whose moments can be seen."""
    monkeypatch.setattr(workers, "_make_executor", lambda *_: Inline())
    outages = Outages(server, at)
    assert typed(url, outages) == 0
    assert outages.left == {}
    assert_alike(make(replace(place, db=url), CHANGE), undisturbed)


def test_why_a_trial_failed_is_waited_for(
    typed: Typed, server: Server, url: str, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of one whose training was lost in an earlier launch, so that only the database knows."""
    monkeypatch.setattr(workers, "_make_executor", lambda *_: Inline())
    change = {
        "recipe": {"optimization": {"learning_rate": 1e30, "clip": None}},
        "tune": {"trials": 2},
    }
    assert typed(url, Outages(server, {}), change) == 1
    more = merged(change, {"tune": {"trials": 3}})
    outages = Outages(server, {("failures", "before"): 1})
    assert typed(url, outages, more) == 1
    assert outages.left == {}
    failed = make(replace(place, db=url), more).study.trials
    assert [t.state.name for t in failed] == ["FAIL"] * 3
    assert all("the loss was not finite" in t.user_attrs["reason"] for t in failed)
