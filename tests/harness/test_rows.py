"""Rows of a query for people and programs."""

import csv
import io
import json

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from lcma.db import QueryResult
from lcma.harness.show.tables import (
    Table,
    TableColumn,
    make_table,
    render_rows,
    table_as_csv,
    table_as_html,
    table_as_json,
    table_as_markdown,
    tables_as_latex,
)

VALUES = st.none() | st.integers() | st.floats() | st.text() | st.binary(max_size=8)
RESULTS = st.integers(0, 4).flatmap(
    lambda n: st.lists(st.tuples(*[VALUES] * n), max_size=4).map(
        lambda found: make_table(QueryResult(tuple(f"c{i}" for i in range(n)), tuple(found), False))
    )
)


def shown(found, width):
    console = Console(width=width, file=io.StringIO())
    console.print(render_rows(found, console), soft_wrap=True)
    return console.file.getvalue()


@given(RESULTS)
def test_anything_can_be_shown(found):
    content = json.loads(table_as_json(found))
    assert len(content["rows"]) == len(found.rows)
    for text in (shown(found, 80), table_as_csv(found), table_as_markdown(found)):
        assert all(c == "\n" or c.isprintable() for c in text)
    lines = list(csv.reader(io.StringIO(table_as_csv(found), newline="")))
    assert len(lines) == 1 + len(found.rows)


def test_values_are_exact_for_programs():
    found = make_table(QueryResult(("a", "a"), ((0.1, b"\x00\xff"), (float("inf"), None)), True))
    assert json.loads(table_as_json(found)) == {
        "columns": ["a", "a"],
        "rows": [[0.1, "00ff"], ["inf", None]],
        "truncated": True,
    }
    assert table_as_csv(found) == "a,a\n0.1,00ff\ninf,\n"
    assert "<2 bytes>" in shown(found, 80)


def test_wide_rows_are_shown_value_by_value():
    found = make_table(QueryResult(("short", "long"), ((1, "x" * 100),), False))
    assert "row 1" in shown(found, 80)
    assert "x" * 100 in shown(found, 80)
    assert "row 1" not in shown(found, 200)


def test_people_read_numbers_as_their_column_says():
    columns = (
        TableColumn("mean", "bits/dim", kind="number", places=2, sign=True),
        TableColumn("seeds", kind="number"),
    )
    found = Table(columns, ((0.125, 3), (None, None)), "Title", "more", ("a note",))
    markdown = table_as_markdown(found).splitlines()
    assert markdown[:4] == ["### Title", "", "more", ""]
    assert markdown[4:6] == ["| bits/dim | seeds |", "| ---: | ---: |"]
    assert markdown[6:] == ["| +0.12 | 3 |", "| - | - |", "", "- a note"]
    assert table_as_csv(found) == "mean,seeds\n0.125,3\n,\n"
    for text in (shown(found, 80), table_as_html(found), tables_as_latex([found])):
        assert "0.12" in text
        assert "0.125" not in text
