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

from lcma.harness.cli import main as cli
from lcma.harness.cli import tuning
from lcma.harness.place import Place
from lcma.harness.run import limits, workers
from tests.harness.conftest import merged
from tests.harness.run.conftest import Inline
from tests.harness.tuning.conftest import POINTS, STOP, Tuning, content, make

LCMA = [sys.executable, "-m", "lcma"]
ON_RAY = [pytest.mark.slow, pytest.mark.xdist_group("ray")]
Typed = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder to type in."""
    made = tmp_path / "here"
    made.mkdir()
    return made


@pytest.fixture
def typed(folder: Path, few_root: Path) -> Typed:
    """Runs the verb on a spec, changed as said, with the data prepared."""

    def run(
        *options: str, change: dict[str, Any] | None = None, **more: Any
    ) -> subprocess.CompletedProcess[str]:
        (folder / "tuned.yaml").write_text(yaml.safe_dump(content(change)))
        environment = {**os.environ, "LCMA_DATA": str(few_root), "COLUMNS": "100"}
        return subprocess.run(
            [*LCMA, "tune", "tuned.yaml", *options],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            **more,
        )

    return run


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
def inline(here: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same, for what is not about workers: this process trains."""
    monkeypatch.setattr(workers, "_make_executor", lambda *_: Inline())


def test_the_verb_tunes_tells_and_goes_on(
    folder: Path, few_root: Path, inline: None, capsys: pytest.CaptureFixture[str]
) -> None:
    change = merged(STOP, {"tune": {"trials": 2}})
    Path("tuned.yaml").write_text(yaml.safe_dump(content(change)))
    with pytest.raises(SystemExit) as ended:
        cli.main(["tune", "tuned.yaml", "--local"])
    assert ended.value.code == 0
    printed = capsys.readouterr().out
    assert "trial 0, 0 steps: done" in printed
    assert "Study tuned" in printed
    assert "conventional" in printed
    assert f"optuna-dashboard sqlite:///{folder / 'lcma.db'}" in printed
    assert "lcma budgets --sweep tuned" in printed
    assert "low (L) is not yet (fewer than 6 seeds) told apart from conventional" in printed
    with pytest.raises(SystemExit) as ended:
        cli.main(["tune", "tuned.yaml", "--local", "--trials", "3", "--json"])
    assert ended.value.code == 0
    told = json.loads(capsys.readouterr().out)
    assert [row["number"] for row in told["rows"]] == [None, 0, 1, 2]
    assert [row["budget"] for row in told["rows"]][:3] == [None, 0, POINTS[-1]]
    assert told["rows"][0]["name"] == "conventional"
    assert told["best"]["number"] in (0, 1, 2)
    assert len(tuned_in(folder, few_root).study.trials) == 3
    Path("tuned.yaml").write_text(yaml.safe_dump(content(merged(change, {"seeds": 2}))))
    with pytest.raises(SystemExit) as ended:
        cli.main(["tune", "tuned.yaml", "--local"])
    assert ended.value.code == 2
    assert "a study 'tuned' of another spec" in capsys.readouterr().err


@pytest.mark.integration
def test_the_verb_searches_patterns_and_says_how_to_judge_them(
    inline: None, capsys: pytest.CaptureFixture[str]
) -> None:
    change = {"tune": {"budget": None, "trials": 20, "patterns": {"rungs": [2, 4], "count": 3}}}
    Path("tuned.yaml").write_text(yaml.safe_dump(content(change)))
    with pytest.raises(SystemExit) as ended:
        cli.main(["tune", "tuned.yaml", "--local"])
    assert ended.value.code == 0
    printed = capsys.readouterr().out
    assert "3 patterns at 2 steps: done, best " in printed
    finals = printed.partition("Save this as finals.yaml and launch it:\n")[2]
    Path("finals.yaml").write_text(finals.partition("\n\n")[0])
    with pytest.raises(SystemExit) as ended:
        cli.main(["plan", "finals.yaml"])
    assert ended.value.code == 0
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        cli.main(["tune", "tuned.yaml", "--local", "--json"])
    assert ended.value.code == 0
    told = json.loads(capsys.readouterr().out)
    assert [rung["patterns"] for rung in told["rungs"]] == [3, 1]
    assert told["best"]["state"] == "COMPLETE"


