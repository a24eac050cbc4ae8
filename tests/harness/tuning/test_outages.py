"""A study whose PostgreSQL server is stopped at any moment of the tuner's, and started again two
seconds later, is the study left alone."""

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from db import Store
from harness import moments
from harness.cli import main as cli
from harness.cli import workers
from harness.moments import TUNER, When
from harness.place import Place
from harness.tuning import outcome
from harness.tuning.study import Study
from tests.conftest import Postgres
from tests.harness.run.conftest import Inline, Server, stoppable
from tests.harness.tuning.conftest import Tuning, content, make

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning"),
]

Moment = tuple[str, When]
Typed = Callable[..., int]

CHANGE = {"tune": {"stop": {"rungs": [10], "startup": 1}, "cost_weight": 3e3, "trials": 5}}

AWAY_SECONDS = 2.0

CALLS: Mapping[str, tuple[Any, str]] = {
    "open": (Study, "_opened"),
    "register": (Store, "register"),
    "begin": (Store, "begin_launch"),
    "turn": (Study, "_take"),
    "claim": (Store, "claim"),
    "finish": (Store, "finish"),
    "outcome": (outcome, "read"),
    "read": (Study, "read"),
}
"""What the tuner and its workers do at the database that is no moment of `harness.moments`: a turn
ends after a trial was taken, and the outcome is read in several transactions."""

OF_TUNER: Mapping[Moment, int] = {
    ("open", "before"): 1,
    ("open", "after"): 1,
    ("register", "before"): 1,
    ("begin", "before"): 1,
    ("register", "after"): 2,
    **{(name, "before"): 2 for name in TUNER},
    ("turn", "after"): 2,
    ("submit", "before"): 3,
    ("outcome", "before"): 1,
    ("read", "after"): 1,
}
"""When it is stopped, and the how manyth time that the moment comes."""

OF_WORKER: Mapping[Moment, int] = {
    ("claim", "before"): 4,
    ("claim", "after"): 4,
    ("spool-end", "after"): 4,
    ("finish", "after"): 4,
}


class Outages:
    """Stops a server at each of the moments, and has it started a little later."""

    def __init__(self, server: Server, at: Mapping[Moment, int]) -> None:
        self.server, self.left = server, dict(at)
        self._back = threading.Thread()
        self._lock = threading.Lock()

    def __call__(self, name: str, when: When) -> None:
        with self._lock:
            left = self.left.get((name, when), 0) - 1
            if left > 0:
                self.left[name, when] = left
            if left == 0:
                del self.left[name, when]
                self.wait()
                self.server.off()
                self._back = threading.Timer(AWAY_SECONDS, self.server.on)
                self._back.start()

    def wait(self) -> None:
        """Until the server is back."""
        if self._back.ident is not None:
            self._back.join()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with stoppable() as made:
        yield made


@pytest.fixture
def url(server: Server) -> str:
    """An empty database on the server."""
    postgres = Postgres(server.url, own=True)
    name = postgres.make()
    postgres.close()
    return postgres.url(name)


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
    monkeypatch.setattr("harness.tuning.study.HOLD_SECONDS", 1.0)  # so that it holds on meanwhile
    (in_tmp / "tuned.yaml").write_text(yaml.safe_dump(content(CHANGE)))
    for name, (owner, attribute) in CALLS.items():
        monkeypatch.setattr(owner, attribute, passing(name, getattr(owner, attribute)))

    def run(url: str, outages: Outages) -> int:
        moments.install(outages)
        try:
            cli.main(["tune", "tuned.yaml", "--local", "--db", url])
        except SystemExit as end:
            return int(end.code or 0)
        finally:
            moments.install(None)
            outages.wait()
        return 0

    return run


def passing(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
    """The same call, inside a moment."""

    def passes(*arguments: Any, **named: Any) -> Any:
        with moments.around(name):
            return call(*arguments, **named)

    return passes


def assert_alike(stopped: Tuning, wanted: Tuning) -> None:
    """The same trials with the same values, the same results, and nothing lost or done twice."""
    assert stopped.history() == wanted.history()
    assert stopped.bits() == wanted.bits()
    assert attempts(stopped) == attempts(wanted)


def attempts(tuned: Tuning) -> Any:
    return tuned.store.database.query(
        "select job_id, token, outcome, first_step, last_step from attempts order by job_id, token",
        limit=None,
        timeout=10,
    ).rows


def ids(moment: Moment) -> str:
    return "-".join(moment)


@pytest.mark.parametrize("moment", OF_TUNER, ids=ids)
def test_a_study_goes_on_after_the_server_was_stopped_at_a_moment(
    typed: Typed, server: Server, url: str, place: Place, undisturbed: Tuning, moment: Moment
) -> None:
    outages = Outages(server, {moment: OF_TUNER[moment]})
    assert typed(url, outages) == 0
    assert outages.left == {}
    assert_alike(make(replace(place, db=url), CHANGE), undisturbed)


@pytest.mark.parametrize("moment", OF_WORKER, ids=ids)
def test_and_after_it_was_stopped_at_a_moment_of_a_job(
    typed: Typed,
    server: Server,
    url: str,
    place: Place,
    undisturbed: Tuning,
    monkeypatch: pytest.MonkeyPatch,
    moment: Moment,
) -> None:
    """Jobs are done in this process, where it can be seen how far they are."""
    monkeypatch.setattr(workers, "_executor", lambda *_: Inline())
    outages = Outages(server, {moment: OF_WORKER[moment]})
    assert typed(url, outages) == 0
    assert outages.left == {}
    assert_alike(make(replace(place, db=url), CHANGE), undisturbed)
