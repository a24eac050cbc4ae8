"""Differences paired by seed, tested by scipy and statsmodels: ours is the pairing."""

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.05
"""Of every test, two-sided, and one less the confidence of every interval."""

POWER = 0.8
"""With which a difference of the smallest size that could be shown is shown."""

MOST_EXACT = 16
"""Pairs up to which all 2^n signs are tried; beyond, as many drawn ones."""

AT_ONCE = 2**22
"""Numbers with turned signs to hold in memory."""

ROUNDING = 1e-12
"""By how much differences that are all the same may differ."""

MOST_SEEDS = 10_000
"""Seeds beyond which no number is named."""


@dataclass(frozen=True)
class PairedTest:
    """What n differences say, in their unit. All but the mean is None for fewer than two.

    ``low`` and ``high`` are the 95 % t-interval. ``t_p`` is the two-sided p of the paired t-test,
    ``sign_flip_p`` that of the exact permutation test which turns the signs of the differences,
    at least 2 / 2^n. ``detectable`` is the smallest true difference that so many pairs with this
    deviation would have shown with a power of 80 % (paired t, 5 %, two-sided).
    """

    n: int
    mean: float
    deviation: float | None = None
    standard_error: float | None = None
    low: float | None = None
    high: float | None = None
    t_p: float | None = None
    sign_flip_p: float | None = None
    detectable: float | None = None


def by_seed(one: Mapping[int, float], other: Mapping[int, float]) -> dict[int, float]:
    """``one`` less ``other`` at the seeds that both have."""
    return {seed: one[seed] - other[seed] for seed in sorted(one.keys() & other.keys())}


def paired_test(differences: Sequence[float]) -> PairedTest | None:
    """The tests of differences against zero, None where there are none.

    Raises ValueError for a number that is not finite.
    """
    return paired_tests([differences])[0]


def paired_tests(several: Sequence[Sequence[float]]) -> list[PairedTest | None]:
    """The same of several rows of differences, which is much faster than one by one."""
    found: list[PairedTest | None] = [None] * len(several)
    by_length: dict[int, list[int]] = {}
    for index, row in enumerate(several):
        by_length.setdefault(len(row), []).append(index)
    for n, indices in by_length.items():
        if n:
            values = np.array([several[index] for index in indices], dtype=np.float64)
            if not np.isfinite(values).all():
                raise ValueError("differences are finite numbers")
            for index, test in zip(indices, _tests(values), strict=True):
                found[index] = test
    return found


def _tests(values: NDArray[np.float64]) -> list[PairedTest]:
    """Of the rows of (rows, n); where nothing varies t is infinite, or 0 / 0."""
    from scipy import stats

    n = values.shape[1]
    means = [math.fsum(row) / n for row in values]
    if n < 2:
        return [PairedTest(n, mean) for mean in means]
    with np.errstate(divide="ignore", invalid="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of rows that do not vary
        by_t = stats.ttest_1samp(values, 0.0, axis=1)
        within = by_t.confidence_interval(1 - LEVEL)
    columns = (
        *(means, np.ptp(values, axis=1) > ROUNDING, values.std(axis=1, ddof=1)),
        *(within.low, within.high, by_t.pvalue, _sign_flip(values)),
    )
    found = []
    for mean, varies, deviation, low, high, t_p, sign_flip_p in zip(*columns, strict=True):
        numbers = (deviation, deviation / math.sqrt(n), low, high, t_p)
        if not varies:
            numbers = (0.0, 0.0, mean, mean, float(abs(mean) <= ROUNDING))
        detectable = numbers[0] * _detectable_at(n)
        found.append(PairedTest(n, mean, *map(float, (*numbers, sign_flip_p, detectable))))
    return found


def interval(differences: Sequence[float], level: float) -> tuple[float, float] | None:
    """The t-interval of confidence 1 - ``level`` of their mean, None for fewer than two."""
    from scipy import stats

    values = np.asarray(differences, dtype=np.float64)
    if len(values) < 2:
        return None
    mean = math.fsum(values) / len(values)
    half = float(stats.t.isf(level / 2, len(values) - 1) * stats.sem(values))
    return mean - half, mean + half


def holm(p_values: Sequence[float] | NDArray[np.float64]) -> list[float]:
    """Holm's adjusted p-values, in the same order.

    Ours, and equal to statsmodels' `multipletests`, which collects garbage at every call: a tenth
    of a second for each table of a board.
    """
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    factors = np.arange(len(p), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * factors), 1.0)
    return [float(one) for one in adjusted]


