"""`lcma tune` as it is typed."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from lcma import db
from lcma.harness.cli import main as cli
from lcma.harness.cli import tuning
from lcma.harness.place import Place
from lcma.harness.run import limits, workers
from lcma.harness.tuning.outcome import dashboard_url
from tests.harness.conftest import merged
from tests.harness.run.conftest import Inline
from tests.harness.tuning.conftest import POINTS, STOP, Tuning, content, make
from tests.stores import list_running

Typed = Callable[..., tuple[int, str, str]]
LCMA = [sys.executable, "-m", "lcma"]
ON_RAY = [pytest.mark.slow, pytest.mark.xdist_group("ray")]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder to type in."""
    made = tmp_path / "here"
    made.mkdir()
    return made


def tuned_in(folder: Path, few_root: Path, change: dict[str, Any] | None = None) -> Tuning:
    place = Place(f"sqlite:///{folder / 'lcma.db'}", folder / "lcma-runs", few_root)
    return make(place, change)


@pytest.fixture
def here(folder: Path, few_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To type in that folder, in this process, with the data prepared."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("LCMA_DATA", str(few_root))
    monkeypatch.setenv("COLUMNS", "100")


@pytest.fixture
def tune(here: None, capsys: pytest.CaptureFixture[str]) -> Typed:
    """Types the verb on a spec, changed as said; gives the exit code and what it printed."""

    def run(change: dict[str, Any], *options: str) -> tuple[int, str, str]:
        made = {name: value for name, value in content(change).items() if value is not None}
        Path("tuned.yaml").write_text(yaml.safe_dump(made))
        with pytest.raises(SystemExit) as ended:
            cli.main(["tune", "tuned.yaml", *options])
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return run


@pytest.fixture
def inline(here: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same, for what is not about workers: this process trains."""
    monkeypatch.setattr(workers, "_make_executor", lambda *_: Inline())


def test_the_verb_tunes_tells_and_goes_on(
    folder: Path, few_root: Path, inline: None, tune: Typed
) -> None:
    change = merged(STOP, {"tune": {"trials": 2}})
    code, printed, _ = tune(change, "--local")
    assert code == 0
    assert "trial 0, 0 steps: done" in printed
    assert "Study tuned" in printed
    assert "conventional" in printed
    assert f"optuna-dashboard sqlite:///{folder / 'lcma.db'}" in printed
    assert "lcma budgets --sweep tuned" in printed
    assert "low (L) is not yet (fewer than 6 seeds) told apart from conventional" in printed
    code, printed, _ = tune(change, "--local", "--trials", "3", "--json")
    assert code == 0
    told = json.loads(printed)
    assert [row["number"] for row in told["rows"]] == [None, 0, 1, 2]
    assert [row["budget"] for row in told["rows"]][:3] == [None, 0, POINTS[-1]]
    assert told["rows"][0]["name"] == "conventional"
    assert told["best"]["number"] in (0, 1, 2)
    assert len(tuned_in(folder, few_root).study.trials) == 3
    code, _, error = tune(merged(change, {"seeds": 2}), "--local")
    assert code == 2
    assert "a study 'tuned' of another spec" in error


@pytest.mark.integration
def test_the_verb_searches_patterns_and_says_how_to_judge_them(
    inline: None, tune: Typed, capsys: pytest.CaptureFixture[str]
) -> None:
    change = {"tune": {"budget": None, "trials": 20, "patterns": {"rungs": [2, 4], "count": 3}}}
    code, printed, _ = tune(change, "--local")
    assert code == 0
    assert "3 patterns at 2 steps: done, best " in printed
    finals = printed.partition("Save this as finals.yaml and launch it:\n")[2]
    Path("finals.yaml").write_text(finals.partition("\n\n")[0])
    with pytest.raises(SystemExit) as ended:
        cli.main(["plan", "finals.yaml"])
    assert ended.value.code == 0
    capsys.readouterr()
    code, printed, _ = tune(change, "--local", "--json")
    assert code == 0
    told = json.loads(printed)
    assert [rung["patterns"] for rung in told["rungs"]] == [3, 1]
    assert told["best"]["state"] == "COMPLETE"


@pytest.mark.integration
def test_seeds_of_the_command_line_are_those_of_the_search(
    inline: None, tune: Typed, capsys: pytest.CaptureFixture[str]
) -> None:
    """In place of the sweep file's, and of `tune.seeds`; by a plan too."""
    budgets = {"seeds": [0, 1, 2, 3, 4], "trials": 2}
    patterns = {"budget": None, "trials": 20, "patterns": {"rungs": [2, 4], "count": 2}}
    for own in (budgets, patterns):
        Path("tuned.yaml").write_text(yaml.safe_dump(content({"tune": own})))
        with pytest.raises(SystemExit):
            cli.main(["plan", "tuned.yaml", "--seeds", "0,1"])
        assert "by 2 seeds each" in capsys.readouterr().out
    _, printed, _ = tune({"tune": patterns}, "--local", "--json", "--seeds", "0,1")
    assert json.loads(printed)["seeds"] == [0, 1]


@pytest.mark.integration
@pytest.mark.parametrize("of", ["budgets", "patterns"])
def test_a_study_that_ends_at_its_hours_says_so(tune: Typed, of: str) -> None:
    own = {"budget": None, "trials": 20, "patterns": {"rungs": [2, 4], "count": 2}}
    own = (own if of == "patterns" else {}) | {"cost_hours": 1e-9}
    code, printed, _ = tune({"tune": own}, "--local")
    assert code == 0
    assert "Ended: the study has taken " in printed
    assert " of 1e-09 device hours that `tune.cost_hours` lets it take" in printed


@pytest.mark.integration
def test_where_something_is_lost_the_code_is_1(inline: None, tune: Typed) -> None:
    change = {"recipe": {"optimization": {"learning_rate": 1e30, "clip": None}}}
    code, printed, _ = tune(change | {"tune": {"trials": 2}}, "--local")
    assert code == 1
    assert "fail: diverged: the loss was not finite" in " ".join(printed.split())


WRONG: dict[str, tuple[list[str], dict[str, Any], str]] = {
    "no section": ([], {"tune": None}, "no section `tune`"),
    "beyond the schedule": ([], {"tune": {"stop": {"rungs": [20]}}}, "before its last step, 4"),
    "no pretraining": ([], {"tune": {"factorization": "conventional"}}, "no pretraining to tune"),
    "the data alone": ([], {"tune": {"factorization": "detail-low"}}, "no pretraining to tune"),
    "wrong length": ([], {"tune": {"factorization": "LLL"}}, "3 letters"),
    "two flows": ([], {"matrix": {"flow": ["realnvp", "glow"]}}, "a study tunes one"),
    "two sets": ([], {"matrix": {"dataset": ["few", "photos8"]}}, "a study tunes one"),
    "budgets": ([], {"matrix": {"budget": [10]}}, "stand in `tune.budget`"),
    "a word as a baseline": ([], {"matrix": {"factorization": "low"}}, "`tune.factorization`"),
    "neither": ([], {"tune": {"budget": None}}, "give one of them"),
    "both": ([], {"tune": {"patterns": {"rungs": [5]}}}, "give one of them"),
    "trials of patterns": (
        [],
        {"tune": {"budget": None, "patterns": {"rungs": [5]}}},
        "`trials` is for a search over `budget`",
    ),
    "--trials of patterns": (
        ["--trials", "6"],
        {"tune": {"budget": None, "trials": 20, "patterns": {"rungs": [5]}}},
        "`tune.patterns.count` says how many",
    ),
    "trials": (["--trials", "1"], {}, "2"),
    "both engines": (["--local", "--ray", "x:1"], {}, "exclude each other"),
    "no cluster": (["--ray", "127.0.0.1:1"], {}, "cannot reach Ray"),
}


@pytest.mark.parametrize(("options", "change", "said"), WRONG.values(), ids=WRONG)
def test_mistakes_are_refused_and_leave_no_trace(
    tune: Typed, folder: Path, options: list[str], change: dict[str, Any], said: str
) -> None:
    code, _, error = tune(change, *options)
    assert code == 2
    assert said in error
    if options != ["--trials", "1"]:  # which the parser refuses, with a line of usage
        assert error.count("\n") == 1
    assert [path.name for path in folder.iterdir()] == ["tuned.yaml"]


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.xdist_group("ray")
@pytest.mark.parametrize("options", [["--local"], []], ids=["local", "ray"])
def test_a_driver_killed_at_any_time_goes_on(
    folder: Path, tmp_path: Path, few_root: Path, options: list[str]
) -> None:
    """As a whole, with real workers; the study is that of one left alone."""
    change = {
        "recipe": {"training": {"steps": 200}},
        "tune": {"stop": {"rungs": [50, 100], "startup": 1}, "cost_weight": 100.0, "trials": 5},
    }
    (folder / "tuned.yaml").write_text(yaml.safe_dump(content(change)))
    environment = {**os.environ, "LCMA_DATA": str(few_root)}
    chance = random.Random(0)
    for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGKILL, None):
        process = subprocess.Popen(
            [*LCMA, "tune", "tuned.yaml", *options],
            cwd=folder,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        if number is not None:
            time.sleep(chance.uniform(8, 20))
            process.send_signal(number)
        code = process.wait(timeout=600)
    assert code == 0
    killed = tuned_in(folder, few_root, change)
    other = tmp_path / "other"
    other.mkdir()
    alone = tuned_in(other, few_root, change)
    alone.run()
    assert {row[2] for row in killed.history()} <= {"COMPLETE", "PRUNED"}
    assert killed.history() == alone.history()
    assert killed.bits() == alone.bits()


@pytest.mark.integration
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("engine", "limit"),
    [
        ("--local", "--max-device-hours"),
        pytest.param("--local", "--max-hours", marks=pytest.mark.slow),
        pytest.param("", "--max-device-hours", marks=ON_RAY),
        pytest.param("", "--max-hours", marks=ON_RAY),
    ],
)
def test_at_a_limit_of_hours_the_code_is_4_and_the_next_goes_on(
    folder: Path,
    few_root: Path,
    tune: Typed,
    monkeypatch: pytest.MonkeyPatch,
    engine: str,
    limit: str,
) -> None:
    """Whatever runs writes a checkpoint, and the same command goes on from there."""
    # Looks and heartbeats come often, so that workers hear of the end soon.
    monkeypatch.setattr(limits, "LOOK_SECONDS", 0.1)
    monkeypatch.setattr(tuning, "TuneCommand", partial(tuning.TuneCommand, lease_seconds=2.0))
    change = {"recipe": {"training": {"steps": 100_000}}, "seeds": 2}
    options = [*engine.split(), limit, "0.0001"]
    code, printed, _ = tune(change, *options)
    assert code == 4
    kind = "h by the wall" if limit == "--max-hours" else "device hours"
    assert f"At most 0.0001 {kind}" in printed
    assert "Ended in good order: the launch " in printed
    assert f"Go on with: lcma tune tuned.yaml {' '.join(options)}\n" in printed
    tuned = tuned_in(folder, few_root, change)
    assert list_running(tuned.store) == []
    before = tuned.store.view("attempts")
    if limit == "--max-hours":  # it may be over before any worker has begun
        assert set(before.outcome) <= {"cancelled"}
        return
    assert set(before.outcome) == {"cancelled"}
    assert tune(change, *options)[0] == 4
    after = tuned.store.view("attempts")
    again = after[~after.id.isin(before.id)]
    assert len(again), "it has hours of its own"
    reached = before.groupby("job_id").last_step.max()
    assert all(row.first_step == reached.get(row.job_id, 0) for row in again.itertuples())


@pytest.mark.integration
def test_a_search_that_a_limit_ends_in_its_first_rung_says_how_to_go_on(
    tune: Typed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "LOOK_SECONDS", 0.1)
    monkeypatch.setattr(tuning, "TuneCommand", partial(tuning.TuneCommand, lease_seconds=2.0))
    patterns = {"rungs": [100_000, 200_000], "count": 2}
    change = {"tune": {"budget": None, "trials": 20, "patterns": patterns}}
    code, printed, _ = tune(change, "--local", "--max-device-hours", "0.0001")
    assert code == 4
    assert "Go on with: lcma tune tuned.yaml --local" in printed


@pytest.mark.integration
@pytest.mark.parametrize("of", ["budgets", "patterns"])
def test_a_tuner_that_was_stopped_ends_its_trainings_and_says_how_to_go_on(
    folder: Path, few_root: Path, tune: Typed, of: str
) -> None:
    """They end where they are, as those of a launch do, and do not go on to their last step."""
    search = {"budget": None, "trials": 20, "patterns": {"rungs": [2000, 4000], "count": 2}}
    change = {"recipe": {"training": {"steps": 2000}}}
    change |= {"tune": search} if of == "patterns" else {}
    Path("lcma.db").touch()
    tuned = tuned_in(folder, few_root, change)

    def stop() -> None:
        store = tuned.store
        while not list_running(store):
            time.sleep(0.1)
        store.request_stop(None, by="somebody")

    stopping = threading.Thread(target=stop)
    stopping.start()
    code, printed, _ = tune(change, "--local")
    stopping.join()
    assert code == 3
    assert "Stopped: asked to stop by somebody" in printed
    assert "Go on with: lcma tune tuned.yaml --local" in printed
    assert list_running(tuned.store) == []
    assert set(tuned.store.view("attempts").outcome) == {"cancelled"}


@pytest.mark.parametrize("hours", ["0", "nan"])
def test_a_limit_is_a_number_of_hours(hours: str, folder: Path, tune: Typed) -> None:
    code, _, error = tune({}, "--local", "--max-hours", hours)
    assert code == 2
    assert f"--max-hours {hours}: give a number of hours above 0" in error
    assert [path.name for path in folder.iterdir()] == ["tuned.yaml"]


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://me:secret@host:5433/results", "postgresql+psycopg://me@host:5433/results"),
        (
            "postgresql://me@host/results?password=secret&sslmode=require",
            "postgresql+psycopg://me@host/results?sslmode=require",
        ),
    ],
)
def test_no_password_is_shown(url: str, shown: str) -> None:
    assert dashboard_url(db.Store(db.locate(url))) == shown
