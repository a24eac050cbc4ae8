"""What is printed under a board of bounds and series."""

import pytest

from lcma.harness.results.board import read_board

BOUND = {"bound_draws": 10, "bound_images": 100, "bound_bits_per_dim": 3.9}


def notes(filler, *, protocol="plain"):
    (group,) = [g for g in read_board(filler.store).groups if g.protocol == protocol]
    return " ".join(group.notes)


@pytest.fixture
def measured(filler):
    """Trials of one cell by seed, with what is measured beside each."""

    def make(*beside):
        for seed, more in enumerate(beside):
            filler.finish(filler.plan("channel", seed), 4.0, **more)

    return make


@pytest.mark.parametrize(
    ("gains", "told"),
    [
        ((0.02, 0.03), "is lower than that of one by 0.02500 bits/dim"),
        ((-0.02, 0.01), "is higher than that of one by 0.00500 bits/dim"),
        ((-3e-6, 1e-6), "is that of one within 0.00001 bits/dim"),
    ],
)
def test_the_gain_of_the_bound_is_averaged(filler, measured, gains, told):
    measured(*(BOUND | {"bound_gain": gain} for gain in gains), {})
    assert f"The bound of 10 dequantization draws {told}, on average" in notes(filler)


def test_the_largest_bias_of_the_series_is_shown(filler, measured):
    measured(
        {"series_terms": 20, "series_bias": 1e-4, "series_bias_standard_error": 2e-5},
        {"series_terms": 20, "series_bias": -3e-4, "series_bias_standard_error": None},
        {"series_terms": 20},
    )
    said = notes(filler)
    assert "at 20 terms of the series minus those at 40" in said
    assert "-0.00030 in the trial" in said
