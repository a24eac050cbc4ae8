"""docs/database.md has the right answers."""

import doctest
import re
from pathlib import Path

import pytest

from docs import findings
from lcma import connect, db
from lcma.db import run_sql, store
from lcma.db.views import views

DOCUMENT = Path(__file__).parents[2] / findings.ANSWERED
TEXT = DOCUMENT.read_text(encoding="utf-8")
QUERIES = re.findall(r"```sql\n(.*?)```", TEXT, flags=re.DOTALL)


def test_every_view_is_in_the_table_of_views() -> None:
    listed = TEXT.partition("## Views")[2].partition("##")[0]
    named = re.findall(r"^\| `(\w+)` \|", listed, flags=re.MULTILINE)
    assert set(named) == set(views.tables)


@pytest.mark.parametrize("sql", QUERIES)
def test_the_queries_run_on_both_engines(crowded_url: str, sql: str) -> None:
    assert run_sql(crowded_url, sql).columns


def test_the_answers_are_those_of_the_reference() -> None:
    with connect("reference") as reference:
        answers = findings.find_answers(TEXT, findings.Results(reference))
    assert len(answers) == len(QUERIES) == 10
    assert not findings.list_differences(TEXT, answers, exact=True), "run `make findings`"


def test_the_examples_of_the_store_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    runner = doctest.DocTestRunner()
    names = {"store": db.connect("results.db")}
    for example in doctest.DocTestFinder().find(store, "store", globs=names):
        runner.run(example)
    assert runner.summarize() == doctest.TestResults(failed=0, attempted=7)
