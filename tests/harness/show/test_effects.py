"""Effects of the letters of words, against numpy's least squares, scipy and planted models."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from lcma.harness.results.effects import compute_effects
from lcma.harness.show.effects import effects_as_dict, render_effects
from lcma.harness.text import to_json
from lcma.sweeps import factorizations
from tests.harness.show.synthetic import board_of, print_text, row

BITS = st.floats(1, 9)
"""Bits/dim as trainings give them."""


def factorial(bits, **columns):
    """Rows of the words of bits (seeds, words), in the order of `factorizations.words`."""
    splits = round(math.log2(bits.shape[1]))
    return [
        row(word, seed, float(bits[seed, k]), splits=splits, **({"budget": 100} | columns))
        for seed in range(len(bits))
        for k, word in enumerate(factorizations.words(splits))
    ]


def compute_one(bits):
    """The effects of the only table."""
    (effects,) = compute_effects(board_of(factorial(bits)))
    return effects


def levels(splits):
    """Words (2^splits, splits) as +1 for L and -1 for H."""
    words = factorizations.words(splits)
    return np.array([[1.0 if letter == "L" else -1.0 for letter in word] for word in words])


def planted(terms, splits, seeds=1):
    """Bits/dim (seeds, 2^splits) that `terms` add to 4: the effect of each set of splits."""
    signs = levels(splits)
    bits = 4.0 + sum(e / 2 * signs[:, [k - 1 for k in s]].prod(1) for s, e in terms.items())
    return bits + np.arange(seeds)[:, None]  # a seed shifts all its words alike


def show(effects):
    return print_text(render_effects(effects))


def one_line(text):
    return " ".join(text.split())


def test_effects_are_shown_and_tables_without_all_words_counted():
    rows = factorial(planted({(1,): 0.5}, 2, seeds=9))
    rows = [r for r in rows if (r["factorization"], r["seed"]) != ("HL", 7)]
    three = factorial(planted({(1,): 0.5}, 2), budget=70)
    rows += [r for r in three if r["factorization"] != "HL"]
    tables = compute_effects(board_of(rows))
    assert [(table.budget, table.seeds, table.incomplete) for table in tables] == [
        (70, (), (0,)),
        (100, (*range(7), 8), (7,)),
    ]
    assert (tables[0].main, tables[0].interactions_share) == ((), None)
    text = one_line(show(tables))
    assert "budget 100 data" in text
    assert "Left out: 1 seed without all words." in text
    assert "No effects in 1 table: no seed has results of all words." in text
    text = one_line(show(tables[:1]))
    assert "No effects in 1 table" in text
    assert "Next: lcma launch words" in text
    assert "Effect:" not in text


@st.composite
def tables(draw):
    splits, seeds = draw(st.integers(1, 4)), draw(st.integers(1, 7))
    values = draw(st.lists(BITS, min_size=seeds * 2**splits, max_size=seeds * 2**splits))
    return np.array(values).reshape(seeds, 2**splits)


@given(tables())
def test_effects_agree_with_scipy_and_shares_with_least_squares(bits):
    effects = compute_one(bits)
    splits = len(effects.main)
    signs = levels(splits)
    assert effects.seeds == tuple(range(len(bits)))
    for k, effect in enumerate(effects.main):
        assert effect.splits == (k + 1,)
        low = signs[:, k] > 0
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
    terms = (*effects.main, *effects.interactions)
    assert len(terms) == len(means) - 1
    for effect in terms:
        column = signs[:, [k - 1 for k in effect.splits]].prod(1)
        correlation = np.corrcoef(column, means)[0, 1]
        assert effect.share == pytest.approx(correlation**2, abs=1e-9)
    additive = np.concatenate([np.ones((len(means), 1)), signs], 1)
    fitted = additive @ np.linalg.lstsq(additive, means, rcond=None)[0]
    share = np.square(means - fitted).sum() / total
    assert effects.interactions_share == pytest.approx(share, abs=1e-9)
    assert math.fsum(effect.share for effect in terms) == pytest.approx(1)


def test_an_additive_model_gives_its_effects_and_no_interaction():
    effects = compute_one(planted({(1,): -0.5, (2,): 0.25, (3,): 0.0}, splits=3, seeds=6))
    main = [(effect.splits, effect.test.mean, effect.share) for effect in effects.main]
    assert main == [((1,), -0.5, 0.8), ((2,), 0.25, 0.2), ((3,), 0.0, 0.0)]
    assert {effect.test.half_width for effect in effects.main} == {0.0}
    assert {effect.test.mean for effect in effects.interactions} == {0.0}
    assert effects.interactions_share == 0.0
    text = show([effects])
    assert "Interactions have a share of 0.0 %" in text
    assert "Fewer than" not in text
    assert max(map(len, text.splitlines())) <= 80
    assert "2 +0.2500 0.0000 0.0000 6 20.0 %" in one_line(text)
    assert "below 0 it is better to factor the low contributions out there" in one_line(text)
    (printed,) = json.loads(to_json(effects_as_dict([effects])))["effects"]
    assert (printed["seeds"], printed["budget"]) == ([*range(6)], 100)
    assert printed["interactions_share"] == 0.0
    assert [(tuple(e["splits"]), e["mean"], e["share"]) for e in printed["main"]] == main


def test_a_planted_interaction_is_found_at_its_splits():
    effects = compute_one(planted({(2,): 0.5, (1, 3): -0.5}, splits=3))
    by_splits = {effect.splits: effect.test.mean for effect in effects.interactions}
    assert by_splits == {(1, 2): 0.0, (1, 3): -0.5, (2, 3): 0.0, (1, 2, 3): 0.0}
    assert [effect.test.mean for effect in effects.main] == [0.0, 0.5, 0.0]
    assert effects.interactions_share == 0.5
    text = one_line(show([effects]))
    assert "Fewer than 6 seeds decide nothing" in text
    largest = "Interactions have a share of 50.0 %. The largest, of splits 1 and 3: -0.5000"
    assert largest in text


def test_equal_words_have_no_shares():
    effects = compute_one(np.full((6, 4), 4.1))
    terms = (*effects.main, *effects.interactions)
    assert {(effect.test.mean, effect.share) for effect in terms} == {(0.0, None)}
    assert effects.interactions_share is None
    assert "nothing to share" in show([effects])