@pytest.mark.integration
def test_seeds_of_the_command_line_are_those_of_the_search(
    inline: None, capsys: pytest.CaptureFixture[str]
) -> None:
    """In place of the sweep file's, and of `tune.seeds`; by a plan too."""
    budgets = {"seeds": [0, 1, 2, 3, 4], "trials": 2}
    patterns = {"budget": None, "trials": 20, "patterns": {"rungs": [2, 4], "count": 2}}
    for tune in (budgets, patterns):
        Path("tuned.yaml").write_text(yaml.safe_dump(content({"tune": tune})))
        with pytest.raises(SystemExit):
            cli.main(["plan", "tuned.yaml", "--seeds", "0,1"])
        assert "by 2 seeds each" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        cli.main(["tune", "tuned.yaml", "--local", "--json", "--seeds", "0,1"])
    assert json.loads(capsys.readouterr().out)["seeds"] == [0, 1]


@pytest.mark.integration
@pytest.mark.parametrize("of", ["budgets", "patterns"])
def test_a_study_that_ends_at_its_hours_says_so(
    here: None, capsys: pytest.CaptureFixture[str], of: str
) -> None:
    tune = {"budget": None, "trials": 20, "patterns": {"rungs": [2, 4], "count": 2}}
    tune = (tune if of == "patterns" else {}) | {"cost_hours": 1e-9}
    Path("tuned.yaml").write_text(yaml.safe_dump(content({"tune": tune})))
    with pytest.raises(SystemExit) as ended:
        cli.main(["tune", "tuned.yaml", "--local"])
    assert ended.value.code == 0
    printed = capsys.readouterr().out
    assert "Ended: the study has taken " in printed
    assert " of 1e-09 device hours that `tune.cost_hours` lets it take" in printed


@pytest.mark.slow
def test_where_something_is_lost_the_code_is_1(typed: Typed) -> None:
    change = {"recipe": {"optimization": {"learning_rate": 1e30, "clip": None}}}
    done = typed("--local", change=merged(change, {"tune": {"trials": 2}}))
    assert done.returncode == 1, done.stderr
    assert "fail: diverged: the loss was not finite" in " ".join(done.stdout.split())


WRONG: dict[str, tuple[list[str], dict[str, Any], str]] = {
    "no section": ([], {"tune": None}, "no section `tune`"),
    "empty range": ([], {"tune": {"budget": {"low": 15}}}, "the range from 15 to 15 is empty"),
    "reversed range": ([], {"tune": {"budget": {"low": 100}}}, "give low below high"),
    "beyond the schedule": ([], {"tune": {"stop": {"rungs": [20]}}}, "before its last step, 4"),
    "beyond the grid": ([], {"tune": {"budget": {"high": 10**8}}}, "beyond the end of the grid"),
    "sampler": ([], {"tune": {"sampler": "cma"}}, "'tpe', 'gp' or 'grid'"),
    "objective": ([], {"tune": {"objective": "cost"}}, "'weighted' or 'pareto'"),
    "stop and pareto": (
        [],
        {"tune": {"stop": {"rungs": [10]}, "objective": "pareto"}},
        "no early stopping for several objectives",
    ),
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
    "rungs in disorder": (
        [],
        {"tune": {"budget": None, "trials": 20, "patterns": {"rungs": [9, 5]}}},
        "ascending order",
    ),
    "trials": (["--trials", "1"], {}, "2"),
    "both engines": (["--local", "--ray", "x:1"], {}, "exclude each other"),
    "no cluster": (["--ray", "127.0.0.1:1"], {}, "cannot reach Ray"),
}


@pytest.mark.parametrize(("options", "change", "said"), WRONG.values(), ids=WRONG)
def test_mistakes_are_refused_and_leave_no_trace(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    folder: Path,
    few_root: Path,
    options: list[str],
    change: dict[str, Any],
    said: str,
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("LCMA_DATA", str(few_root))
    made = content(change)
    if made["tune"] is None:
        del made["tune"]
    (folder / "tuned.yaml").write_text(yaml.safe_dump(made))
    with pytest.raises(SystemExit) as ended:
        cli.main(["tune", "tuned.yaml", *options])
    assert ended.value.code == 2
    printed = capsys.readouterr()
    assert said in printed.err
    if options != ["--trials", "1"]:  # which the parser refuses, with a line of usage
        assert printed.err.count("\n") == 1
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
    here: None,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    engine: str,
    limit: str,
) -> None:
    """Whatever runs writes a checkpoint, and the same command goes on from there."""
    # Looks and heartbeats come often, so that workers hear of the end soon.
    monkeypatch.setattr(limits, "LOOK_SECONDS", 0.1)
    monkeypatch.setattr(tuning, "TuneCommand", partial(tuning.TuneCommand, lease_seconds=2.0))
    change = {"recipe": {"training": {"steps": 100_000}}, "seeds": 2}
    Path("tuned.yaml").write_text(yaml.safe_dump(content(change)))
    options = [*engine.split(), limit, "0.0001"]

    def tune() -> str:
        with pytest.raises(SystemExit) as ended:
            cli.main(["tune", "tuned.yaml", *options])
        assert ended.value.code == 4
        return capsys.readouterr().out

    printed = tune()
    kind = "h by the wall" if limit == "--max-hours" else "device hours"
    assert f"At most 0.0001 {kind}" in printed
    assert "Ended in good order: the launch " in printed
    assert f"Go on with: lcma tune tuned.yaml {' '.join(options)}\n" in printed
    tuned = tuned_in(folder, few_root, change)
    assert tuned.store.running_jobs() == []
    before = tuned.store.attempts()
    if limit == "--max-hours":  # it may be over before any worker has begun
        assert set(before.outcome) <= {"cancelled"}
        return
    assert set(before.outcome) == {"cancelled"}
    tune()
    after = tuned.store.attempts()
    again = after[~after.id.isin(before.id)]
    assert len(again), "it has hours of its own"
    reached = before.groupby("job_id").last_step.max()
    assert all(row.first_step == reached.get(row.job_id, 0) for row in again.itertuples())


