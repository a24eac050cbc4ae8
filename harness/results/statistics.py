"""Means over seeds and paired differences: intervals, tests and their power.

Student's t is scipy's (`scipy.special`). The tests are equal to those of
`scipy.stats` and statsmodels, which take minutes for a board of many rows.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

LEVEL = 0.05
"""Level of every test, two-sided, and one minus the confidence of every interval."""

POWER = 0.8
"""Probability with which the smallest detectable difference is detected."""

MOST_EXACT = 16
"""Pairs up to which all 2^n signs are tried; beyond, 2^16 random ones."""

ROUNDING = 1e-12
"""By how much differences that are all equal may differ."""

FAR = 9.5
"""Standard deviations beyond which nothing is counted."""

MOST_ADVISED = 48
"""Most seeds that are advised; of more it is said that they are more."""

MOST_SEEDS = 10_000
"""Seeds above which no number is given."""


@dataclass(frozen=True, slots=True)
class Summary:
    """Numbers summed up: ``deviation`` is of the sample, ``low`` to ``high`` the 95 % t-interval.

    These are None for fewer than two numbers.
    """

    n: int
    mean: float
    deviation: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class PairedTest:
    """Tests of n differences, in the unit of the differences.

    All but the mean is None for fewer than two. ``low`` and ``high`` are the 95 % t-interval.
    ``t_p`` is the two-sided p of the paired t-test, ``sign_flip_p`` that of the exact permutation
    test over the signs of the differences, at least 2 / 2^n. ``detectable`` is the smallest true
    difference that so many pairs with this deviation would have shown with a power of 80 % (paired
    t, two-sided, at the level of the interval). ``holm_p`` is ``t_p`` after Holm's correction over
    a family of differences, None where the test stands alone.
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
    holm_p: float | None = None

    @property
    def half_width(self) -> float | None:
        """Half of the 95 % t-interval."""
        return None if self.high is None else self.high - self.mean


def summarize(values: Sequence[float]) -> Summary:
    """Return mean, deviation and interval of at least one number, whatever their order."""
    n = len(values)
    mean = math.fsum(values) / n
    if n < 2:
        return Summary(n, mean)
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1))
    half = half_width(deviation, n)
    return Summary(n, mean, deviation, mean - half, mean + half)


def half_width(deviation: float, n: int, level: float = LEVEL) -> float:
    """Return half of the t-interval of a mean of n numbers, of confidence 1 - ``level``."""
    return t_quantile(n - 1, level) * deviation / math.sqrt(n)


@cache
def t_quantile(freedom: int, level: float = LEVEL) -> float:
    """Return the quantile 1 - ``level`` / 2 of Student's t.

    It is half of a two-sided interval in standard errors.
    """
    return float(special.stdtrit(freedom, 1 - level / 2))


def subtract_by_seed(one: Mapping[int, float], other: Mapping[int, float]) -> dict[int, float]:
    """Return ``one`` minus ``other`` at the seeds that both have."""
    return {seed: one[seed] - other[seed] for seed in sorted(one.keys() & other.keys())}


def compare_by_seed(one: Mapping[int, float], other: Mapping[int, float]) -> PairedTest | None:
    """Return the tests of ``one`` minus ``other``, paired by seed; None without a common seed."""
    return paired_test(list(subtract_by_seed(one, other).values()))


def find_side(differences: Sequence[float], limit: float) -> tuple[bool, float]:
    """Return whether two differences or more are below a limit on average, and the two-sided p."""
    found = summarize(differences)
    p = _t_p_values(found.mean - limit, found.deviation or 0.0, found.n)
    return found.mean < limit, float(p)


def paired_test(
    differences: Sequence[float], level: float = LEVEL, limit: float = 0.0
) -> PairedTest | None:
    """Return the tests of differences against a limit, None where there are none.

    The interval is of confidence 1 - ``level``. Raises ValueError for a number that is not finite.
    """
    if not len(differences):
        return None
    if not all(map(math.isfinite, differences)):
        raise ValueError("differences are finite numbers")
    found = summarize(differences)
    if found.deviation is None:
        return PairedTest(found.n, found.mean)
    deviation = 0.0 if found.deviation <= ROUNDING else found.deviation
    half = half_width(deviation, found.n, level)
    return PairedTest(
        n=found.n,
        mean=found.mean,
        deviation=deviation,
        standard_error=deviation / math.sqrt(found.n),
        low=found.mean - half,
        high=found.mean + half,
        t_p=float(_t_p_values(found.mean - limit, deviation, found.n)),
        sign_flip_p=_sign_flip(np.asarray(differences, dtype=np.float64) - limit),
        detectable=find_detectable(found.n, deviation, level),
    )


