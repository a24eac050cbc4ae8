"""The paper's tables beside results."""

import pytest

from lcma.harness.results.paper import compare_with_paper
from lcma.harness.show.export import make_paper_table
from tests.harness.show.synthetic import board, rows

CIFAR = {"dataset": "cifar10", "profile": "paper"}
SCALE = "(paper, plain, float32)"
OURS = [
    *rows({"checkerboard-even": {s: 3.5 + s / 100 for s in range(3)}}, **CIFAR),
    *rows({"LLL": {s: 3.4 + s / 100 for s in range(3)}}, **CIFAR),
    *rows({"LLL": {0: 1.0}}, budget=50, **CIFAR),
]


def read_cifar(**options: str) -> dict[tuple[object, object], object]:
    found = compare_with_paper(board(OURS, **options), "1")
    return {(one["row"], one["bits_per_dim"]): one["cifar10"] for one in found}


def test_the_papers_numbers_ours_and_the_difference() -> None:
    lines = read_cifar()
    assert (lines["conventional", "paper"], lines["low", "paper"]) == (3.49, 3.43)
    assert lines["low", f"ours {SCALE}"] == pytest.approx(3.41)
    assert lines["low", f"difference {SCALE}"] == pytest.approx(-0.02)
    assert lines["low", f"budget {SCALE}"] == 100, "the longest, not the best"
    assert (lines["low", f"n {SCALE}"], lines["low", f"steps {SCALE}"]) == (3, 250)
    assert lines["low", f"data {SCALE}"] == "not the whole set"
    assert read_cifar(files="official")["low", f"data {SCALE}"] == "whole"


def test_people_read_two_decimals_of_the_paper_and_four_of_ours() -> None:
    table = make_paper_table(board(OURS), "1", in_full=False)
    assert [column.title for column in table.columns][:2] == ["row", "bits/dim"]
    at = [column.name for column in table.columns].index("cifar10")
    text = {row[:2]: row[at] for row in table.rows}
    assert (text["low", "paper"], text["low", f"difference {SCALE}"]) == ("3.43", "-0.0200")


@pytest.mark.parametrize(
    ("number", "rows_", "columns"), [("1", 2, 4), ("2", 2, 4), ("3", 1, 4), ("4", 8, 1)]
)
def test_without_results_a_table_is_as_printed(number: str, rows_: int, columns: int) -> None:
    found = compare_with_paper(board([]), number)
    assert (len(found), len(found[0]) - 2) == (rows_, columns)
