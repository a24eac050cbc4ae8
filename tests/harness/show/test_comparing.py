"""Two sets of maps against each other: numbers written out by hand, and the picture."""

import dataclasses
import itertools

import numpy as np
import pytest

from lcma.harness.results.maps import compare_maps, make_word_tables
from lcma.harness.show.grids import AREA_COLOURS, KEPT_COLOUR, find_exit_splits, read_colours
from lcma.harness.show.map_pictures import PALE, MapColumn, draw_comparison
from lcma.sweeps.errors import UserError
from tests.harness.show import svg
from tests.harness.show.maps import contribution, noise

SHAPE = (3, 8, 8)


def maps(seed=0, splits=2, shape=SHAPE):
    return [contribution(noise([seed, k], shape), k + 1) for k in range(splits)]


def changed(found, change):
    return [dataclasses.replace(m, values=change(m).astype(np.float32)) for m in found]


def naive_ranks(values):
    """Ranks from 1, ties sharing their mean, by counting."""
    return [sum(v < x for v in values) + (sum(v == x for v in values) + 1) / 2 for x in values]


def naive_spearman(one, other):
    return np.corrcoef(naive_ranks(one.ravel()), naive_ranks(other.ravel()))[0, 1]


def naive_centred(values, split, form):
    """Values less the mean of those that share a window, found by their positions."""
    apart = 2 ** (split - 1) if form == "squeezed" else 1
    centred = np.empty(values.shape)
    for c, h, w in np.ndindex(*values.shape):
        # Neighbours in the squeezed tensor are `apart` pixels apart in the image.
        first = [x - x % (2 * apart) + x % apart for x in (h, w)]
        four = [values[c, first[0] + i, first[1] + j] for i in (0, apart) for j in (0, apart)]
        centred[c, h, w] = values[c, h, w] - np.mean(four, dtype=np.float64)
    return centred


