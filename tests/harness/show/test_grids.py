"""Pictures of tables, images and maps have the arrays that they show, entry by entry."""

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from lcma.harness.results.map_statistics import find_exit_splits
from lcma.harness.results.maps import make_word_tables
from lcma.harness.show import grids
from lcma.harness.show.grids import Panel, draw_grid, read_colours
from lcma.harness.show.maps import draw_map_grid
from lcma.harness.text import printable
from lcma.models import make_tables
from lcma.sweeps.errors import UserError
from tests.harness.show import svg
from tests.harness.show.conftest import contribution

SHAPE = (3, 8, 8)
COLOURS = read_colours([grids.KEPT_COLOUR, *grids.AREA_COLOURS])


def pixels(path):
    with Image.open(path) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB"))


def word_tables(word, shape=SHAPE):
    maps = [np.random.default_rng(k).normal(size=shape) for k in range(len(word))]
    return make_tables(word, shape, len(word), maps=maps)


@pytest.mark.parametrize("form", ["png", "svg"])
def test_a_grid_is_as_large_as_what_is_in_it_and_its_cells_are_whole_pixels(tmp_path, form):
    array = np.random.default_rng(0).integers(0, 200, size=(5, 7, 3), dtype=np.uint8)
    rows = [[Panel(array, 9, "left", gap=0), Panel(array, 9)]]
    sizes = []
    for title in ("short", "long " * 40):
        path = draw_grid(tmp_path / f"g.{form}", rows, title)
        if form == "svg":
            sizes.append([int(svg.root(path).get(name)) for name in ("height", "width")])
            assert all((image == array).all() for image in svg.images(path))
            continue
        image = pixels(path)
        sizes.append(image.shape)
        assert (image[:10] == 255).all()
        assert (image[:, -10:] == 255).all()
        top, left = np.argwhere((image == array[0, 0]).all(axis=-1))[0]
        cells = image[top : top + 5 * 9, left : left + 7 * 9].reshape(5, 9, 7, 9, 3)
        assert (cells == array[:, None, :, None]).all()
    assert sizes[0][0] == sizes[1][0]
    assert sizes[0][1] + 200 < sizes[1][1]


@pytest.mark.parametrize("shape", [SHAPE, (1, 8, 8)])
def test_table_pictures_show_the_tables(tmp_path, shape):
    tables_by_rule = {
        "checkerboard-even": make_tables("checkerboard-even", shape, 2),
        "low": word_tables("LH", shape),
    }
    path = grids.draw_tables(tables_by_rule, shape, tmp_path / "t.svg", "Tables & <more>")
    images = iter(svg.images(path))
    for tables in tables_by_rule.values():
        exits = find_exit_splits(tables, shape)
        for split in (1, 2):
            for channel in exits:
                assert (next(images) == COLOURS[np.where(channel <= split, channel, 0)]).all()
    assert next(images, None) is None
    legend = {"factored out at split 1", "factored out at split 2", "stays"}
    assert {*legend, "after split 1", "after split 2", "low"} <= set(svg.texts(path))
    assert svg.words(path)[0] == "Tables & <more>"
    assert "Tables & <more>" in svg.texts(path)


@pytest.mark.parametrize("title", ["\x1b[31m\n[red]", "<b>]]>&amp;\ud800"])
def test_any_title_can_be_drawn(tmp_path, title):
    tables = {title: word_tables("L")}
    assert pixels(grids.draw_tables(tables, SHAPE, tmp_path / "t.png", title)).size
    path = grids.draw_tables(tables, SHAPE, tmp_path / "t.svg", title)
    assert svg.words(path)[0] == printable(title)
    assert svg.texts(path).count(printable(title)) == 2


