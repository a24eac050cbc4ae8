"""The forest plot of a board's differences."""

import pytest

from lcma.harness.show.forest import draw_forest
from lcma.sweeps.errors import UserError
from tests.harness.show import svg
from tests.harness.show.frames import board_of
from tests.harness.show.test_board import frame, row

BETTER, WORSE = "#0072b2", "#d55e00"


def compared(seeds, **differences):
    """A board of a conventional row and others that differ from it by so much, give or take."""
    rows = [row("checkerboard-even", seed, 4.0 + seed) for seed in range(seeds)]
    for name, by in differences.items():
        rows += [
            row(name.replace("_", "-"), seed, 4.0 + seed + by + 0.001 * (seed % 2))
            for seed in range(seeds)
        ]
    return board_of(frame(rows))


def colours(path):
    found = path.read_text().lower()
    return {colour for colour in (BETTER, WORSE) if colour in found}


def test_each_row_has_its_difference_interval_and_n(tmp_path):
    board = compared(6, channel=-0.2, random_local=0.1)
    path = draw_forest(board, tmp_path / "forest.svg")
    texts = svg.texts(path)
    (group,) = board.groups
    for label in ("channel", "random-local"):
        found = next(one.difference for one in group.rows if one.label == label)
        at = texts.index(label)
        assert texts[at + 1] == f"{found.mean:+.3f} ± {found.half_width:.3f}, n = 6"
    assert texts.index("channel") < texts.index("random-local"), "best first"
    assert "minus checkerboard-even (6.500)" in " ".join(texts)
    _, about = svg.words(path)
    assert "channel -0.200 ± 0.001" in about


def test_the_colour_says_which_side_of_zero_an_interval_is_on(tmp_path):
    for name, (seeds, by, colour) in {
        "better": (6, -0.2, {BETTER}),
        "worse": (6, 0.2, {WORSE}),
        "neither": (6, -0.0004, set()),
        "too few seeds": (5, -0.2, set()),
    }.items():
        path = draw_forest(compared(seeds, channel=by), tmp_path / f"{name}.svg")
        assert colours(path) == colour, name


@pytest.mark.parametrize("ending", ["svg", "png"])
def test_the_same_board_gives_the_same_bytes(tmp_path, ending):
    board = compared(3, channel=-0.2)
    one, other = (draw_forest(board, tmp_path / f"{k}.{ending}").read_bytes() for k in (1, 2))
    assert one == other
    assert one.startswith({"svg": b"<?xml", "png": b"\x89PNG"}[ending])


def test_without_a_difference_there_is_nothing_to_draw(tmp_path):
    board = board_of(frame([row("checkerboard-even", 0, 4.0), row("channel", 1, 4.5)]))
    with pytest.raises(UserError, match="nothing to draw"):
        draw_forest(board, tmp_path / "forest.svg")
    assert not list(tmp_path.iterdir())
