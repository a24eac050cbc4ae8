"""The paper's tables beside results."""

import pytest

from lcma.harness.show.export import make_paper_table
from lcma.harness.show.tables import table_as_markdown
from tests.harness.show.synthetic import board, rows

CIFAR = {"dataset": "cifar10", "profile": "paper"}
OURS = [
    *rows({"checkerboard-even": {s: 3.5 + s / 100 for s in range(3)}}, **CIFAR),
    *rows({"LLL": {s: 3.4 + s / 100 for s in range(3)}}, **CIFAR),
    *rows({"LLL": {0: 1.0}}, budget=50, **CIFAR),
]


@pytest.mark.parametrize(("files", "whole"), [("official", 1), ("other", 0)])
def test_the_papers_numbers_ours_and_the_difference(files: str, whole: int) -> None:
    table = make_paper_table(board(OURS, files=files), "1")
    names = [column.name for column in table.columns]
    rows = [dict(zip(names, row, strict=True)) for row in table.rows]
    conventional, low = (row for row in rows if row["dataset"] == "cifar10")
    assert (conventional["factorization"], conventional["printed"]) == ("conventional", 3.49)
    assert (low["factorization"], low["printed"], low["profile"]) == ("low", 3.43, "paper")
    assert (low["ours"], low["difference"]) == pytest.approx((3.41, -0.02))
    assert low["budget"] == 100, "the longest, not the best"
    assert (low["n"], low["steps"], low["whole"]) == (3, 250, whole)
    assert "| 3.43 | 3.4100 | -0.0200 |" in " ".join(table_as_markdown(table).split())
