"""Means over seeds and paired differences: intervals, the tests of verdicts, and power.

They are equal to those of `scipy.stats` and statsmodels, whose import takes longer than all of
`lcma board`.
"""

import math
from bisect import bisect_left
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray

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
    """Numbers summed up: values over seeds, or their differences.

    ``deviation`` is of the sample, ``low`` to ``high`` the t-interval, of 95 % where nothing else
    is said. These are None for fewer than two numbers.
    """

    n: int
    mean: float
    deviation: float | None = None
    low: float | None = None
    high: float | None = None

    @property
    def half_width(self) -> float | None:
        """Half of the interval."""
        return None if self.high is None else self.high - self.mean

    @property
    def standard_error(self) -> float | None:
        """Standard error of the mean."""
        return None if self.deviation is None else self.deviation / math.sqrt(self.n)


def summarize(values: Collection[float], level: float = LEVEL) -> Summary:
    """Return mean, deviation and interval of at least one number, whatever their order.

    The interval is of confidence 1 - ``level``.
    """
    n = len(values)
    mean = math.fsum(values) / n
    if n < 2:
        return Summary(n, mean)
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1))
    if deviation <= ROUNDING:
        deviation = 0.0
    half = half_width(deviation, n, level)
    return Summary(n, mean, deviation, mean - half, mean + half)


def half_width(deviation: float, n: int, level: float = LEVEL) -> float:
    """Return half of the t-interval of a mean of n numbers, of confidence 1 - ``level``."""
    return t_quantile(n - 1, level) * deviation / math.sqrt(n)


@cache
def t_quantile(freedom: int, level: float = LEVEL) -> float:
    """Return the quantile 1 - ``level`` / 2 of Student's t.

    It is half of a two-sided interval in standard errors.
    """
    t, step = 0.0, 1.0
    while step > 1e-15 * t:  # by Newton from below: the tail is convex
        slope = (1 + t * t / freedom) ** (-(freedom + 1) / 2) / math.sqrt(freedom)
        step = (_t_tail(t, freedom) - level) * _t_scale(freedom) / slope
        t += step
    return t


def _t_tail(t: float, freedom: int) -> float:
    """Return how likely Student's t is beyond ``t`` >= 0 on either side.

    Its angle, atan(t / sqrt(freedom)), has a density in proportion to cos^(freedom - 1).
    """
    first = math.atan2(t, math.sqrt(freedom))
    last = min(math.pi / 2, math.hypot(first, FAR / math.sqrt(freedom)))
    nodes, weights = _legendre()
    half = (last - first) / 2
    densities = np.cos(first + half * (nodes + 1)) ** (freedom - 1)
    return float(half * (weights @ densities)) / _t_scale(freedom)


def _t_scale(freedom: int) -> float:
    """Return the integral of cos^(freedom - 1) over a quarter turn."""
    gammas = math.lgamma(freedom / 2) - math.lgamma((freedom + 1) / 2)
    return math.sqrt(math.pi) / 2 * math.exp(gammas)


@cache
def _legendre() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return np.polynomial.legendre.leggauss(64)


def subtract_by_seed(one: Mapping[int, float], other: Mapping[int, float]) -> dict[int, float]:
    """Return ``one`` minus ``other`` at the seeds that both have."""
    return {seed: one[seed] - other[seed] for seed in sorted(one.keys() & other.keys())}


def compare_by_seed(one: Mapping[int, float], other: Mapping[int, float]) -> Summary | None:
    """Return ``one`` minus ``other``, paired by seed; None without a common seed."""
    differences = subtract_by_seed(one, other)
    return summarize(differences.values()) if differences else None


# What the rule of verdicts tests by


def compute_t_p(found: Summary, limit: float = 0.0) -> float:
    """Return the two-sided p of the paired t-test of two differences or more against a limit.

    Differences that do not vary but for rounding differ from it for certain, or not at all.
    """
    size = abs(found.mean - limit)
    if size <= ROUNDING or found.deviation is None:
        return 1.0
    t = size * math.sqrt(found.n) / found.deviation if found.deviation else math.inf
    return _t_tail(t, found.n - 1)


def compute_sign_flip_p(differences: Sequence[float], limit: float = 0.0) -> float:
    """Return the two-sided p of the permutation test over signs, at least 2 / 2^n.

    It is the share of all signs whose sum is at least as far from zero.
    """
    values = np.asarray(differences, dtype=np.float64) - limit
    far = np.abs(_signs(len(values)) @ values)
    return float(np.mean(far >= far[0] - ROUNDING * np.abs(values).sum()))


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


def adjust_holm(p_values: Sequence[float] | NDArray[np.float64]) -> list[float]:
    """Return Holm's adjusted p-values in the same order."""
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    factors = np.arange(len(p), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * factors), 1.0)
    return [float(one) for one in adjusted]


# How many seeds show a difference


def find_detectable(n: int, deviation: float) -> float:
    """Return the smallest true difference that n pairs show with a power of 80 %.

    ``deviation`` is that of the differences; n is at least 2.
    """
    return _detectable_at(n) * deviation


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


def _power(effect: float, n: int, level: float) -> float:
    """Return the power of the paired t-test: how likely a non-central t is beyond either end.

    ``effect`` is in standard deviations of the n differences. The t is (z + shift) / s for a normal
    z: this is the integral over s, the root of a chi-square by its degrees of freedom.
    `scipy.special.nctdtr` agrees to 1e-13, but has no number for some shifts from about 6 on.
    """
    freedom, shift, edge = n - 1, effect * math.sqrt(n), t_quantile(n - 1, level)
    middle, far, steep = shift / edge, FAR / math.sqrt(2 * freedom), FAR / edge
    places = [1 - far, 1, 1 + far, middle - steep, middle, middle + steep]
    ends = np.sort(np.clip(places, max(ROUNDING, 1 - far), 1 + far))
    half = np.diff(ends)[:, None] / 2
    nodes, weights = _legendre()
    s = ends[:-1, None] + half * (nodes + 1)
    beyond = np.vectorize(math.erfc)([edge * s - shift, edge * s + shift] / np.sqrt(2)).sum(0) / 2
    scale = math.log(2) + freedom / 2 * math.log(freedom / 2) - math.lgamma(freedom / 2)
    density = np.exp(scale + (freedom - 1) * np.log(s) - freedom / 2 * s * s)
    return float(np.sum(half * weights * density * beyond))


@cache
def _detectable_at(n: int) -> float:
    most = 1.0
    while _power(most, n, LEVEL) < POWER:
        most *= 2.0
    # Not by scipy.optimize, whose import takes longer than all of `lcma plan`.
    steps = range(2**44)
    found = bisect_left(steps, POWER, key=lambda step: _power(most * step / len(steps), n, LEVEL))
    return most * found / len(steps)
