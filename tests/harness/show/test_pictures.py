"""Charts over named data, and the forest plot of a board's differences."""

import pytest

from lcma.harness.show import charts
from lcma.harness.show.charts import write_chart
from lcma.harness.show.pictures import draw_forest
from lcma.sweeps.errors import UserError
from tests.harness.show import svg
from tests.harness.show.synthetic import board_of, row

BETTER, WORSE = "#0072b2", "#d55e00"

TEXT = "\x1b[31m<b>&$\\frac{\n]]>"


def compare(seeds, **differences):
    """A board of a conventional row and others that differ from it by about so much."""
    rows = [row("checkerboard-even", seed, 4.0 + seed) for seed in range(seeds)]
    for name, difference in differences.items():
        bits = [4.0 + seed + difference + 0.001 * (seed % 2) for seed in range(seeds)]
        rows += [row(name.replace("_", "-"), seed, bits[seed]) for seed in range(seeds)]
    return board_of(rows)


def colours(path):
    return {colour for colour in (BETTER, WORSE) if colour in path.read_text().lower()}


def test_each_row_has_its_difference_interval_and_n(tmp_path):
    board = compare(6, channel=-0.2, random_local=0.1)
    path = draw_forest(board, tmp_path / "forest.svg")
    texts = svg.texts(path)
    (group,) = board.groups
    for board_row in group.rows:
        if difference := board_row.difference:
            text = f"{difference.mean:+.3f} ± {difference.half_width:.3f}, n = 6"
            assert text.replace("-", "\u2212") in texts
    assert texts.index("channel") < texts.index("random-local"), "best first"
    assert "minus checkerboard-even (6.500)" in " ".join(texts)
    _, about = svg.words(path)
    assert "channel -0.200 ± 0.001" in about


def test_the_colour_says_which_side_of_zero_an_interval_is_on(tmp_path):
    for name, (seeds, difference, colour) in {
        "better": (6, -0.2, {BETTER}),
        "worse": (6, 0.2, {WORSE}),
        "neither": (6, -0.0004, set()),
        "too few seeds": (5, -0.2, set()),
    }.items():
        path = draw_forest(compare(seeds, channel=difference), tmp_path / f"{name}.svg")
        assert colours(path) == colour, name


@pytest.mark.parametrize("ending", ["svg", "png", "pdf"])
def test_the_same_board_gives_the_same_bytes(tmp_path, ending):
    board = compare(3, channel=-0.2)
    first, second = (draw_forest(board, tmp_path / f"{k}.{ending}").read_bytes() for k in (1, 2))
    assert first == second
    assert first.startswith({"svg": b"<svg", "png": b"\x89PNG", "pdf": b"%PDF"}[ending])


def test_without_a_difference_there_is_nothing_to_draw(tmp_path):
    board = board_of([row("checkerboard-even", 0, 4.0), row("channel", 1, 4.5)])
    with pytest.raises(UserError, match="nothing to draw"):
        draw_forest(board, tmp_path / "forest.svg")
    assert not list(tmp_path.iterdir())


ROW = {"mean": 0.1, "low": 0.0, "high": 0.2, "n": 6, "budget": 30, "value": 0.1, "seed": 1}
ROW |= {"step": 5, "cost": 9.0, "on_front": True, "a": 1.0, "b": 2.0}
ROW |= {"difference": -1.0, "split": TEXT, "measure": TEXT, "name": TEXT, "label": TEXT}


@pytest.mark.parametrize("name", ["forest", "curves", "pairs", "budgets", "front"])
def test_text_of_users_is_only_text_in_every_chart(tmp_path, name):
    chart = getattr(charts, name)(*(("value", [TEXT]) if name == "curves" else ()))
    datasets = {dataset: [ROW] for dataset in find_names(chart.to_dict()) if dataset}
    path = write_chart(chart, datasets, tmp_path / "c.svg", TEXT, TEXT)
    assert svg.words(path)[0] == "\\x1b[31m<b>&$\\frac{\\n]]>"
    assert svg.curves(path) == (name == "curves")
    text = "".join(svg.texts(path))
    assert ("<b>&$\\frac{" in text) == (name != "pairs"), "a seed has a number"


def find_names(spec):
    yield spec.get("data", {}).get("name")
    for layer in spec.get("layer", ()):
        yield from find_names(layer)
