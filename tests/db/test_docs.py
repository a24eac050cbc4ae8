"""docs/database.md says what the schema says, and its examples run."""

import doctest
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from lcma import db
from lcma.db import docs, store
from lcma.db.query import run_sql

DOCUMENT = Path(__file__).parents[2] / "docs" / "database.md"
EXAMPLES, PYTHON = (
    re.findall(rf"```{language}\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), flags=re.DOTALL)
    for language in ("sql", "python")
)
EXAMPLES = [sql for sql in EXAMPLES if not sql.startswith("CREATE ROLE")]


def test_the_reference_is_up_to_date() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    _, _, reference = text.partition(docs.BEGIN)
    assert reference.strip() == docs.render().strip(), (
        f"run: python -m lcma.db.docs {DOCUMENT.name}"
    )


def test_rendering_replaces_only_the_reference(tmp_path: Path) -> None:
    copy = Path(shutil.copy(DOCUMENT, tmp_path))
    copy.write_text(copy.read_text(encoding="utf-8") + "\nan old line\n", encoding="utf-8")
    assert docs.main([str(copy)]) == 0
    assert copy.read_text(encoding="utf-8") == DOCUMENT.read_text(encoding="utf-8")
    copy.write_text("text")
    assert docs.main([str(copy)]) == 2
    assert copy.read_text() == "text"


@pytest.mark.parametrize("sql", EXAMPLES)
def test_the_examples_find_something(crowded_url: str, sql: str) -> None:
    assert run_sql(crowded_url, sql).rows


def test_the_paired_difference_of_the_examples_is_right(filled: Any) -> None:
    (sql,) = [sql for sql in EXAMPLES if "'HHH'" in sql]
    assert run_sql(filled.store.url, sql).rows == (("realnvp", "photos16", 100, 0, -0.5),)


def test_the_python_of_the_page_runs(crowded_url: str, capsys: Any) -> None:
    """Block after block, as it stands but for the place of the database."""
    names: dict[str, Any] = {}
    for block in PYTHON:
        exec(block.replace('"lcma.db"', repr(crowded_url)), names)
    board = names["board"]
    assert list(board["position"]) == [1, 2, 3, 4, 5, 6]
    assert board["mean"].is_monotonic_increasing
    assert list(names["curve"]["budget"]) == [100, 200]
    assert (names["deviation"] > 0).all()
    assert set(names["missing"]["asked"]) == {"HHH", "high", "low", "random"}
    assert set(names["statistics"]["size"]) == {1, 2, 3}
    assert [item.seed for item in names["maps"]] == [0, 1]
    assert names["over_seeds"].shape == (2, 3, 16, 16)
    assert "its pretraining diverged" in capsys.readouterr().out


def test_the_examples_of_the_store_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    known = {"store": db.connect("results.db")}
    runner = doctest.DocTestRunner()
    for example in doctest.DocTestFinder().find(store, "store", globs=known):
        runner.run(example)
    assert runner.summarize() == doctest.TestResults(failed=0, attempted=6)