def naive_stay(word_of_high, found):
    """Which dimensions are there after each split: two of the four of each window."""
    there = [
        [[(c, h, w) for w in range(found[0].values.shape[2])] for h in range(8)] for c in range(3)
    ]
    after = []
    for item in found:
        halves = []
        for grid in there:
            pairs = {}
            for R, Q in itertools.product(range(len(grid) // 2), repeat=2):
                four = [grid[2 * R + i][2 * Q + j] for i in (0, 1) for j in (0, 1)]
                four.sort(key=lambda d: -item.values[d])
                pairs[R, Q] = sorted(four[2:] if word_of_high else four[:2])
            side = range(len(grid) // 2)
            halves += [[[pairs[R, Q][k] for Q in side] for R in side] for k in (0, 1)]
        there = halves
        after.append({d for grid in there for line in grid for d in line})
    return after


def test_numbers_against_definitions_written_out():
    one, other = maps(0), maps(1)
    for form in ("squeezed", "flat"):
        for k, found in enumerate(compare_maps(one, other, form)):
            a, b = one[k].values.astype(float), other[k].values.astype(float)
            assert found.split == k + 1
            assert found.largest_difference == pytest.approx(abs(a - b).max())
            assert found.rms_difference == pytest.approx(np.sqrt(((a - b) ** 2).mean()))
            assert found.rank_correlation == pytest.approx(naive_spearman(a, b))
            centred = [naive_centred(x, k + 1, form) for x in (a, b)]
            assert found.rank_correlation_in_windows == pytest.approx(naive_spearman(*centred))


def test_overlaps_against_sets_of_dimensions():
    differ = 0
    for seed in range(4):
        one, other = maps(seed), maps(seed + 10)
        for k, found in enumerate(compare_maps(one, other, "squeezed")):
            for high, iou in ((False, found.iou_low), (True, found.iou_high)):
                a, b = naive_stay(high, one)[k], naive_stay(high, other)[k]
                assert iou == pytest.approx(len(a & b) / len(a | b)), (seed, k, high)
            differ += found.iou_low != found.iou_high
    assert differ >= 2, "or low and high could stand for each other"


def test_overlap_by_chance_is_that_of_unrelated_maps():
    pairs = [compare_maps(maps(2 * k), maps(2 * k + 1), "flat") for k in range(200)]
    for split in (0, 1):
        mean = np.mean([found[split].iou_low for found in pairs])
        # IoU is convex in the intersection, so its mean is a little above.
        assert mean == pytest.approx(pairs[0][split].iou_by_chance, rel=0.05)


@pytest.mark.parametrize(("letters", "high"), [(("L", "LH"), False), (("LH", "H"), True)])
def test_maps_of_what_a_word_left_are_compared_by_it_alone(letters, high):
    one, other = maps(0), maps(1)
    stayed = naive_stay(high, other if high else one)[0]
    there = np.zeros(SHAPE, dtype=bool)
    there[tuple(np.transpose(sorted(stayed)))] = True
    first, second = compare_maps(one, other, "flat", letters)
    whole = compare_maps(one, other, "flat")
    ious = [(x.iou_high, x.iou_low) if high else (x.iou_low, x.iou_high) for x in (first, second)]
    assert ious == [(x.iou_high if high else x.iou_low, None) for x in whole]
    assert first.rank_correlation == whole[0].rank_correlation
    assert first.rank_correlation_in_windows == whole[0].rank_correlation_in_windows
    a, b = (found[1].values.astype(float) for found in (one, other))
    assert second.rank_correlation == pytest.approx(naive_spearman(a[there], b[there]))
    assert second.largest_difference == pytest.approx(abs(a - b)[there].max())
    windows = np.argwhere(there).tolist()
    pairs = [  # the two of each window that stay, one after the other
        [tuple(d) for d in windows if [d[0], d[1] // 2, d[2] // 2] == window]
        for window in [list(w) for w in np.ndindex(3, 4, 4)]
    ]
    apart = [[x[d] - np.mean([x[e] for e in pair]) for pair in pairs for d in pair] for x in (a, b)]
    assert second.rank_correlation_in_windows == pytest.approx(
        naive_spearman(*map(np.array, apart))
    )
    pair = [one, other]
    first_map, second_map = pair[high]  # what has left it does not matter
    pair[high] = [first_map, *changed([second_map], lambda m: np.where(there, m.values, 9.0))]
    assert compare_maps(*pair, "flat", letters)[1] == second


def test_maps_of_no_dimension_in_common_have_no_numbers():
    one = maps()
    other = changed(one, lambda m: -m.values)
    _, found = compare_maps(one, other, "flat", ("L", "L"))
    assert (found.largest_difference, found.rms_difference) == (None, None)
    assert (found.rank_correlation, found.rank_correlation_in_windows) == (None, None)
    assert (found.iou_low, found.iou_high) == (0, None)


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (maps(shape=(3, 16, 16)), "3x8x8 at 2 splits against 3x16x16 at 2 splits"),
        (maps(shape=(1, 8, 8)), "against 1x8x8"),
        (maps(splits=1), "against 3x8x8 at 1 split:"),
    ],
)
def test_maps_of_another_kind_are_refused(tmp_path, other, said):
    with pytest.raises(UserError, match=said):
        compare_maps(maps(), other, "squeezed")
    with pytest.raises(UserError, match=said):
        draw(tmp_path, maps(), other)


def draw(folder, one, other):
    columns = MapColumn("a@1", one), MapColumn("b@1", other)
    return draw_comparison(*columns, ("A", "B"), folder / "c.svg")


@pytest.mark.parametrize("shape", [(3, 8, 8), (1, 8, 8), (3, 64, 64)])
def test_the_picture_shows_maps_difference_and_tables(tmp_path, shape):
    one, other = maps(0, shape=shape), maps(1, shape=shape)
    path = draw(tmp_path, one, other)
    drawn = iter(svg.images(path))
    exits = [find_exit_splits(make_word_tables("L", found), shape) for found in (one, other)]
    colours = read_colours([KEPT_COLOUR, *AREA_COLOURS])
    count = shape[0] + (shape[0] > 1)
    for split in (1, 2):
        so_far = [np.where(found <= split, found, 0) for found in exits]
        agree = so_far[0] == so_far[1]
        assert 0.2 < agree.mean() < 0.8
        for table in so_far:
            assert [next(drawn).shape for _ in range(count)] == [(*shape[1:], 3)] * count
            pale = np.round(255 - PALE * (255 - colours[table].astype(float)))
            expected = np.where(agree[..., None], pale, colours[table])
            for channel in expected:
                assert abs(next(drawn) - channel).max() <= 1
        for k in range(count):
            image = next(drawn).astype(int)
            if k < shape[0]:
                more = (one[split - 1].values - other[split - 1].values)[k] > 0
                assert (image[more][:, 2] >= image[more][:, 0]).all(), "purple"
                assert (image[~more][:, 2] <= image[~more][:, 0] + 1).all(), "orange"
    assert next(drawn, None) is None
    assert {"A - B", "A, a@1", "low of B", "pale: A and B agree"} <= set(svg.texts(path))
