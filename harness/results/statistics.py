"""Means over seeds and paired differences: intervals, the tests of verdicts, and power.

The numbers equal those of `scipy.stats` and statsmodels to 11 digits, without their import, which
takes longer than the whole `lcma board`.
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

MAX_EXACT = 16
"""Pairs up to which all 2^n signs are tried; beyond that, 2^16 random ones."""

ROUNDING = 1e-12
"""Differences within this of each other count as equal."""

TAIL_END = 9.5
"""Standard deviations beyond which a tail counts as zero."""

MAX_ADVISED = 48
"""Seeds that are advised at most; above it a message says "more than"."""

MAX_SEEDS = 10_000
"""Seeds up to which the number needed is computed."""


@dataclass(frozen=True, slots=True)
class Summary:
    """Summary of values over seeds, or of their differences.

    All but the mean is None for fewer than two numbers.
    """

    n: int
    mean: float
    deviation: float | None = None  # of the sample
    low: float | None = None  # ends of the t-interval, of 95 % by default
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
    """Summarize one or more numbers; the interval has confidence 1 - ``level``."""
    n = len(values)
    mean = math.fsum(values) / n  # exact, so that order does not matter
    if n < 2:
        return Summary(n, mean)
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1))
    if deviation <= ROUNDING:
        deviation = 0.0
    half = half_width(deviation, n, level)
    return Summary(n, mean, deviation, mean - half, mean + half)


def half_width(deviation: float, n: int, level: float = LEVEL) -> float:
    """Return half of the t-interval, of confidence 1 - ``level``, of a mean of n numbers."""
    return t_quantile(n - 1, level) * deviation / math.sqrt(n)


@cache
def t_quantile(freedom: int, level: float = LEVEL) -> float:
    """Return the quantile 1 - ``level`` / 2 of Student's t: half an interval in standard errors."""
    t, step = 0.0, 1.0
    while step > 1e-15 * t:  # Newton's method from below converges, since the tail is convex
        slope = (1 + t * t / freedom) ** (-(freedom + 1) / 2) / math.sqrt(freedom)
        step = (_t_tail(t, freedom) - level) * _t_scale(freedom) / slope
        t += step
    return _round(t)


def _t_tail(t: float, freedom: int) -> float:
    """Return the probability that Student's t is beyond ``t`` >= 0 on either side."""
    # The angle atan(t / sqrt(freedom)) has a density in proportion to cos^(freedom - 1).
    first = math.atan2(t, math.sqrt(freedom))
    last = min(math.pi / 2, math.hypot(first, TAIL_END / math.sqrt(freedom)))
    nodes, weights = _legendre()
    half = (last - first) / 2
    densities = np.cos(first + half * (nodes + 1)) ** (freedom - 1)
    return float(half * (weights @ densities)) / _t_scale(freedom)


def _round(value: float) -> float:
    """Return a number without its last digits, in which processors differ."""
    return float(f"{value:.12g}")


def _t_scale(freedom: int) -> float:
    """Return the integral of cos^(freedom - 1) over a quarter turn."""
    gammas = math.lgamma(freedom / 2) - math.lgamma((freedom + 1) / 2)
    return math.sqrt(math.pi) / 2 * math.exp(gammas)


@cache
def _legendre() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return np.polynomial.legendre.leggauss(64)


def subtract_by_seed(first: Mapping[int, float], second: Mapping[int, float]) -> dict[int, float]:
    """Return ``first`` minus ``second`` at the seeds that both have."""
    return {seed: first[seed] - second[seed] for seed in sorted(first.keys() & second.keys())}


def compare_by_seed(first: Mapping[int, float], second: Mapping[int, float]) -> Summary | None:
    """Return ``first`` minus ``second``, paired by seed; None without a common seed."""
    differences = subtract_by_seed(first, second)
    return summarize(differences.values()) if differences else None


# The tests of verdicts


def compute_t_p(summary: Summary, limit: float = 0.0) -> float:
    """Return the two-sided p of the paired t-test of two or more differences against a limit.

    It is 0 or 1 for differences that vary only by rounding.
    """
    size = abs(summary.mean - limit)
    if size <= ROUNDING or summary.deviation is None:
        return 1.0
    t = size * math.sqrt(summary.n) / summary.deviation if summary.deviation else math.inf
    return _round(_t_tail(t, summary.n - 1))


def compute_sign_flip_p(differences: Sequence[float], limit: float = 0.0) -> float:
    """Return the two-sided p of the permutation test over signs, at least 2 / 2^n.

    It is the share of all choices of signs whose sum is at least as far from zero.
    """
    values = np.asarray(differences, dtype=np.float64) - limit
    distances = np.abs(_make_signs(len(values)) @ values)
    return float(np.mean(distances >= distances[0] - ROUNDING * np.abs(values).sum()))


@lru_cache(4)
def _make_signs(n: int) -> NDArray[np.float64]:
    """Return rows of n signs, the first all +."""
    if n <= MAX_EXACT:
        # Half of all rows, with a + at the end: the opposite signs give the same distance.
        minus = np.arange(2 ** (n - 1))[:, None] >> np.arange(n) & 1
    else:
        minus = np.random.default_rng(0).integers(2, size=(2**MAX_EXACT, n))
        minus[0] = 0
    return np.where(minus, -1.0, 1.0)


def adjust_holm(p_values: Sequence[float] | NDArray[np.float64]) -> list[float]:
    """Return Holm's adjusted p-values in the same order."""
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    factors = np.arange(len(p), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * factors), 1.0)
    return [float(p) for p in adjusted]


# How many seeds show a difference


def find_detectable(n: int, deviation: float) -> float:
    """Return the smallest true difference that n >= 2 pairs show with a power of 80 %.

    ``deviation`` is that of the differences.
    """
    return _find_detectable_ratio(n) * deviation


@lru_cache  # a plan asks the same of each of its recipes
def seeds_needed(effect: float, deviation: float, level: float = LEVEL) -> int | None:
    """Return the number of seeds that shows a true ``effect`` with a power of 80 %.

    ``deviation`` is that of the differences, in the effect's unit. None above `MAX_SEEDS`.
    """
    if deviation == 0:
        return 2
    size = abs(effect) / deviation

    def shows(n: int) -> bool:
        return n > 1 and _power(size, n, level) >= POWER

    low, high = 1, 2  # invariant: `low` seeds do not show it
    while not shows(high):
        low, high = high, 2 * high
        if low > MAX_SEEDS:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if shows(middle) else (middle, high)
    return high


def _power(effect: float, n: int, level: float) -> float:
    """Return the power of the paired t-test: the probability that a non-central t is beyond an end.

    ``effect`` is in standard deviations of the n differences.
    """
    # The t is (z + shift) / s for a normal z: integrate over s, the root of a chi-square divided by
    # its degrees of freedom. `scipy.special.nctdtr` agrees to 1e-13, but returns no number for some
    # shifts from about 6 on.
    freedom, shift, edge = n - 1, effect * math.sqrt(n), t_quantile(n - 1, level)
    middle, far, steep = shift / edge, TAIL_END / math.sqrt(2 * freedom), TAIL_END / edge
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
def _find_detectable_ratio(n: int) -> float:
    upper = 1.0
    while _power(upper, n, LEVEL) < POWER:
        upper *= 2.0
    # Not by scipy.optimize, whose import takes longer than all of `lcma plan`.
    steps = range(2**44)
    first_step = bisect_left(
        steps, POWER, key=lambda step: _power(upper * step / len(steps), n, LEVEL)
    )
    return upper * first_step / len(steps)
