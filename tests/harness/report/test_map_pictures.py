"""Pictures of maps: every panel's pixels are the values and tables that it shows."""

import dataclasses

import numpy as np
import pytest
from matplotlib import colormaps
from PIL import Image

from lcma.db import MapStatistics
from lcma.harness.report.map_pictures import MapColumn, draw_maps, lay_out_maps
from lcma.harness.report.pictures import EXIT_COLOURS, KEPT_COLOUR, find_exit_splits
from lcma.harness.results.maps import make_word_tables
from lcma.sweeps.errors import UserError
from tests.harness.report.maps import contribution, noise

SHAPE = (3, 8, 8)
STATISTICS = MapStatistics(
    mask_share=0.9,
    mask_share_by_chance=0.06,
    standard_error=0.1,
    rank_gap=0.2,
    error_to_gap=0.5,
    unresolved=0.25,
    tied=0.0,
)


def columns(count, shape=SHAPE, splits=2):
    return [
        MapColumn(
            f"budget {budget}",
            [contribution(noise([budget, k], shape), k + 1) for k in range(splits)],
        )
        for budget in range(count)
    ]


def draw(folder, found, title="title", below="below"):
    path = draw_maps(found, title, below, folder / "m.png")
    with Image.open(path) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB"))


def squares(image, panel, shape):
    """The colour of each entry of a panel, (H, W, 3); every entry is one colour."""
    tall, wide = shape[1] * panel.scale, shape[2] * panel.scale
    part = image[panel.top : panel.top + tall, panel.left : panel.left + wide]
    cells = part.reshape(shape[1], panel.scale, shape[2], panel.scale, 3)
    assert (cells == cells[:, :1, :, :1]).all()
    return cells[:, 0, :, 0].astype(int)


@pytest.mark.parametrize("count", [1, 2, 3, 8])
@pytest.mark.parametrize("shape", [(3, 8, 8), (1, 8, 8), (3, 16, 16), (3, 64, 64)])
def test_panels_show_maps_on_one_scale_for_each_split_and_tables(tmp_path, count, shape):
    if shape == (3, 64, 64) and count == 3:
        return  # as 8
    found = columns(count, shape)
    image = draw(tmp_path, found)
    panels = lay_out_maps(found)
    colours = np.array([tuple(bytes.fromhex(c[1:])) for c in (KEPT_COLOUR, *EXIT_COLOURS)])
    done = [find_exit_splits(make_word_tables("L", column.maps), shape) for column in found]
    for split in (1, 2):

        def values(panel, split=split):
            of = found[panel.column].maps[split - 1].values
            return of.mean(axis=0, dtype=float) if panel.channel is None else of[panel.channel]

        row = [p for p in panels if p.split == split]
        maps = [p for p in row if p.what == "map"]
        low = min(values(p).min() for p in maps)
        high = max(values(p).max() for p in maps)
        for panel in row:
            if panel.what == "map":
                scaled = (values(panel).astype(float) - low) / (high - low)
                expected = colormaps["cividis"](scaled, bytes=True)[..., :3].astype(int)
            else:
                of = done[panel.column][panel.channel or 0]
                expected = colours[np.where(of <= split, of, 0)]
            assert abs(squares(image, panel, shape) - expected).max() <= 1, panel


@pytest.mark.parametrize("count", [1, 2, 3, 8])
def test_every_column_has_its_map_and_all_channels_of_its_table(count):
    panels = lay_out_maps(columns(count))
    for column in range(count):
        for split in (1, 2):
            of = [p for p in panels if (p.column, p.split) == (column, split)]
            maps = {p.channel for p in of if p.what == "map"}
            assert maps == ({0, 1, 2, None} if count <= 2 else {None})
            assert {p.channel for p in of if p.what == "table"} == {0, 1, 2}


def test_a_table_alike_in_all_channels_is_drawn_once():
    same = np.broadcast_to(noise(0, (1, 8, 8)), SHAPE)
    panels = lay_out_maps([MapColumn("b", [contribution(same)])])
    assert [p.channel for p in panels if p.what == "table"] == [None]


@pytest.mark.parametrize("count", [1, 2, 5, 8])
@pytest.mark.parametrize("shape", [(3, 8, 8), (3, 32, 32), (1, 28, 28)])
def test_panels_neither_overlap_nor_leave_the_picture(tmp_path, count, shape):
    found = columns(count, shape)
    image = draw(tmp_path, found)
    taken = np.zeros(image.shape[:2], dtype=int)
    for p in lay_out_maps(found):
        assert p.top + shape[1] * p.scale < len(taken)
        assert p.left + shape[2] * p.scale < taken.shape[1]
        taken[p.top : p.top + shape[1] * p.scale, p.left : p.left + shape[2] * p.scale] += 1
    assert taken.max() == 1
    assert taken.shape[1] < 2600


def test_each_split_has_a_row(tmp_path):
    heights = [draw(tmp_path, columns(1, splits=n)).shape[0] for n in (1, 2, 3)]
    assert heights[1] - heights[0] == heights[2] - heights[1] > 128


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 8, 8)])
def test_no_text_is_cut_off(tmp_path, shape):
    found = columns(1, shape)
    maps = [dataclasses.replace(m, statistics=STATISTICS) for m in found[0].maps]
    for title, below in (("t", "b"), ("title " * 25, "b"), ("t", "below " * 30)):
        image = draw(tmp_path, [MapColumn("budget 10", maps)], title, below)
        assert (image[:, -4:] == 255).all(), (title, below)
        assert (image[-4:] == 255).all(), (title, below)


@pytest.mark.filterwarnings("ignore:Glyph")  # the font may lack it: then a box is drawn
@pytest.mark.parametrize("title", ["$\\frac{", "\x1b[31m\n[red]", "日本", ""])
def test_any_title_can_be_drawn(tmp_path, title):
    flat = MapColumn(title, [contribution(np.zeros(SHAPE), errors=np.nan)])
    assert draw(tmp_path, [flat], title, title).size


def test_the_same_pictures_are_the_same_bytes(tmp_path):
    one, two = (draw_maps(columns(2), "t", "b", tmp_path / f"{k}.png") for k in (1, 2))
    assert one.read_bytes() == two.read_bytes()


def test_what_cannot_be_drawn(tmp_path):
    for wrong in ([], columns(9), [MapColumn("b", [])]):
        with pytest.raises(ValueError, match="cannot be drawn"):
            draw(tmp_path, wrong)
    with pytest.raises(UserError, match="one shape"):
        draw(tmp_path, [*columns(1), *columns(1, (3, 16, 16))])
    assert list(tmp_path.iterdir()) == []