@given(
    st.integers(1, 9), st.sampled_from([1, 3]), st.integers(1, 5), st.integers(1, 4), st.randoms()
)
def test_tiles_hold_every_image(count, channels, columns, scale, random):
    random = np.random.default_rng(random.randrange(2**32))
    images = random.integers(0, 256, size=(count, channels, 4, 6), dtype=np.uint8)
    grid = grids.tile_images(images, columns, scale)
    columns = min(columns, count)
    rows = -(-count // columns)
    assert grid.shape == (rows * (4 * scale + 2) + 2, columns * (6 * scale + 2) + 2, 3)
    for index, image in enumerate(images):
        row, column = divmod(index, columns)
        top, left = 2 + row * (4 * scale + 2), 2 + column * (6 * scale + 2)
        tile = grid[top : top + 4 * scale : scale, left : left + 6 * scale : scale]
        assert (tile == np.broadcast_to(image.transpose(1, 2, 0), (4, 6, 3))).all()


def test_a_grid_has_all_texts_of_its_panels(tmp_path):
    array = np.random.default_rng(0).integers(0, 256, size=(4, 4, 3), dtype=np.uint8)
    colours = grids.Colours(-1, 1, "nats")
    rows = [[Panel(array, 9, "left", "above", ("below",), 99, colours)]]
    legend = [("stays", "#3B3B3B"), ("pale", "none")]
    path = draw_grid(tmp_path / "g.svg", rows, "title", ["line"], legend)
    texts = {"title", "line", "left", "above", "below", "nats", "stays", "pale", "-1", "0", "1"}
    assert set(svg.texts(path)) == texts
    assert (svg.images(path)[0] == array).all()


def test_a_file_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    rows = [[Panel(np.zeros((4, 4, 3), dtype=np.uint8), 1)]]
    for path in (tmp_path / "file" / "g.png", tmp_path / "folder", Path("/proc/none/g.png")):
        with pytest.raises(UserError, match=f"cannot write.*{re.escape(str(path))}"):
            draw_grid(path, rows, "title")
    assert {p.name for p in tmp_path.iterdir()} == {"file", "folder"}
    assert (tmp_path / "file").read_text() == "mine"


def make_maps(count, shape=SHAPE, splits=2):
    """Random maps of so many budgets."""
    return {
        f"budget {budget}": [
            contribution(np.random.default_rng([budget, split]).normal(size=shape), split)
            for split in range(1, splits + 1)
        ]
        for budget in range(count)
    }


def draw_maps(folder, maps_by_budget, title="title", below="below"):
    return draw_map_grid(maps_by_budget, title, [below], folder / "m.svg")


@pytest.mark.parametrize(("count", "shape"), [(3, SHAPE), (2, (1, 8, 8)), (1, (3, 64, 64))])
def test_panels_show_maps_on_one_scale_for_each_split_and_tables(tmp_path, count, shape):
    maps_by_budget = make_maps(count, shape)
    images = iter(svg.images(draw_maps(tmp_path, maps_by_budget)))
    for split in (1, 2):
        panels = []
        for maps in maps_by_budget.values():
            values = maps[split - 1].values.astype(float)
            mean = values.mean(axis=0, keepdims=True)
            panels.append(np.concatenate([values, mean]) if shape[0] > 1 else values)
        scale = np.max(panels) - np.min(panels)
        for maps, values in zip(maps_by_budget.values(), panels, strict=True):
            brightness = [next(images).sum(axis=-1, dtype=int) for _ in values]
            order = np.argsort(np.stack(brightness).ravel(), kind="stable")
            assert (np.diff(values.ravel()[order]) > -0.03 * scale).all()
            exits = find_exit_splits(make_word_tables("L", maps), shape)
            for table in COLOURS[np.where(exits <= split, exits, 0)]:
                assert (next(images) == table).all()
    assert next(images, None) is None


def test_every_panel_is_named(tmp_path):
    texts = svg.texts(draw_maps(tmp_path, make_maps(2)))
    panels = ["red", "green", "blue", "mean", "red", "green", "blue"]
    assert [text for text in texts if text in panels] == panels * 4
    headings = {f"split {split}, budget {budget}" for split in (1, 2) for budget in (0, 1)}
    assert headings | {"title", "below", "low", "nats"} <= set(texts)


def test_a_map_that_does_not_vary_is_drawn_under_any_title(tmp_path):
    title = "\x1b[31m$\\frac{"
    flat = {title: [contribution(np.zeros(SHAPE), error=np.nan)]}
    assert svg.words(draw_maps(tmp_path, flat, title, title)) == (
        printable(title),
        printable(title),
    )


def test_maps_that_differ_in_shape_or_splits_are_not_drawn(tmp_path):
    for other in (make_maps(1, (3, 16, 16)), make_maps(1, splits=1)):
        with pytest.raises(UserError, match="differ in shape or number of splits"):
            draw_maps(tmp_path, {**make_maps(1), "other": other["budget 0"]})
    assert list(tmp_path.iterdir()) == []
