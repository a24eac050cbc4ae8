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
TABLES = st.integers(0, 4).flatmap(
    lambda n: st.lists(st.tuples(*[VALUES] * n), max_size=4).map(
        lambda rows: make_table(QueryResult(tuple(f"c{i}" for i in range(n)), tuple(rows), False))
    )
)


def render(table, width):
    console = Console(width=width, file=io.StringIO())
    console.print(render_rows(table, console), soft_wrap=True)
    return console.file.getvalue()


@given(TABLES)
def test_any_result_can_be_shown(table):
    content = json.loads(table_as_json(table))
    assert len(content["rows"]) == len(table.rows)
    for text in (render(table, 80), table_as_csv(table), table_as_markdown(table)):
        assert all(c == "\n" or c.isprintable() for c in text)
    lines = list(csv.reader(io.StringIO(table_as_csv(table), newline="")))
    assert len(lines) == 1 + len(table.rows)


def test_values_are_exact_for_programs():
    table = make_table(QueryResult(("a", "a"), ((0.1, b"\x00\xff"), (float("inf"), None)), True))
    assert json.loads(table_as_json(table)) == {
        "columns": ["a", "a"],
        "rows": [[0.1, "00ff"], ["inf", None]],
        "truncated": True,
    }
    assert table_as_csv(table) == "a,a\n0.1,00ff\ninf,\n"
    assert "<2 bytes>" in render(table, 80)


def test_wide_rows_are_shown_value_by_value():
    table = make_table(QueryResult(("short", "long"), ((1, "x" * 100),), False))
    assert "row 1" in render(table, 80)
    assert "x" * 100 in render(table, 80)
    assert "row 1" not in render(table, 200)


def test_people_read_numbers_in_the_format_of_their_column():
    columns = (
        TableColumn("mean", "bits/dim", kind="number", places=2, sign=True),
        TableColumn("seeds", kind="number"),
    )
    table = Table(columns, ((0.125, 3), (None, None)), "Title", "more", ("a note",))
    markdown = table_as_markdown(table).splitlines()
    assert markdown[:4] == ["### Title", "", "more", ""]
    assert markdown[4:6] == ["| bits/dim | seeds |", "| ---: | ---: |"]
    assert markdown[6:] == ["| +0.12 | 3 |", "| - | - |", "", "- a note"]
    assert table_as_csv(table) == "mean,seeds\n0.125,3\n,\n"
    for text in (render(table, 80), table_as_html(table), tables_as_latex([table])):
        assert "0.12" in text
        assert "0.125" not in text
