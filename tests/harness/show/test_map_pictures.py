"""Pictures of maps: every panel has the values and tables that it shows."""

import numpy as np
import pytest

from lcma.harness.results.maps import make_word_tables
from lcma.harness.show.grids import AREA_COLOURS, KEPT_COLOUR, find_exit_splits, read_colours
from lcma.harness.show.map_pictures import MOST_LOOKS, MapColumn, draw_history, draw_maps
from lcma.harness.text import printable
from lcma.harness.train.online import SplitHistory
from lcma.sweeps.errors import UserError
from tests.harness.show import svg
from tests.harness.show.maps import contribution, noise

SHAPE = (3, 8, 8)


def columns(count, shape=SHAPE, splits=2):
    return [
        MapColumn(
            f"budget {budget}",
            [contribution(noise([budget, k], shape), k + 1) for k in range(splits)],
        )
        for budget in range(count)
    ]


def draw(folder, found, title="title", below="below"):
    return draw_maps(found, title, [below], folder / "m.svg")


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("shape", [(3, 8, 8), (1, 8, 8), (3, 64, 64)])
def test_panels_show_maps_on_one_scale_for_each_split_and_tables(tmp_path, count, shape):
    found = columns(count, shape)
    drawn = iter(svg.images(draw(tmp_path, found)))
    colours = read_colours([KEPT_COLOUR, *AREA_COLOURS])
    exits = [find_exit_splits(make_word_tables("L", column.maps), shape) for column in found]
    for split in (1, 2):
        shown = []
        for column in found:
            values = column.maps[split - 1].values.astype(float)
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
    said = svg.texts(draw(tmp_path, columns(2)))
    panels = ["red", "green", "blue", "mean", "red", "green", "blue"]
    assert [text for text in said if text in panels] == panels * 4
    named = {"title", "below", "budget 0", "budget 1", "low", "split 1", "split 2", "nats"}
    assert named <= set(said)


def test_a_map_that_does_not_vary_is_drawn_under_any_title(tmp_path):
    title = "\x1b[31m$\\frac{"
    flat = MapColumn(title, [contribution(np.zeros(SHAPE), errors=np.nan)])
    assert svg.words(draw(tmp_path, [flat], title, title)) == (printable(title), printable(title))


def test_what_cannot_be_drawn(tmp_path):
    for wrong in ([], columns(9), [MapColumn("b", [])]):
        with pytest.raises(ValueError, match="cannot be drawn"):
            draw(tmp_path, wrong)
    with pytest.raises(UserError, match="one shape"):
        draw(tmp_path, [*columns(1), *columns(1, (3, 16, 16))])
    assert list(tmp_path.iterdir()) == []


# Tables that changed in training


def history(shape, looks, seed=0):
    """Tables of which each look changes every window of one channel, the rows from the top."""
    kept = [np.broadcast_to(np.indices(shape[1:]).sum(0) % 2 == 0, shape)]
    for look in range(looks):
        kept.append(kept[-1].copy())
        kept[-1][look % shape[0]] = ~kept[-1][look % shape[0]]
    return SplitHistory([10 * look for look in range(looks + 1)], np.array(kept))


@pytest.mark.parametrize("channels", [1, 3])
def test_a_history_has_a_panel_for_the_start_and_every_look(tmp_path, channels):
    found = [history((channels, 8, 8), 3), history((2 * channels, 4, 4), 1)]
    path = draw_history(found, "title", tmp_path / "h.svg")
    panels = svg.images(path)
    assert len(panels) == 4 + 2
    said = svg.texts(path)
    share = f"{1 / channels:.1%}"
    for line in ("step 0", f"step 10: {share}", f"step 30: {share}", "split 1", "split 2"):
        assert line in said
    assert f"step 10: {1 / (2 * channels):.1%}" in said
    kept, left = (np.array(tuple(bytes.fromhex(c[1:]))) for c in (KEPT_COLOUR, AREA_COLOURS[0]))
    first = np.where(found[0].kept[0][0][..., None], kept, left)
    assert (panels[0][:8] == first).all(), "the start in full colours"
    changed = np.where(found[0].kept[1][0][..., None], kept, left)
    assert (panels[1][:8] == changed).all(), "what a look changed too"
    if channels > 1:
        assert (panels[1][8] == 255).all(), "a line between channels"
        assert (panels[1][9:17].min(axis=(0, 1)) > first.min(axis=(0, 1))).all(), "the rest pale"
    assert panels[4].shape[:2] == (5 * channels - 1, 9), "as many on top of each other"


def test_of_a_long_history_some_looks_are_drawn_evenly(tmp_path):
    looks = MOST_LOOKS + 8
    found = [history((1, 8, 8), looks), history((2, 4, 4), 1)]
    path = draw_history(found, "title", tmp_path / "h.svg")
    said = svg.texts(path)
    assert len(svg.images(path)) == MOST_LOOKS + 2
    assert {"step 0", f"step {10 * looks}: 100.0%"} <= set(said)
    assert "not drawn, evenly between: 9 of split 1" in said
