"""`lcma tune` with mistakes, and the example of the page."""

import re
from pathlib import Path
from typing import Any

import optuna
import pytest

import lcma
from lcma import db
from lcma.db.results import write_measure_kinds
from lcma.harness.cli.tuning import dashboard_url
from lcma.harness.tuning.study import make_storage
from lcma.sweeps.measures import MeasureKind
from tests.harness.conftest import SMALL
from tests.harness.tuning.conftest import load_measure

PAGE = Path(__file__).parents[3] / "docs" / "tuning.md"

MISTAKES: dict[str, tuple[list[str], dict[str, Any], str]] = {
    "no section": ([], {"tune": None}, "no section `tune`"),
    "no pretraining": ([], {"tune": {"factorization": "conventional"}}, "no pretraining to tune"),
    "the data alone": ([], {"tune": {"factorization": "variance-low"}}, "no pretraining to tune"),
    "wrong length": ([], {"tune": {"factorization": "LLL"}}, "3 letters"),
    "two flows": ([], {"matrix": {"flow": ["realnvp", "glow"]}}, "a study tunes one"),
    "budgets": ([], {"matrix": {"budget": [10]}}, "`tune.budget` has the budgets to tune"),
    "a word as a baseline": ([], {"matrix": {"factorization": "low"}}, "`tune.factorization`"),
    "no baseline": (
        [],
        {"exclude": [{"factorization": "conventional"}]},
        "`exclude` leaves out all of conventional, so that there is no baseline",
    ),
    "no budget 0": (
        [],
        {"exclude": [{"factorization": "low", "budget": 0}]},
        "`exclude` leaves out low at budget 0 and seed 0",
    ),
    "uneven seeds": (
        [],
        {"seeds": 2, "exclude": [{"budget": 15, "seed": 1}]},
        "`exclude` leaves out low at budget 15 and seed 1",
    ),
    "trials": (["--trials", "1"], {}, "greater than or equal to 2"),
    "hours": (["--max-hours", "nan"], {}, "--max-hours nan: give a number of hours above 0"),
    "no cluster": (["--ray", "127.0.0.1:1"], {}, "cannot reach Ray"),
}


@pytest.mark.parametrize(("options", "change", "message"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes_are_refused_and_leave_no_file(tune, folder, options, change, message) -> None:
    code, _, error = tune(change, *options)
    assert code == 2
    assert message in error
    assert error.count("\n") == 1
    assert [path.name for path in folder.iterdir()] == ["tuned.yaml"]


def test_a_measure_that_is_in_another_unit_here_is_refused_before_a_study_is_made(
    tune, folder, tmp_path
) -> None:
    store = db.connect(str(folder / "lcma.db"))
    with store._writer.begin() as connection:
        write_measure_kinds(connection, [MeasureKind("width", "inches", "higher", "their width")])
    load_measure("width", tmp_path)
    code, _, error = tune({"tune": {"measure": "width"}})
    assert code == 2
    assert "the measure 'width' is in inches in this database" in error
    assert optuna.get_all_study_names(make_storage(store.database)) == []


@pytest.mark.integration
def test_the_example_of_the_page_searches_patterns_in_three_launches(
    few_photos_root, tmp_path, monkeypatch
) -> None:
    """The flow and the images are smaller than on the page."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LCMA_DATA", str(few_photos_root))
    (example,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S)
    settings = {**SMALL["recipe"]["optimization"], "stacked": True}
    model = f'"model": {SMALL["recipe"]["model"]}, "optimization": {settings}, '
    for text, replacement in (
        ("photos16", "photos8"),
        ("(150, 300, 600)", "(2, 4, 6)"),
        ('"recipe": {', f'"recipe": {{{model}'),
    ):
        assert text in example
        example = example.replace(text, replacement)
    names: dict[str, Any] = {}
    exec(compile(example, "tuning.md", "exec"), names)
    rungs = [lcma.results("lcma.db", sweep=f"patterns-{steps}") for steps in (2, 4, 6)]
    counts = [len(results) for results in rungs]
    assert counts[0] == 6
    assert counts == sorted(counts, reverse=True)
    assert set(rungs[1]["factorization"]) < set(rungs[0]["factorization"])
    assert names["means"].is_monotonic_increasing


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
def test_no_password_is_shown(url, shown) -> None:
    assert dashboard_url(db.Store(db.locate(url))) == shown