@pytest.mark.integration
def test_a_search_that_a_limit_ends_in_its_first_rung_says_how_to_go_on(
    here: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "LOOK_SECONDS", 0.1)
    monkeypatch.setattr(tuning, "TuneCommand", partial(tuning.TuneCommand, lease_seconds=2.0))
    patterns = {"rungs": [100_000, 200_000], "count": 2}
    change = {"tune": {"budget": None, "trials": 20, "patterns": patterns}}
    Path("tuned.yaml").write_text(yaml.safe_dump(content(change)))
    with pytest.raises(SystemExit) as ended:
        cli.main(["tune", "tuned.yaml", "--local", "--max-device-hours", "0.0001"])
    assert ended.value.code == 4
    assert "Go on with: lcma tune tuned.yaml --local" in capsys.readouterr().out


@pytest.mark.integration
@pytest.mark.parametrize("of", ["budgets", "patterns"])
def test_a_tuner_that_was_stopped_ends_its_trainings_and_says_how_to_go_on(
    folder: Path, few_root: Path, here: None, capsys: pytest.CaptureFixture[str], of: str
) -> None:
    """They end where they are, as those of a launch do, and do not go on to their last step."""
    search = {"budget": None, "trials": 20, "patterns": {"rungs": [2000, 4000], "count": 2}}
    change = {"recipe": {"training": {"steps": 2000}}}
    change |= {"tune": search} if of == "patterns" else {}
    Path("tuned.yaml").write_text(yaml.safe_dump(content(change)))
    Path("lcma.db").touch()
    tuned = tuned_in(folder, few_root, change)

    def stop() -> None:
        store = tuned.store
        while not store.running_jobs():
            time.sleep(0.1)
        store.request_stop(None, by="somebody")

    stopping = threading.Thread(target=stop)
    stopping.start()
    with pytest.raises(SystemExit) as ended:
        cli.main(["tune", "tuned.yaml", "--local"])
    stopping.join()
    assert ended.value.code == 3
    printed = capsys.readouterr().out
    assert "Stopped: asked to stop by somebody" in printed
    assert "Go on with: lcma tune tuned.yaml --local" in printed
    assert tuned.store.running_jobs() == []
    assert set(tuned.store.attempts().outcome) == {"cancelled"}


@pytest.mark.parametrize("hours", ["0", "-1", "inf", "nan"])
def test_a_limit_is_a_number_of_hours(
    hours: str, folder: Path, here: None, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("tuned.yaml").write_text(yaml.safe_dump(content()))
    with pytest.raises(SystemExit) as ended:
        cli.main(["tune", "tuned.yaml", "--local", "--max-hours", hours])
    assert ended.value.code == 2
    assert f"--max-hours {hours}: give a number of hours above 0" in capsys.readouterr().err
    assert [path.name for path in folder.iterdir()] == ["tuned.yaml"]


@pytest.mark.slow
def test_lcma_stop_ends_a_tuner(folder: Path, few_root: Path) -> None:
    change = {"recipe": {"training": {"steps": 100_000}}}
    (folder / "tuned.yaml").write_text(yaml.safe_dump(content(change)))
    environment = {**os.environ, "LCMA_DATA": str(few_root)}
    process = subprocess.Popen(
        [*LCMA, "tune", "tuned.yaml", "--local"],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    tuned = tuned_in(folder, few_root, change)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        time.sleep(1)
        if (folder / "lcma.db").exists() and tuned.store.running_jobs():
            break
    subprocess.run([*LCMA, "stop", "tuned"], cwd=folder, env=environment, check=True)
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 3
    assert "lcma tune tuned.yaml --local" in out
    assert tuned.store.running_jobs() == []
