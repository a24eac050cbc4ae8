"""Stored maps in numbers, and the tables that they lead to."""

import dataclasses

import numpy as np
import pytest

from harness.place import Place
from harness.report import gallery, lookup, mapping
from harness.report.pictures import fates
from models.factorization import tied_windows
from sweeps.errors import UserError


def test_numbers_of_maps(filler):
    stored = filler.maps(seed=1)
    one, two = mapping.summarize(stored)
    assert (one.split, one.images, one.clusters, one.largest_standard_error) == (1, 1000, 5, 0.125)
    assert one.mean_log_det == stored[0].mean_log_det
    assert one.sum_error < 1e-9
    assert (one.tied, two.tied) == (0.0, 0.0)


def test_ties_are_counted_among_the_dimensions_still_there(filler):
    first, second = filler.maps()
    gone = fates(dict(mapping.every_table([first, second], 0))["low (LL)"], (3, 16, 16)) == 1
    elsewhere = np.where(gone, np.float32(0), second.values)
    assert tied_windows(elsewhere) > 0.1
    assert mapping.summarize([first, dataclasses.replace(second, values=elsewhere)])[1].tied == 0.0
    tied = second.values.copy()
    tied[:, :, 8:] = 1.0  # the right half of the image, whatever is left of it
    one, two = mapping.summarize([first, dataclasses.replace(second, values=tied)])
    assert one.tied == 0.0
    assert two.tied == pytest.approx(0.5)


def test_unknown_errors_are_none(filler):
    one, two = filler.maps()
    without = dataclasses.replace(one, standard_errors=np.full_like(one.values, np.nan))
    assert mapping.summarize([without, two])[0].largest_standard_error is None


def test_every_table_is_there(filler):
    stored = filler.maps()
    named = dict(mapping.every_table(stored, seed=0))
    assert list(named)[-2:] == ["low (LL)", "high (HH)"]
    assert set(named) >= {"checkerboard-even", "checkerboard-odd", "channel", "rows", "random"}
    left = fates(named["low (LL)"], (3, 16, 16)) == 1
    values = stored[0].values
    windows = values.reshape(3, 8, 2, 8, 2).transpose(0, 1, 3, 2, 4).reshape(3, 8, 8, 4)
    lower = windows <= np.sort(windows, axis=-1)[..., 1:2]
    back = lower.reshape(3, 8, 8, 2, 2).transpose(0, 1, 3, 2, 4).reshape(3, 16, 16)
    assert (left == back).all()


def test_maps_that_do_not_go_together(filler):
    one, two = filler.maps()
    for wrong in ([two], [one, one], [one, two] * 3):
        with pytest.raises(UserError, match="do not go together"):
            mapping.summarize(wrong)


def test_a_sweep_is_drawn_at_its_first_seed(filler):
    filler.maps(seed=0)
    filler.maps(seed=1)
    for seed in (0, 1):
        filler.weights("channel", seed, sweep="s1")
        filler.weights("LL", seed, budget=100, sweep="s1")
    filler.weights("random", 1, sweep="s1")
    filler.plan("rows", 0, sweep="s1")
    place = Place(filler.url, filler.runs, filler.folder)
    found = gallery.draw_sweep(filler.store, place, "s1", filler.folder / "out")
    names = [path.name.split("-")[0] for path in found]
    assert names == ["maps", "tables", "samples", "samples"]
    assert all("-s0-" in path.name and path.is_file() for path in found)
    assert len(set(found)) == 4
    assert lookup.find_sweep(filler.store, "demo").id == "s1"
