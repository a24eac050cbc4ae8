"""How a board's groups are laid on pages of the site."""

from itertools import pairwise
from types import SimpleNamespace
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from lcma.harness.show.site.boards import AROUND, paginate_groups

sizes = st.lists(st.integers(1, 60), max_size=12)
lines = st.integers(2 * AROUND, 90)


@given(sizes, lines)
@example([1, 10], 17)
def test_pages_have_every_row_once_in_order_and_no_more_lines_than_fit(
    sizes: list[int], lines: int
) -> None:
    groups: list[Any] = [
        SimpleNamespace(rows=tuple((n, k) for k in range(size))) for n, size in enumerate(sizes)
    ]
    pages = paginate_groups(groups, most=lines)
    parts = [part for page in pages for part in page]
    every = [row for one in groups for row in one.rows]
    assert [row for part in parts for row in part.rows] == every
    for part in parts:
        assert part.rows == part.group.rows[part.start : part.start + len(part.rows)] != ()
    for page in pages:
        assert sum(AROUND + len(part.rows) for part in page) <= lines
    for page, after in pairwise(pages):
        used = sum(AROUND + len(part.rows) for part in page)
        assert used + AROUND + len(after[0].rows) > lines, "it would have had room before"
