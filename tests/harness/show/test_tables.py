"""Tables of a terminal: what becomes of text that does not fit beside the numbers."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from lcma.harness.show.tables import Table, TableColumn, render_table

COLUMNS = (
    TableColumn("factorization"),
    TableColumn("bits_per_dim", "bits/dim", "number"),
    TableColumn("of"),
)
WORD = st.text("abc-()", min_size=1, max_size=12)
TEXT = st.lists(WORD, min_size=1, max_size=4).map(" ".join)


def shown(rows: list[tuple[str, float, str]], width: int) -> list[str]:
    console = Console(width=width, file=io.StringIO())
    console.print(render_table(Table(COLUMNS, tuple(rows))))
    return console.file.getvalue().splitlines()


@given(st.lists(st.tuples(TEXT, st.sampled_from([4.879, 13.5]), TEXT), min_size=1, max_size=4))
def test_every_word_is_whole_where_there_is_room_for_the_longest_of_each_column(
    rows: list[tuple[str, float, str]],
) -> None:
    texts = [[column.title, *(str(row[j]) for row in rows)] for j, column in enumerate(COLUMNS)]
    longest = [max(len(word) for text in some for word in text.split()) for some in texts]
    width = sum(longest) + 2 * len(COLUMNS)
    lines = shown(rows, width)
    assert max(map(len, lines)) <= width
    words = " ".join(lines[2:]).split()
    for row in rows:
        assert {*row[0].split(), *row[2].split()} <= {*words}


def test_numbers_with_their_interval_stay_in_a_line_where_other_text_can_give_way() -> None:
    columns = (TableColumn("of"), TableColumn("effect", right=True))
    console = Console(width=34, file=io.StringIO())
    rows = (("realnvp celeba64-16-float", "+5.211 ± 0.434"),)
    console.print(render_table(Table(columns, rows)))
    assert "+5.211 ± 0.434" in console.file.getvalue()


@pytest.mark.parametrize("width", [20, 30])
def test_a_table_that_cannot_fit_is_broken_within_words(width: int) -> None:
    lines = shown([("conventional (checkerboard-even)", 4.8790, "celeba64-16-float")], width)
    assert max(map(len, lines)) <= width
    assert "4.879" in " ".join(lines)


def test_what_is_cut_gives_way_first_and_every_row_is_one_line() -> None:
    columns = (
        TableColumn("cell", cut=True),
        TableColumn("done", right=True),
        TableColumn("why", cut=True),
    )
    rows = (("realnvp digits low", "6/6", "its maps failed: out of memory"), ("glow", "0/6", ""))
    console = Console(width=40, file=io.StringIO())
    console.print(render_table(Table(columns, rows)))
    assert console.file.getvalue().splitlines()[2] == "realnvp digits low    6/6   its maps fa…"
    console = Console(width=20, file=io.StringIO())
    console.print(render_table(Table(columns, rows)))
    lines = console.file.getvalue().splitlines()[2:]
    assert [line.rstrip() for line in lines] == ["realnvp …    6/6   …", "glow         0/6"]
