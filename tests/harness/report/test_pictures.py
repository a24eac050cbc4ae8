"""Pictures are files of the right size whose pixels are the arrays they show."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from lcma.harness.report import pictures
from lcma.harness.text import printable
from lcma.models import make_tables
from lcma.sweeps.errors import UserError
from tests.harness.report import svg


def pixels(path):
    with Image.open(path) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB"))


def rgb(colour):
    return tuple(bytes.fromhex(colour[1:]))


def words(*letters, shape=(3, 8, 8)):
    maps = [np.random.default_rng(k).normal(size=shape) for k in range(len(letters))]
    return make_tables("".join(letters), shape, len(letters), maps=maps)


@pytest.mark.parametrize("shape", [(3, 8, 8), (1, 8, 8), (3, 16, 16), (3, 32, 32)])
def test_table_pictures_show_the_tables(tmp_path, shape):
    named = [
        ("checkerboard-even", make_tables("checkerboard-even", shape, 2)),
        (
            "channel",
            make_tables("channel", shape, 2) if shape[0] > 1 else make_tables("rows", shape, 2),
        ),
        ("low", words("L", "L", shape=shape)),
    ]
    image = pixels(pictures.draw_tables(named, shape, tmp_path / "a" / "tables.png"))
    colours = [pictures.KEPT_COLOUR, *pictures.EXIT_COLOURS]
    panels = pictures.lay_out_tables(named, shape)
    assert {(p.row, p.split) for p in panels} == {(r, k) for r in range(3) for k in (1, 2)}
    for panel in panels:
        fates = pictures.find_exit_splits(named[panel.row][1], shape)
        if panel.channel is None:
            assert (fates == fates[:1]).all()
        fates = np.where(fates <= panel.split, fates, 0)[panel.channel or 0]
        for h, w in np.ndindex(fates.shape):
            top, left = panel.top + h * panel.scale, panel.left + w * panel.scale
            square = image[top : top + panel.scale, left : left + panel.scale]
            assert (square == rgb(colours[fates[h, w]])).all(), (panel, h, w)


def test_a_known_cell_of_the_checkerboard(tmp_path):
    # The even checkerboard keeps the upper left of each window, and lets the upper right leave.
    named = [("checkerboard-even", make_tables("checkerboard-even", (3, 4, 4), 1))]
    image = pixels(pictures.draw_tables(named, (3, 4, 4), tmp_path / "t.png"))
    (panel,) = pictures.lay_out_tables(named, (3, 4, 4))
    middle = panel.top + panel.scale // 2
    assert tuple(image[middle, panel.left + panel.scale // 2]) == rgb("#3B3B3B")
    assert tuple(image[middle, panel.left + panel.scale + panel.scale // 2]) == rgb("#E69F00")


def test_fates_of_rows():
    # Rows: the upper row of each window leaves. Of rows 1, 3 at split 2, row 1 is the upper one.
    found = pictures.find_exit_splits(make_tables("rows", (1, 4, 4), 2), (1, 4, 4))
    assert found[0, :, 0].tolist() == [1, 2, 1, 0]


@given(st.text("LH", min_size=1, max_size=3))
def test_half_of_what_is_there_leaves_at_each_split(word):
    found = pictures.find_exit_splits(words(*word), (3, 8, 8))
    sizes = [3 * 64 >> (split + 1) for split in range(len(word))]
    assert [int((found == k + 1).sum()) for k in range(len(word))] == sizes
    assert (found == 0).sum() == sizes[-1]


@pytest.mark.filterwarnings("ignore:Glyph")  # the font may lack it: then a box is drawn
@pytest.mark.parametrize("title", ["$\\frac{", "\x1b[31m\n[red]", "日本", ""])
def test_any_title_can_be_drawn(tmp_path, title):
    pictures.draw_tables([(title, words("L"))], (3, 8, 8), tmp_path / "t.png", title)
    assert pixels(tmp_path / "t.png").size


def test_the_same_pictures_are_the_same_bytes(tmp_path):
    paths = [
        pictures.draw_tables([("t", words("L"))], (3, 8, 8), tmp_path / f"{k}.png") for k in (1, 2)
    ]
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_a_long_title_widens_the_picture(tmp_path):
    widths = [
        pixels(pictures.draw_tables([("t", words("L"))], (3, 8, 8), tmp_path / "t.png", title))
        for title in ("short", "long " * 20)
    ]
    assert widths[0].shape[1] + 200 < widths[1].shape[1]


@given(
    st.integers(1, 9), st.sampled_from([1, 3]), st.integers(1, 5), st.integers(1, 4), st.randoms()
)
def test_sample_grids_hold_every_image(tmp_path_factory, count, channels, columns, scale, random):
    random = np.random.default_rng(random.randrange(2**32))
    images = random.integers(0, 256, size=(count, channels, 4, 6), dtype=np.uint8)
    path = tmp_path_factory.mktemp("grid") / "g.png"
    grid = pixels(pictures.sample_grid(images, path, columns, scale))
    columns = min(columns, count)
    rows = -(-count // columns)
    assert grid.shape == (rows * (4 * scale + 2) + 2, columns * (6 * scale + 2) + 2, 3)
    for index, image in enumerate(images):
        row, column = divmod(index, columns)
        top, left = 2 + row * (4 * scale + 2), 2 + column * (6 * scale + 2)
        found = grid[top : top + 4 * scale : scale, left : left + 6 * scale : scale]
        assert (found == np.broadcast_to(image.transpose(1, 2, 0), (4, 6, 3))).all()


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    images = np.zeros((1, 3, 4, 4), dtype=np.uint8)
    for path in (tmp_path / "file" / "g.png", tmp_path / "folder", Path("/proc/none/g.png")):
        with pytest.raises(UserError, match="cannot write") as caught:
            pictures.sample_grid(images, path)
        assert str(path) in str(caught.value)
    assert {p.name for p in tmp_path.iterdir()} == {"file", "folder"}
    assert (tmp_path / "file").read_text() == "mine"


def test_a_picture_replaces_the_former_one_whole(tmp_path):
    path = tmp_path / "g.png"
    path.write_bytes(b"old")
    assert pictures.sample_grid(np.zeros((1, 3, 4, 4), dtype=np.uint8), path) == path
    assert pixels(path).shape == (4 * 4 + 4, 4 * 4 + 4, 3)
    assert [p.name for p in tmp_path.iterdir()] == ["g.png"]


def test_an_svg_of_tables_holds_every_table_and_its_names(tmp_path):
    shape = (3, 8, 8)
    named = [
        ("checkerboard-even", make_tables("checkerboard-even", shape, 2)),
        ("low", words("L", "H")),
    ]
    path = pictures.draw_tables(named, shape, tmp_path / "t.svg", "Tables & <more>")
    panels = pictures.lay_out_tables(named, shape)
    colours = np.array(
        [rgb(c) for c in (pictures.KEPT_COLOUR, *pictures.EXIT_COLOURS)], dtype=np.uint8
    )
    drawn = svg.images(path)[3:]  # behind the legend's three
    assert len(drawn) == len(panels)
    for panel, image in zip(panels, drawn, strict=True):
        fates = pictures.find_exit_splits(named[panel.row][1], shape)[panel.channel or 0]
        assert (image == colours[np.where(fates <= panel.split, fates, 0)]).all(), panel
    said = svg.texts(path)
    assert said[:4] == [
        "Tables & <more>",
        "factored out at split 1",
        "factored out at split 2",
        "stays",
    ]
    assert {"after split 1", "after split 2", "low  (R, G, B)"} <= set(said)
    assert svg.words(path) == ("Tables & <more>", "Rows: checkerboard-even, low")
    again = pictures.draw_tables(named, shape, tmp_path / "u.svg", "Tables & <more>")
    assert path.read_bytes() == again.read_bytes()


def test_an_svg_is_as_large_as_the_png(tmp_path):
    named = [("low", words("L", "H"))]
    with Image.open(pictures.draw_tables(named, (3, 8, 8), tmp_path / "t.png")) as image:
        size = image.size
    found = svg.root(pictures.draw_tables(named, (3, 8, 8), tmp_path / "t.svg"))
    assert (found.get("width"), found.get("height")) == tuple(map(str, size))
    # Cells of whole pixels: an image of 8 entries is 8 panels' scales wide in the view box.
    wide = float(found.get("viewBox", "").split()[2])
    scale = pictures.lay_out_tables(named, (3, 8, 8))[0].scale
    matrix = [
        list(map(float, one.get("transform").removeprefix("matrix(").rstrip(")").split()))
        for one in found.iter(f"{svg.SVG}image")
    ]
    panel = pictures.lay_out_tables(named, (3, 8, 8))[0]
    pixels_of = size[0] / wide
    assert any(
        (m[0] * pixels_of, m[4] * pixels_of, m[5] * pixels_of)
        == pytest.approx((scale, panel.left, panel.top), abs=1e-3)
        for m in matrix
    )


def test_an_svg_of_samples_holds_them_and_says_what_they_are(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, size=(3, 3, 4, 4), dtype=np.uint8)
    picture, raster = (
        pictures.sample_grid(images, tmp_path / f"g.{form}", 2, 3, "Of <mine>")
        for form in ("svg", "png")
    )
    (grid,) = svg.images(picture)
    assert (grid == pixels(raster)).all()
    assert svg.words(picture) == ("Of <mine>", "3 images in rows of 2")


@pytest.mark.filterwarnings("ignore:Glyph")
@pytest.mark.parametrize("title", ["<script>x</script>]]>", "&amp;\x00\x1b\ufffe\ud800", "日本"])
def test_any_title_is_text_in_an_svg(tmp_path, title):
    path = pictures.draw_tables([(title, words("L"))], (3, 8, 8), tmp_path / "t.svg", title)
    assert svg.texts(path)[0] == svg.words(path)[0] == printable(title)