def compare_all_by_seed(
    table: Sequence[Mapping[int, float]], least: int
) -> dict[tuple[int, int], PairedTest]:
    """Return the tests of set i minus set j by (i, j), i before j, where they have a common seed.

    ``holm_p`` is corrected over all pairs with at least ``least`` common seeds, None for others.
    """
    pairs = combinations(range(len(table)), 2)
    tested = {(i, j): compare_by_seed(table[i], table[j]) for i, j in pairs}
    found = {pair: test for pair, test in tested.items() if test is not None}
    enough = {pair: test.t_p for pair, test in found.items() if test.n >= max(least, 2)}
    corrected = adjust_holm([p for p in enough.values() if p is not None])
    for pair, holm_p in zip(enough, corrected, strict=True):
        found[pair] = replace(found[pair], holm_p=holm_p)
    return found


def _t_p_values(
    means: ArrayLike, deviations: ArrayLike, n: int | NDArray[np.intp]
) -> NDArray[np.float64]:
    """Return the two-sided p of the paired t-test.

    Differences that do not vary but for rounding differ from zero for certain, or not at all.
    """
    sizes = np.abs(means)
    differ = sizes > ROUNDING
    with np.errstate(divide="ignore", invalid="ignore"):
        t = sizes * np.sqrt(n) / np.where(np.asarray(deviations) <= ROUNDING, 0.0, deviations)
    return np.where(differ, 2.0 * special.stdtr(n - 1, -t), 1.0)


def adjust_holm(p_values: Sequence[float] | NDArray[np.float64]) -> list[float]:
    """Return Holm's adjusted p-values in the same order."""
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    factors = np.arange(len(p), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * factors), 1.0)
    return [float(one) for one in adjusted]


def find_detectable(n: int, deviation: float, level: float = LEVEL) -> float:
    """Return the smallest true difference that n pairs show with a power of 80 %.

    ``deviation`` is that of the differences; n is at least 2.
    """
    return _detectable_at(n, level) * deviation


def seeds_needed(effect: float, deviation: float, level: float = LEVEL) -> int | None:
    """Return the number of seeds that shows a true ``effect`` with a power of 80 %.

    ``deviation`` is that of the differences, in the effect's unit. Returns None above `MOST_SEEDS`.
    """
    if deviation == 0:
        return 2
    size = abs(effect) / deviation

    def shows(n: int) -> bool:
        return n > 1 and _power(size, n, level) >= POWER

    low, high = 1, 2  # of these the first does not show it
    while not shows(high):
        low, high = high, 2 * high
        if low > MOST_SEEDS:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if shows(middle) else (middle, high)
    return high


def _sign_flip(differences: NDArray[np.float64]) -> float:
    """Return the share of all signs whose sum is at least as far from zero."""
    far = np.abs(_signs(len(differences)) @ differences)
    return float(np.mean(far >= far[0] - ROUNDING * np.abs(differences).sum()))


@lru_cache(4)
def _signs(n: int) -> NDArray[np.float64]:
    """Return rows of n signs, the first all +.

    Up to `MOST_EXACT` these are all with a + at the end, since turning every sign changes no
    distance from zero.
    """
    if n <= MOST_EXACT:
        minus = np.arange(2 ** (n - 1))[:, None] >> np.arange(n) & 1
    else:
        minus = np.random.default_rng(0).integers(2, size=(2**MOST_EXACT, n))
        minus[0] = 0
    return np.where(minus, -1.0, 1.0)


def _power(effect: float, n: int, level: float) -> float:
    """Return the power of the paired t-test, the mass of the non-central t beyond both ends.

    ``effect`` is in standard deviations of the n differences.
    """
    shift, edge = effect * math.sqrt(n), t_quantile(n - 1, level)
    return _mass_beyond(edge, n - 1, shift) + _mass_beyond(edge, n - 1, -shift)


def _mass_beyond(edge: float, freedom: int, shift: float) -> float:
    """Return how likely a non-central t, (z + shift) / s for a normal z, is above ``edge`` > 0.

    It is the integral over z of how likely s, the root of a chi-square by its degrees of freedom,
    is below (z + shift) / edge. `scipy.special.nctdtr` agrees to 1e-13, but has no number for some
    shifts from about 6 on.
    """
    first, last = max(-shift, -FAR), FAR
    if first >= last:
        return 0.0
    middle, width = edge - shift, FAR * edge / math.sqrt(2 * freedom)  # where that likelihood rises
    ends = np.clip([first, middle - width, middle, middle + width, last], first, last)
    half = np.diff(ends)[:, None] / 2
    nodes, weights = _legendre()
    z = ends[:-1, None] + half * (nodes + 1)
    below = special.gammainc(freedom / 2, freedom / 2 * ((z + shift) / edge) ** 2)
    density = np.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    return float(np.sum(half * weights * density * below))


@cache
def _legendre() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return np.polynomial.legendre.leggauss(64)


@cache
def _detectable_at(n: int, level: float) -> float:
    from scipy.optimize import brentq

    most = 1.0
    while _power(most, n, level) < POWER:
        most *= 2.0
    return float(brentq(lambda effect: _power(effect, n, level) - POWER, 0.0, most, xtol=1e-12))
