"""Pictures of maps: every panel has the values and tables that it shows."""

import numpy as np
import pytest

from lcma.harness.results.map_statistics import find_exit_splits
from lcma.harness.results.maps import make_word_tables
from lcma.harness.show.grids import AREA_COLOURS, KEPT_COLOUR, read_colours
from lcma.harness.show.maps import draw_map_grid
from lcma.harness.text import printable
from lcma.sweeps.errors import UserError
from tests.harness.show import svg
from tests.harness.show.maps import contribution, noise

SHAPE = (3, 8, 8)


def named(count, shape=SHAPE, splits=2):
    return {
        f"budget {budget}": [contribution(noise([budget, k], shape), k + 1) for k in range(splits)]
        for budget in range(count)
    }


def draw(folder, found, title="title", below="below"):
    return draw_map_grid(found, title, [below], folder / "m.svg")


@pytest.mark.parametrize(("count", "shape"), [(3, (3, 8, 8)), (2, (1, 8, 8)), (1, (3, 64, 64))])
def test_panels_show_maps_on_one_scale_for_each_split_and_tables(tmp_path, count, shape):
    found = named(count, shape)
    drawn = iter(svg.images(draw(tmp_path, found)))
    colours = read_colours([KEPT_COLOUR, *AREA_COLOURS])
    exits = [find_exit_splits(make_word_tables("L", maps), shape) for maps in found.values()]
    for split in (1, 2):
        shown = []
        for maps in found.values():
            values = maps[split - 1].values.astype(float)
            mean = values.mean(axis=0, keepdims=True)
            shown.append(np.concatenate([values, mean]) if shape[0] > 1 else values)
        low, high = np.min(shown), np.max(shown)
        for maps, left in zip(shown, exits, strict=True):
            brightness = [next(drawn).sum(axis=-1, dtype=int) for _ in maps]
            order = np.argsort(np.stack(brightness).ravel(), kind="stable")
            assert (np.diff(np.stack(maps).ravel()[order]) > -0.03 * (high - low)).all()
            for table in colours[np.where(left <= split, left, 0)]:
                assert (next(drawn) == table).all()
    assert next(drawn, None) is None


def test_every_panel_is_named(tmp_path):
    said = svg.texts(draw(tmp_path, named(2)))
    panels = ["red", "green", "blue", "mean", "red", "green", "blue"]
    assert [text for text in said if text in panels] == panels * 4
    headings = {f"split {split}, budget {budget}" for split in (1, 2) for budget in (0, 1)}
    assert headings | {"title", "below", "low", "nats"} <= set(said)


def test_a_map_that_does_not_vary_is_drawn_under_any_title(tmp_path):
    title = "\x1b[31m$\\frac{"
    flat = {title: [contribution(np.zeros(SHAPE), errors=np.nan)]}
    assert svg.words(draw(tmp_path, flat, title, title)) == (printable(title), printable(title))


def test_maps_that_differ_in_shape_or_splits_are_not_drawn(tmp_path):
    for other in (named(1, (3, 16, 16)), named(1, splits=1)):
        with pytest.raises(UserError, match="differ in shape or number of splits"):
            draw(tmp_path, {**named(1), "other": other["budget 0"]})
    assert list(tmp_path.iterdir()) == []
