"""Effects of the letters of words, against numpy's least squares, scipy and planted models."""

import io
import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from scipy import stats

from lcma.harness.results.effects import compute_effects
from lcma.harness.show.effects import effects_as_dict, render_effects
from lcma.harness.text import to_json
from lcma.sweeps import factorizations
from tests.harness.show import synthetic
from tests.harness.show.frames import board_of

BITS = st.floats(1, 9)
"""Bits/dim as trainings give them."""


def board(rows, splits):
    """A board of rows (factorization, seed, bits/dim, what differs)."""
    numbered = [
        synthetic.BASE
        | {"budget": 100, "splits": splits, "attempt_id": f"{i:05}"}
        | {"factorization": name, "seed": seed, "bits_per_dim": bits}
        | more
        for i, (name, seed, bits, more) in enumerate(rows)
    ]
    return board_of(numbered)


def splits_of(bits):
    return round(math.log2(bits.shape[1]))


def factorial(bits, **more):
    """Rows of the words of bits (seeds, words), in the order of `factorizations.words`."""
    words = factorizations.words(splits_of(bits))
    return [
        (word, seed, float(bits[seed, k]), more)
        for seed in range(len(bits))
        for k, word in enumerate(words)
    ]


def one_of(rows, splits):
    (found,) = compute_effects(board(rows, splits))
    return found


def levels(splits):
    """Words (2^splits, splits) as +1 for L and -1 for H."""
    return np.array(
        [[1.0 if letter == "L" else -1.0 for letter in w] for w in factorizations.words(splits)]
    )


def planted(terms, splits, seeds=1):
    """Bits/dim (seeds, 2^splits) that `terms` add to 4: the effect of each set of splits."""
    at = levels(splits)
    bits = 4.0 + sum(e / 2 * at[:, [k - 1 for k in s]].prod(1) for s, e in terms.items())
    return bits + np.arange(seeds)[:, None]  # a seed shifts all its words alike


def shown(found, width=80):
    console = Console(width=width, file=io.StringIO())
    console.print(render_effects(found))
    return console.file.getvalue()


def test_effects_are_shown_and_tables_without_all_words_counted():
    whole = factorial(planted({(1,): 0.5}, 2, seeds=9), budget=100)
    three = [row for row in factorial(planted({(1,): 0.5}, 2), budget=70) if row[0] != "HL"]
    found = compute_effects(board([r for r in whole if r[:2] != ("HL", 7)] + three, 2))
    assert [(one.budget, one.seeds, one.incomplete) for one in found] == [
        (70, (), (0,)),
        (100, (*range(7), 8), (7,)),
    ]
    assert (found[0].main, found[0].interactions_share) == ((), None)
    text = one_line(shown(found))
    assert "budget 100 data" in text
    assert "Left out: 1 seed without all words." in text
    assert "No effects in 1 table: no seed has results of all words." in text
    text = one_line(shown(found[:1]))
    assert "No effects in 1 table" in text
    assert "Next: lcma launch words" in text
    assert "Effect:" not in text


def one_line(text):
    return " ".join(text.split())


@st.composite
def tables(draw):
    splits, seeds = draw(st.integers(1, 4)), draw(st.integers(1, 7))
    values = draw(st.lists(BITS, min_size=seeds * 2**splits, max_size=seeds * 2**splits))
    return np.array(values).reshape(seeds, 2**splits)


@given(tables())
def test_effects_agree_with_scipy_and_shares_with_least_squares(bits):
    splits = splits_of(bits)
    found = one_of(factorial(bits), splits)
    assert found.seeds == tuple(range(len(bits)))
    assert [e.splits for e in found.main] == [(k + 1,) for k in range(splits)]
    for k, effect in enumerate(found.main):
        low = levels(splits)[:, k] > 0
        by_seed = bits[:, low].mean(1) - bits[:, ~low].mean(1)
        assert effect.test.mean == pytest.approx(by_seed.mean(), abs=1e-12)
        if len(bits) > 1:
            assert effect.test.standard_error == pytest.approx(stats.sem(by_seed), abs=1e-12)
            half = stats.t.ppf(0.975, len(bits) - 1) * stats.sem(by_seed)
            assert effect.test.half_width == pytest.approx(half, abs=1e-9)
    means = bits.mean(0)
    total = np.square(means - means.mean()).sum()
    if total < 1e-6:  # nothing but rounding
        return
    everything = (*found.main, *found.interactions)
    for effect in everything:
        column = levels(splits)[:, [k - 1 for k in effect.splits]].prod(1)
        correlation = np.corrcoef(column, means)[0, 1]
        assert effect.share == pytest.approx(correlation**2, abs=1e-9)
    additive = np.concatenate([np.ones((2**splits, 1)), levels(splits)], 1)
    fitted = additive @ np.linalg.lstsq(additive, means, rcond=None)[0]
    left = np.square(means - fitted).sum() / total
    assert found.interactions_share == pytest.approx(left, abs=1e-9)
    assert len(everything) == 2**splits - 1
    assert math.fsum(e.share for e in everything) == pytest.approx(1)


def test_an_additive_model_gives_its_effects_and_no_interaction():
    bits = planted({(1,): -0.5, (2,): 0.25, (3,): 0.0}, splits=3, seeds=6)
    found = one_of(factorial(bits), 3)
    main = [(e.splits, e.test.mean, e.share) for e in found.main]
    assert main == [((1,), -0.5, 0.8), ((2,), 0.25, 0.2), ((3,), 0.0, 0.0)]
    assert {e.test.half_width for e in found.main} == {0.0}
    assert {e.test.mean for e in found.interactions} == {found.interactions_share} == {0.0}
    text = shown([found])
    assert "Interactions have a share of 0.0 %" in text
    assert "Fewer than" not in text
    assert max(map(len, text.splitlines())) <= 80
    assert "2 +0.2500 0.0000 0.0000 6 20.0 %" in one_line(text)
    assert "below 0 it is better to factor the low contributions out there" in one_line(text)
    (read,) = json.loads(to_json(effects_as_dict([found])))["effects"]
    assert (read["seeds"], read["budget"], read["interactions_share"]) == ([*range(6)], 100, 0.0)
    assert [(tuple(e["splits"]), e["mean"], e["share"]) for e in read["main"]] == main


def test_a_planted_interaction_is_found_at_its_splits():
    where = (1, 3)
    found = one_of(factorial(planted({(2,): 0.5, where: -0.5}, splits=3)), 3)
    assert [e.splits for e in found.interactions] == [(1, 2), (1, 3), (2, 3), (1, 2, 3)]
    assert {e.splits: e.test.mean for e in found.interactions if e.test.mean} == {where: -0.5}
    assert [e.test.mean for e in found.main] == [0.0, 0.5, 0.0]
    assert found.interactions_share == 0.5
    assert "Fewer than 6 seeds decide nothing" in shown([found])
    said = "Interactions have a share of 50.0 %. The largest, of splits 1 and 3: -0.5000"
    assert said in one_line(shown([found]))


def test_equal_words_have_no_shares():
    found = one_of(factorial(np.full((6, 4), 4.1)), 2)
    assert {(e.test.mean, e.share) for e in (*found.main, *found.interactions)} == {(0.0, None)}
    assert found.interactions_share is None
    assert "nothing to share" in shown([found])
