"""Index tables against implementations written out loop by loop."""

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from lcma.models.factorization import (
    SplitTable,
    make_tables,
    surviving_ids,
    table_from_map,
    tied_share,
)
from lcma.sweeps.factorizations import DATA_RULES, FIXED, MAP_RULES, PAIRS, words

Shape = tuple[int, int, int]
Nested = list[list[list[int]]]
SHAPE: Shape = (2, 8, 8)


def tied_maps(shape: Shape) -> st.SearchStrategy[NDArray[np.float64]]:
    """Maps of few distinct values, so that many windows have ties."""
    return arrays(np.float64, shape, elements=st.sampled_from([-1.5, -0.0, 0.0, 0.25, 2.0]))


shapes = st.tuples(st.integers(1, 3), st.sampled_from([2, 4, 6]), st.sampled_from([2, 4, 6]))


def window(R: int, Q: int) -> list[tuple[int, int]]:
    """The four positions of a window, in raster order."""
    return [(2 * R + dr, 2 * Q + dq) for dr in (0, 1) for dq in (0, 1)]


def naive_table(
    shape: Shape, keep: Callable[[int, int, int], Sequence[int]]
) -> tuple[Nested, Nested]:
    """Kept and left, by a rule that names the two positions of each window that stay."""
    C, H, W = shape
    kept = [[[-1] * (W // 2) for _ in range(H // 2)] for _ in range(2 * C)]
    left = [[[-1] * (W // 2) for _ in range(H // 2)] for _ in range(2 * C)]
    for c, R, Q in itertools.product(range(C), range(H // 2), range(W // 2)):
        stays = sorted(keep(c, R, Q))
        goes = [p for p in range(4) if p not in stays]
        for half, positions in ((kept, stays), (left, goes)):
            for k, p in enumerate(positions):
                r, q = window(R, Q)[p]
                half[k * C + c][R][Q] = c * H * W + r * W + q
    return kept, left


def upper_two(values: Callable[[int, int, int], float], letter: str) -> Callable[..., list[int]]:
    """The map rule: L keeps the two high ones; in a tie the earlier position is higher."""

    def keep(c: int, R: int, Q: int) -> list[int]:
        four = [values(c, r, q) for r, q in window(R, Q)]
        descending = sorted(range(4), key=lambda p: (-four[p], p))
        return descending[:2] if letter == "L" else descending[2:]

    return keep


def halves(table: SplitTable) -> tuple[Nested, Nested]:
    return table.kept.tolist(), table.left.tolist()


def assert_equal(tables: Sequence[SplitTable], expected: Sequence[SplitTable]) -> None:
    assert [halves(table) for table in tables] == [halves(table) for table in expected]


@given(st.data(), shapes, st.sampled_from("LH"))
@settings(max_examples=60, deadline=None)
def test_the_map_rule(data: st.DataObject, shape: Shape, letter: str) -> None:
    values = data.draw(tied_maps(shape))
    table = table_from_map(values, letter)
    assert halves(table) == naive_table(shape, upper_two(lambda *at: values[at], letter))
    assert table.input_shape == shape


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_share_of_tied_windows(data: st.DataObject) -> None:
    values = data.draw(tied_maps((2, 4, 4)))
    ties = 0
    for c, R, Q in itertools.product(range(2), range(2), range(2)):
        four = sorted(values[c, r, q] for r, q in window(R, Q))
        ties += four[1] == four[2]
    assert tied_share(values) == ties / 8


POSITIONS = {"a": 0, "b": 1, "c": 2, "d": 3}
FIXED_PAIRS = {"checkerboard-even": ["ad"], "checkerboard-odd": ["bc"], "rows": ["cd"]}
PATTERNS = ("keep-ab", "keep-ad-bc-cd", "keep-bd-bd-ac", "keep-ac")
PAIRS_BY_NAME = FIXED_PAIRS | {name: name.split("-")[1:] for name in PATTERNS}


@pytest.mark.parametrize("name", PAIRS_BY_NAME)
def test_a_pattern_keeps_its_two_positions_of_every_window(name: str) -> None:
    pairs = PAIRS_BY_NAME[name]
    tables = make_tables(name, SHAPE, 3)
    for split, shape in enumerate([(2, 8, 8), (4, 4, 4), (8, 2, 2)]):
        assert halves(tables[split]) == naive_lattice([pairs[split % len(pairs)]], shape)


@given(st.data())
@settings(max_examples=30, deadline=None)
def test_low_global_factors_out_the_low_half_of_all_dimensions(data: st.DataObject) -> None:
    maps = data.draw(tied_maps((6, 8, 8))).reshape(3, *SHAPE)
    tables = make_tables("low-global", SHAPE, 3, maps=list(maps))
    first, *later = (ids.ravel().tolist() for ids in surviving_ids(tables, SHAPE))
    assert first == list(range(128))
    before = first
    for values, ids in zip(maps, later, strict=True):
        flat = values.ravel()
        # Of equal values the earlier place is higher.
        order = sorted(range(len(before)), key=lambda place: (-flat[before[place]], place))
        assert sorted(ids) == sorted(before[place] for place in order[: len(order) // 2])
        before = ids


def lattice_pairs(table: SplitTable, colours: int) -> list[str]:
    """The pair that a table keeps, for each colour; fails if windows of a colour differ."""
    C, H, W = table.input_shape
    kept = set(table.kept.ravel().tolist())
    pairs: list[set[str]] = [set() for _ in range(colours)]
    for c, R, Q in itertools.product(range(C), range(H // 2), range(W // 2)):
        at = [c * H * W + r * W + q for r, q in window(R, Q)]
        pairs[c % colours].add("".join(p for p, i in zip("abcd", at, strict=True) if i in kept))
    assert all(len(pairs_of_colour) == 1 for pairs_of_colour in pairs)
    return [pairs_of_colour.pop() for pairs_of_colour in pairs]


def naive_lattice(pairs: Sequence[str], shape: Shape) -> tuple[Nested, Nested]:
    return naive_table(shape, lambda c, R, Q: [POSITIONS[p] for p in pairs[c % len(pairs)]])


RGB_SHAPE: Shape = (3, 8, 8)


@pytest.mark.parametrize("order", ["raster", "rank"])
def test_low_lattice_keeps_what_low_keeps_most_often_for_all_216_choices(order: Any) -> None:
    """Each window prefers a pair of its own, and only the commonest one of a colour counts."""
    random = np.random.RandomState(3)
    for pairs in itertools.product(PAIRS, repeat=3):
        values = random.uniform(0, 1, (3, 4, 4))
        for c, pair in enumerate(pairs):
            others = random.permutation([p for p in PAIRS if p != pair])
            chosen = random.permutation([pair, pair, *others[:2]])  # two of four windows agree
            for (R, Q), stays in zip(itertools.product((0, 1), (0, 1)), chosen, strict=True):
                for p in stays:
                    values[(c, *window(R, Q)[POSITIONS[p]])] += 1
        (table,) = make_tables("low-lattice", (3, 4, 4), 1, maps=[values], order=order)
        if order == "raster":
            assert halves(table) == naive_lattice(pairs, (3, 4, 4))
            continue
        assert lattice_pairs(table, 3) == list(pairs)
        for half in (table.kept, table.left):
            first, second = values.ravel()[half].reshape(2, 3, 4).mean(axis=-1)
            assert (first > second).all(), "the position of higher mean contribution comes first"


@given(st.data())
@settings(max_examples=25, deadline=None)
def test_low_tied_is_low_by_the_maps_mean_over_colours(data: st.DataObject) -> None:
    maps = data.draw(tied_maps((9, 8, 8))).reshape(3, *RGB_SHAPE)
    means = np.repeat(maps.mean(axis=1, keepdims=True), 3, axis=1)
    for order in ("raster", "rank"):
        tables = make_tables("low-tied", RGB_SHAPE, 3, maps=list(maps), order=order)
        assert_equal(tables, make_tables("LLL", RGB_SHAPE, 3, maps=list(means), order=order))


@given(st.data())
@settings(max_examples=25, deadline=None)
def test_low_lattice_counts_the_dimensions_that_it_has_kept(data: st.DataObject) -> None:
    maps = data.draw(tied_maps((9, 8, 8))).reshape(3, *RGB_SHAPE)
    tables = make_tables("low-lattice", RGB_SHAPE, 3, maps=list(maps))
    for values, ids, table in zip(maps, surviving_ids(tables, RGB_SHAPE), tables, strict=False):
        low = table_from_map(values.ravel()[ids], "L")
        C, H, W = low.input_shape
        kept = set(low.kept.ravel().tolist())
        for colour, pair in enumerate(lattice_pairs(table, 3)):
            counts = dict.fromkeys(PAIRS, 0)
            for c, R, Q in itertools.product(range(colour, C, 3), range(H // 2), range(W // 2)):
                at = zip("abcd", (c * H * W + r * W + q for r, q in window(R, Q)), strict=True)
                counts["".join(p for p, i in at if i in kept)] += 1
            assert pair == max(PAIRS, key=lambda p: counts[p])


@pytest.mark.parametrize("name", DATA_RULES)
def test_rules_of_the_data_read_their_maps_as_a_word(name: str) -> None:
    maps = np.random.RandomState(5).randint(0, 3, (3, *SHAPE)).astype(float)
    for order in ("raster", "rank"):
        tables = make_tables(name, SHAPE, 3, maps=list(maps), order=order)
        assert_equal(tables, make_tables("LLL", SHAPE, 3, maps=list(maps), order=order))


def test_channel_lets_the_second_half_of_the_squeezed_channels_leave() -> None:
    C, H, W = 3, 4, 4
    (table,) = make_tables("channel", (C, H, W), 1)
    squeezed = [[[-1] * (W // 2) for _ in range(H // 2)] for _ in range(4 * C)]
    for c, dr, dq, R, Q in itertools.product(range(C), (0, 1), (0, 1), (0, 1), (0, 1)):
        squeezed[4 * c + 2 * dr + dq][R][Q] = c * H * W + (2 * R + dr) * W + 2 * Q + dq
    assert halves(table) == (squeezed[: 2 * C], squeezed[2 * C :])


def naive_recursion(word: str, maps: NDArray[np.float64], shape: Shape) -> list[list[int]]:
    """Input ids that stay after each split, in the layout of its output."""
    C, H, W = shape
    ids = [[[c * H * W + r * W + q for q in range(W)] for r in range(H)] for c in range(C)]
    stayed = []
    for values, letter in zip(maps, word, strict=True):
        flat, before = values.ravel(), ids
        keep = upper_two(lambda c, r, q, ids=ids, flat=flat: flat[ids[c][r][q]], letter)
        kept, _ = naive_table((len(ids), len(ids[0]), len(ids[0][0])), keep)
        row = [i for plane in before for line in plane for i in line]
        ids = [[[row[place] for place in line] for line in plane] for plane in kept]
        stayed.append([i for plane in ids for line in plane for i in line])
    return stayed


@given(st.data(), st.sampled_from(words(3)))
@settings(max_examples=25, deadline=None)
def test_words_read_each_map_at_the_ids_that_stayed(data: st.DataObject, word: str) -> None:
    maps = data.draw(tied_maps((6, 8, 8))).reshape(3, *SHAPE)
    tables = make_tables(word, SHAPE, 3, maps=list(maps))
    first, *later = (ids.ravel().tolist() for ids in surviving_ids(tables, SHAPE))
    assert first == list(range(128))
    assert later == naive_recursion(word, maps, SHAPE)


@pytest.mark.parametrize(
    "name",
    [n for n in (*FIXED, "LHL", "HHL", "keep-ad-bc-cd", *MAP_RULES, "variance-low") if n != "none"],
)
def test_the_halves_of_each_table_are_a_partition(name: str) -> None:
    maps = np.random.RandomState(0).randint(0, 3, (3, *SHAPE)).astype(float)
    for split, table in enumerate(make_tables(name, SHAPE, 3, seed=4, maps=list(maps))):
        assert table.kept.shape == table.left.shape
        assert sorted(table.permutation.tolist()) == list(range(128 >> split))


RANDOM = [15, 2, 3, 11, 7, 13, 4, 0, 6, 12, 1, 8, 10, 14, 5, 9]
RANDOM_LOCAL = [0, 2, 9, 10, 5, 6, 12, 15, 1, 3, 8, 11, 4, 7, 13, 14]
RANDOM_LATTICE = [["ac", "cd", "cd"], ["bd", "ad", "bc"]]


def test_random_tables_never_change() -> None:
    """Only the seed is in a trial's id: other draws would be other experiments with old ids."""
    random, local = (
        make_tables(name, (1, 4, 4), 1, seed=0)[0] for name in ("random", "random-local")
    )
    assert random.permutation.tolist() == RANDOM
    assert local.permutation.tolist() == RANDOM_LOCAL
    lattice = make_tables("random-lattice", RGB_SHAPE, 2, seed=0)
    assert [lattice_pairs(table, 3) for table in lattice] == RANDOM_LATTICE


@pytest.mark.parametrize("word", ["L", "LLH"])
def test_a_word_has_a_letter_for_each_split(word: str) -> None:
    with pytest.raises(ValueError, match=f"the word {word} has {len(word)} letters: 2 splits need"):
        make_tables(word, SHAPE, 2, maps=[np.zeros(SHAPE)] * 2)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_word_needs_a_map_of_the_images_shape_for_each_split(count: int) -> None:
    with pytest.raises(ValueError, match=r"LH needs 2 maps of shape \(2, 8, 8\)"):
        make_tables("LH", SHAPE, 2, maps=[np.zeros(SHAPE)] * count)
    with pytest.raises(ValueError, match="LH needs 2 maps"):
        make_tables("LH", SHAPE, 2, maps=[np.zeros(SHAPE), np.zeros((2, 4, 4))])
