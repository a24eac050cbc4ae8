"""`import lcma` in a notebook or a script."""

import json
import math
import re
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import lcma
from lcma.harness.show import pictures
from tests.harness.cli.conftest import run_lcma
from tests.harness.conftest import few_photos_root as few_photos_root
from tests.processes import ROOT

DOCUMENT = ROOT / "docs" / "python.md"
NOTEBOOK = json.loads(DOCUMENT.with_suffix(".ipynb").read_text())
CELLS = [cell for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]
LAYERS = {"width": 4, "checkerboard_couplings": 1, "channel_couplings": 1, "last_couplings": 1}


@pytest.fixture(scope="module")
def notebook(
    tmp_path_factory: pytest.TempPathFactory, few_photos_root: Path
) -> Iterator[dict[str, Any]]:
    """The global names after all examples of the page, with a smaller flow and one worker."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("notebook"))
        for name in ("LCMA_DB", "LCMA_RUNS"):
            patch.delenv(name, raising=False)
        patch.setenv("LCMA_DATA", str(few_photos_root))
        events, launch = list[lcma.Progress](), lcma.launch

        def record_launch(*arguments: Any, progress: Any, **options: Any) -> lcma.LaunchReport:
            def record(event: lcma.Progress) -> None:
                events.append(event)
                progress(event)

            # A second worker would take longer to start than it has work.
            return launch(*arguments, progress=record, parallel=1, **options)

        names: dict[str, Any] = {"__name__": "notebook", "events": events}
        smaller = f'"model": {{"architecture": {LAYERS}}}, "optimization": {{"batch": 8}}'
        text = DOCUMENT.read_text().replace('"recipe": {', f'"recipe": {{{smaller}, ')
        examples = re.findall(r"```python\n(.*?)```", text, re.S)
        assert len(examples) >= 5
        with pytest.MonkeyPatch.context() as watching:
            watching.setattr(lcma, "launch", record_launch)
            for number, example in enumerate(examples):
                exec(compile(example, f"{DOCUMENT.name}, example {number + 1}", "exec"), names)
        yield names


def test_the_examples_launch_read_and_load(notebook: dict[str, Any]) -> None:
    report = notebook["report"]
    assert (report.lost, len(report.reports)) == (0, 6)
    assert re.fullmatch(r"<sweep first [0-9a-f]{8}: 6 done>", repr(report))
    assert repr(notebook["plan"]) == "<plan of first: 4 new>"
    assert len(notebook["frame"]) == len(notebook["results"]) == 4
    assert [m.values.shape for m in notebook["maps"]] == [(3, 8, 8)] * 2
    assert notebook["recipe"].model.architecture.width == LAYERS["width"]
    assert tuple(notebook["images"].shape) == (4, 3, 8, 8)


def test_a_board_shows_itself_and_is_a_data_frame(notebook: dict[str, Any]) -> None:
    board = notebook["board"]
    assert repr(board) == "<board of 2 rows in 1 table: .to_pandas()>"
    html = board._repr_html_()
    assert html.count("<tr>") == 3
    assert "Bars: full-gaussian" in html
    assert "low (LL)" in html
    frame = board.to_pandas()
    rows = frame[~frame["label"].str.startswith("bar: ")]
    assert list(rows["label"]) == [row.label for row in board.results.groups[0].rows]
    rows = lcma.board("lcma.db", factorization="low").results.groups[0].rows
    assert [row.label for row in rows if not row.reference] == ["low (LL)"]


def test_verdicts_show_themselves_and_are_a_data_frame(notebook: dict[str, Any]) -> None:
    verdicts = notebook["verdicts"]
    frame = verdicts.to_pandas()
    assert repr(verdicts).startswith(f"<{len(frame)} verdicts: ")
    assert set(frame["flow"]) == {"glow"}
    assert (frame["budget"].dtype, frame["n"].dtype) == ("Int64", "Int64")
    claim = frame[(frame["claim"] == "low-random-local") & (frame["steps"] == 1200)].iloc[0]
    assert (claim["decision"], claim["high"] < 0, claim["n"] >= 12) == ("supported", True, True)
    assert verdicts._repr_html_().count("<tr>") == 1 + len(frame)
    frame = lcma.verdicts("lcma.db").to_pandas()
    assert set(frame["decision"]) == {"undecided"}, "of two seeds"


@pytest.mark.integration
def test_budgets_are_those_of_the_command(
    notebook: dict[str, Any],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pictures, "draw_budgets", lambda *_: tmp_path)
    curves = notebook["curves"]
    frame = curves.to_pandas()
    key = ["--flow", "realnvp", "--dataset", "cifar10-16", "--factorization", "low"]
    assert run_lcma("budgets", "--db", "reference", "--json", "--out", tmp_path, *key) == 0
    records = json.loads(capsys.readouterr().out)
    budgets = sum(len(record["rows"]) for record in records)
    assert repr(curves) == f"<{len(records)} curves of {budgets} budgets: .to_pandas()>"
    assert len(frame) == budgets + sum(record["conventional"] is not None for record in records)
    for record in records:
        rows = frame[frame["recipe_id"] == record["key"]["recipe_id"]]
        rows = rows[rows["map_options"].isna() == (record["key"]["map_options"] is None)]
        for row in record["rows"]:
            (of_budget,) = rows[rows["budget"].eq(row["budget"]).fillna(False)].to_dict("records")
            names = ("holdout", "deviation", "test", "seconds", "images", "on_front")
            expected = {name: row[name] for name in names}
            expected["from_conventional_mean"] = (row["from_conventional"] or {}).get("mean")
            for name, value in expected.items():
                actual = of_budget[name]
                assert actual == value or (value is None and pd.isna(actual)), name
    assert frame["smallest_enough"].sum() == 1, "1500 steps of the usual recipe"
    html = curves._repr_html_()
    assert all(html.count(escape(record["answer"])) >= 1 for record in records)
    curves = lcma.budgets("lcma.db", sweep="first")
    assert list(curves.to_pandas()["budget"].fillna(-1)) == [10, -1]


def test_results_are_chosen_by_the_names_of_a_sweep(notebook: dict[str, Any]) -> None:
    assert len(lcma.results(Path("lcma.db"))) == 4
    low = lcma.results("lcma.db", sweep="first", factorization="low", seed=1)
    assert list(zip(low["factorization"], low["seed"], strict=True)) == [("LL", 1)]
    conventional = lcma.results("lcma.db", factorization="conventional")
    assert set(conventional["factorization"]) == {"checkerboard-even"}
    assert len(lcma.results("lcma.db", factorization=["checkerboard", "LL"])) == 4
    assert len(lcma.board("lcma.db", flow=("glow", "realnvp"))) == 2


ALL = (lcma.results, lcma.board, lcma.verdicts, lcma.budgets)
NO_FILTERS: list[tuple[tuple[Any, ...], dict[str, Any], str]] = [
    (ALL, {"flow": ()}, r"^flow=\(\) is not a filter: give a value"),
    (ALL, {"flow": "glow"}, "no results with flow=glow: there are realnvp"),
    (ALL[:2], {"factorization": ()}, r"^factorization=\(\) is not a filter: give a value"),
    (ALL[:1], {"factorization": "high"}, "no results of high here: there are LL, checkerboard-eve"),
    (ALL[:2], {"factorization": "hihg"}, "unknown factorization"),
    (ALL[:1], {"sweeps": "first"}, "no column 'sweeps'"),
    ((lcma.results, lcma.budgets), {"sweep": "second"}, "no sweep 'second'"),
    (ALL[3:], {"margin": -1.0}, "^margin=-1 is not a margin"),
    (ALL[2:], {"by": "looks"}, "'looks'"),
]


@pytest.mark.parametrize(("readers", "options", "words"), NO_FILTERS)
@pytest.mark.usefixtures("notebook")
def test_wrong_filters_are_one_line(
    readers: tuple[Any, ...], options: dict[str, Any], words: str
) -> None:
    for read in readers:
        with pytest.raises(lcma.UserError, match=words):
            read("lcma.db", **options)


@pytest.mark.integration
def test_progress_counts_a_job_with_the_message_of_its_end(notebook: dict[str, Any]) -> None:
    events = notebook["events"]
    done = [event.ended for event in events if event.message.startswith("done ")]
    assert done == [1, 2, 3, 4, 5, 6]
    assert {event.total for event in events if event.ended} == {6}


def test_a_plan_takes_the_overrides_of_the_command() -> None:
    plan = lcma.plan("demo", factorization=["low", "random"], budget=20, seeds=2, dataset="photos8")
    frame = plan.to_pandas()
    assert set(frame["factorization"]) == {"low", "random"}
    assert set(frame["budget"].dropna()) == {20}
    matrix = {"flow": "realnvp", "dataset": "photos8", "factorization": "low"}
    demo = {"name": "own", "matrix": matrix | {"budget": np.array([10, 20])}}
    numbers = {"recipe": {"training": {"steps": np.int64(30)}}, "seeds": np.arange(2)}
    assert len(lcma.plan(demo | numbers).to_pandas()) == 4
    frame = lcma.plan("demo", steps=np.int64(30), seeds=np.int32(1), budget=np.int8(20)).to_pandas()
    assert set(frame["seed"]) == {0}
    for number in (0, 10**10):
        with pytest.raises(lcma.UserError, match="arguments: `seeds`: a number of seeds"):
            lcma.plan("demo", seeds=number)
    with pytest.raises(lcma.UserError, match="no option 'seed': did you mean 'seeds'"):
        lcma.plan("demo", seed=2)
    with pytest.raises(lcma.UserError, match=r"^arguments: `matrix.dataset`: unknown .*'photo'"):
        lcma.plan("demo", dataset="photo")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"spec": "demmo"}, "demo"),
        ({"spec": {"name": "x"}}, "matrix"),
        ({"local": True, "ray": "here:1"}, "exclude each other"),
        ({"steps": -1}, "steps"),
        ({"gpus": 2.0}, "--gpus 2: give a number from 0 to 1"),
        ({"parallel": 0}, "--parallel 0: give a whole number from 1"),
        ({"parallel": 1.5}, "--parallel 1.5: give a whole number from 1"),
        ({"local": "yes"}, "--local 'yes': give True or False"),
        ({"max_hours": math.nan}, "--max-hours nan: give a number of hours above 0"),
    ],
)
def test_a_mistake_is_reported_before_anything_is_changed(
    in_tmp: Path, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(lcma.UserError, match=words):
        lcma.launch(**({"spec": "demo"} | options))
    assert not list(in_tmp.iterdir())


def test_a_second_launch_runs_nothing_and_writes_the_curves(notebook: dict[str, Any]) -> None:
    report = lcma.launch(notebook["sweep"], "lcma.db", local=True, tensorboard="curves")
    assert len(list(Path("curves").rglob("*tfevents*"))) == 6
    assert report.sweep_id == notebook["report"].sweep_id
    assert (report.reports, report.lost) == ({}, 0)
    assert "nothing was left to run" in repr(report)
    plan = lcma.plan(notebook["sweep"], "lcma.db", steps=30)
    assert list(plan.to_pandas()["status"]) == ["new"] * 4, "other trials, of another length"
    assert "<td>new</td>" in plan._repr_html_()


def test_a_store_opened_for_reading_changes_nothing(notebook: dict[str, Any]) -> None:
    with lcma.connect("lcma.db") as store:
        with pytest.raises(lcma.UserError, match="write=True"):
            store.retry([])
        with pytest.raises(lcma.UserError, match="write=True"):
            lcma.launch(notebook["sweep"], store, local=True)
        with pytest.raises(lcma.UserError):
            store.sql("DELETE FROM attempts")
        assert len(store.sql("SELECT * FROM results", limit=3)) == 3


def test_the_notebook_was_run_from_top_to_bottom() -> None:
    assert [cell["execution_count"] for cell in CELLS] == list(range(1, len(CELLS) + 1))
    outputs = [output for cell in CELLS for output in cell["outputs"]]
    assert {output["output_type"] for output in outputs} == {"stream", "execute_result"}


@pytest.mark.slow
def test_the_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "notebook"}
    for number, cell in enumerate(CELLS):
        exec(compile("".join(cell["source"]), f"cell {number + 1}", "exec"), names)
    assert names["report"].lost == 0
    assert tuple(names["images"].shape) == (8, 3, 8, 8)


def test_reading_makes_no_database(tmp_path: Path) -> None:
    with pytest.raises(lcma.UserError, match="lcma launch"):
        lcma.connect(tmp_path / "none.db")
    assert not list(tmp_path.iterdir())
    with lcma.connect(tmp_path / "made.db", write=True) as store:
        assert store.sweeps() == []
    assert repr(lcma.board(str(tmp_path / "made.db"))).startswith("<board of 0 rows")
    for read in (lcma.results, lcma.board):
        with pytest.raises(lcma.UserError, match="give sweep="):
            read(str(tmp_path / "made.db"), sweep_id="demo")


def test_every_public_name_is_there_and_documented() -> None:
    for name in lcma.__all__:
        assert getattr(lcma, name).__doc__, name
    line = "- `max_hours`: End the launch after this many hours by the clock."
    assert line in str(lcma.launch.__doc__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        lcma.nothing  # noqa: B018
    assert re.fullmatch(r"\d+\.\d+.*", lcma.__version__)


def test_hours_that_are_used_up_end_a_launch_with_a_public_error(
    tmp_path: Path, few_photos_root: Path
) -> None:
    matrix = {"flow": "realnvp", "dataset": "photos8", "factorization": "conventional"}
    sweep = {"name": "late", "matrix": matrix, "recipe": {"training": {"steps": 20}}}
    places = {"store": tmp_path / "lcma.db", "runs": tmp_path / "runs", "data": few_photos_root}
    with pytest.raises(lcma.LimitReachedError):
        lcma.launch(sweep, **places, local=True, max_hours=1e-9)


@pytest.mark.slow
def test_a_launch_that_loses_jobs_reports_them_and_its_command_fails(
    tmp_path: Path,
    few_photos_root: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LCMA_DATA", str(few_photos_root))
    sweep = "name: hot\nmatrix: {flow: realnvp, dataset: photos8, factorization: rows}\n"
    sweep += "recipe: {training: {steps: 20}, optimization: {learning_rate: 1.0e+20}}\n"
    Path("hot.yaml").write_text(sweep)
    report = lcma.launch("hot.yaml", "lcma.db", local=True)
    assert (report.lost, [r.ending for r in report.reports.values()]) == (1, ["diverged"])
    assert run_lcma("launch", "hot.yaml", "--local", "--retry") == 1
    assert "1 job did not end well" in capsys.readouterr().out