def seeds_needed(effect: float, deviation: float) -> int | None:
    """With how many seeds a true ``effect`` would be shown with a power of 80 %, where differences
    have this ``deviation``; None where that is more than anybody runs."""
    from statsmodels.stats.power import TTestPower

    if deviation == 0:
        return 2
    size = abs(effect) / deviation
    power = TTestPower()

    def shows(n: int) -> bool:
        return bool(power.power(size, n, LEVEL, alternative="two-sided") >= POWER)

    low, high = 1, 2  # of these the first does not show it; far beyond, the power has no value
    while not shows(high):
        low, high = high, 2 * high
        if low > MOST_SEEDS:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if shows(middle) else (middle, high)
    return high


def beaten_by(values: Sequence[Mapping[int, float]], least: int) -> list[list[int]]:
    """For each of several sets of values by seed, which of the others are below it by test.

    All pairs are held against each other by paired t at 5 %, two-sided, after Holm's correction
    over all of them. Pairs of fewer than ``least`` common seeds show nothing and count for none.
    """
    seeds = sorted(set().union(*values)) if values else []
    table = np.array([[one.get(seed, np.nan) for seed in seeds] for one in values])
    ones, others = np.triu_indices(len(values), 1)
    kept, means, p_values = [], [], []
    step = max(1, AT_ONCE // max(1, len(seeds)))
    for start in range(0, len(ones), step):
        part = slice(start, start + step)
        rows, mean, p = _t_by_row(table[ones[part]] - table[others[part]], least)
        kept.append(rows + start)
        means.append(mean)
        p_values.append(p)
    found: list[list[int]] = [[] for _ in values]
    if not kept:
        return found
    rows, below = np.concatenate(kept), np.concatenate(means) < 0
    shown = np.asarray(holm(np.concatenate(p_values))) <= LEVEL
    for i, j, first in zip(ones[rows[shown]], others[rows[shown]], below[shown], strict=True):
        worse, better = (j, i) if first else (i, j)
        found[worse].append(int(better))
    return [sorted(better) for better in found]


def _t_by_row(
    differences: NDArray[np.float64], least: int
) -> tuple[NDArray[np.intp], NDArray[np.float64], NDArray[np.float64]]:
    """Which rows have enough values, NaN being none, with their means and p-values."""
    from scipy import stats

    there = np.isfinite(differences)
    counts = there.sum(axis=1)
    rows = np.flatnonzero(counts >= max(least, 2))
    means, p_values = np.empty(len(rows)), np.empty(len(rows))
    for n in np.unique(counts[rows]):
        of = counts[rows] == n
        values = differences[rows[of]][there[rows[of]]].reshape(-1, n)
        varies = np.ptp(values, axis=1) > ROUNDING
        mean = values.mean(axis=1)
        p = np.where(np.abs(mean) <= ROUNDING, 1.0, 0.0)
        p[varies] = stats.ttest_1samp(values[varies], 0.0, axis=1).pvalue
        means[of], p_values[of] = mean, p
    return rows, means, p_values


def _sign_flip(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Two-sided p of the permutation test over signs, of each row of (rows, n)."""
    from scipy import stats

    exact = values.shape[1] <= MOST_EXACT
    found = stats.permutation_test(
        (values,),
        np.mean,
        permutation_type="samples",
        vectorized=True,
        n_resamples=np.inf if exact else 2**MOST_EXACT,
        batch=max(1, AT_ONCE // values.size),
        axis=1,
        rng=np.random.default_rng(0),
    )
    return np.minimum(1.0, np.asarray(found.pvalue, dtype=np.float64))


@cache
def _detectable_at(n: int) -> float:
    """The smallest effect that n pairs show, in standard deviations of a difference."""
    from statsmodels.stats.power import TTestPower

    found = TTestPower().solve_power(nobs=n, alpha=LEVEL, power=POWER, alternative="two-sided")
    return float(np.asarray(found).item())
