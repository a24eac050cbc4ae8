"""Rows of a query for people and programs."""

import csv
import io
import json

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from lcma.db import QueryResult
from lcma.harness.report.tables import render_rows, rows_as_csv, rows_as_json, rows_as_markdown

VALUES = st.none() | st.integers() | st.floats() | st.text() | st.binary(max_size=8)
RESULTS = st.integers(0, 4).flatmap(
    lambda n: st.lists(st.tuples(*[VALUES] * n), max_size=4).map(
        lambda found: QueryResult(tuple(f"c{i}" for i in range(n)), tuple(found), False)
    )
)


def shown(found, width):
    console = Console(width=width, file=io.StringIO())
    console.print(render_rows(found, console), soft_wrap=True)
    return console.file.getvalue()


@given(RESULTS)
def test_anything_can_be_shown(found):
    content = json.loads(rows_as_json(found))
    assert len(content["rows"]) == len(found.rows)
    for text in (shown(found, 80), rows_as_csv(found), rows_as_markdown(found)):
        assert all(c == "\n" or c.isprintable() for c in text)
    lines = list(csv.reader(io.StringIO(rows_as_csv(found), newline="")))
    assert len(lines) == 1 + len(found.rows)


def test_values_are_exact_for_programs():
    found = QueryResult(("a", "a"), ((0.1, b"\x00\xff"), (float("inf"), None)), True)
    assert json.loads(rows_as_json(found)) == {
        "columns": ["a", "a"],
        "rows": [[0.1, "00ff"], ["inf", None]],
        "truncated": True,
    }
    assert rows_as_csv(found) == "a,a\n0.1,00ff\ninf,\n"
    assert "<2 bytes>" in shown(found, 80)


def test_wide_rows_are_shown_value_by_value():
    found = QueryResult(("short", "long"), ((1, "x" * 100),), False)
    assert "row 1" in shown(found, 80)
    assert "x" * 100 in shown(found, 80)
    assert "row 1" not in shown(found, 200)


def test_markup_is_text():
    assert "[red]x[/]" in shown(QueryResult(("[b]c[/]",), (("[red]x[/]",),), False), 80)
    assert rows_as_markdown(QueryResult(("c",), (("a|b<i>",),), False)).endswith(
        "| a\\|b\\<i\\> |\n"
    )
