"""Pictures of tables, images and sets hold the arrays that they show, entry by entry."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from lcma.harness.results.map_statistics import find_exit_splits
from lcma.harness.show import grids
from lcma.harness.show.grids import Panel, draw_grid, read_colours
from lcma.harness.text import printable
from lcma.models import make_tables
from lcma.sweeps.errors import UserError
from tests.harness.show import svg


def pixels(path):
    with Image.open(path) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB"))


COLOURS = read_colours([grids.KEPT_COLOUR, *grids.AREA_COLOURS])


def words(*letters, shape=(3, 8, 8)):
    maps = [np.random.default_rng(k).normal(size=shape) for k in range(len(letters))]
    return make_tables("".join(letters), shape, len(letters), maps=maps)


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
        found = image[top : top + 5 * 9, left : left + 7 * 9].reshape(5, 9, 7, 9, 3)
        assert (found == array[:, None, :, None]).all()
    assert sizes[0][0] == sizes[1][0]
    assert sizes[0][1] + 200 < sizes[1][1]


@pytest.mark.parametrize("shape", [(3, 8, 8), (1, 8, 8)])
def test_table_pictures_show_the_tables(tmp_path, shape):
    named = {
        "checkerboard-even": make_tables("checkerboard-even", shape, 2),
        "low": words("L", "H", shape=shape),
    }
    path = grids.draw_tables(named, shape, tmp_path / "t.svg", "Tables & <more>")
    drawn = iter(svg.images(path))
    for tables in named.values():
        exits = find_exit_splits(tables, shape)
        for split in (1, 2):
            for channel in exits:
                assert (next(drawn) == COLOURS[np.where(channel <= split, channel, 0)]).all()
    assert next(drawn, None) is None
    legend = {"factored out at split 1", "factored out at split 2", "stays"}
    assert {*legend, "after split 1", "after split 2", "low"} <= set(svg.texts(path))
    assert svg.words(path)[0] == "Tables & <more>"
    assert "Tables & <more>" in svg.texts(path)


@given(st.text("LH", min_size=1, max_size=3))
def test_half_of_what_is_left_leaves_at_each_split(word):
    found = find_exit_splits(words(*word), (3, 8, 8))
    sizes = [3 * 64 >> (split + 1) for split in range(len(word))]
    assert [int((found == k + 1).sum()) for k in range(len(word))] == sizes
    assert (found == 0).sum() == sizes[-1]


@pytest.mark.parametrize("title", ["\x1b[31m\n[red]", "<b>]]>&amp;\ud800"])
def test_any_title_can_be_drawn(tmp_path, title):
    named = {title: words("L")}
    assert pixels(grids.draw_tables(named, (3, 8, 8), tmp_path / "t.png", title)).size
    path = grids.draw_tables(named, (3, 8, 8), tmp_path / "t.svg", title)
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
        found = grid[top : top + 4 * scale : scale, left : left + 6 * scale : scale]
        assert (found == np.broadcast_to(image.transpose(1, 2, 0), (4, 6, 3))).all()


def test_a_grid_has_all_texts_of_its_panels(tmp_path):
    array = np.random.default_rng(0).integers(0, 256, size=(4, 4, 3), dtype=np.uint8)
    colours = grids.Colours(-1, 1, "nats")
    rows = [[Panel(array, 9, "left", "above", ("below",), 99, colours)]]
    legend = [("stays", "#3B3B3B"), ("pale", "none")]
    path = draw_grid(tmp_path / "g.svg", rows, "title", ["line"], legend)
    said = {"title", "line", "left", "above", "below", "nats", "stays", "pale"}
    assert said | {"-1", "0", "1"} == set(svg.texts(path))
    assert (svg.images(path)[0] == array).all()


def test_a_file_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    rows = [[Panel(np.zeros((4, 4, 3), dtype=np.uint8), 1)]]
    for path in (tmp_path / "file" / "g.png", tmp_path / "folder", Path("/proc/none/g.png")):
        with pytest.raises(UserError, match="cannot write") as caught:
            draw_grid(path, rows, "title")
        assert str(path) in str(caught.value)
    assert {p.name for p in tmp_path.iterdir()} == {"file", "folder"}
    assert (tmp_path / "file").read_text() == "mine"
