"""Differences paired by seed, and what tests of them say.

Student's t, central and not, is scipy's (`scipy.special`). The tests are written for many rows at
once: those of `scipy.stats` and statsmodels, to which they are equal, take minutes for a board of
a hundred thousand rows.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, reduce

import numpy as np
from numpy.typing import NDArray
from scipy import special

LEVEL = 0.05
"""Of every test, two-sided, and one less the confidence of every interval."""

POWER = 0.8
"""With which a difference of the smallest size that could be shown is shown."""

MOST_EXACT = 16
"""Pairs up to which all 2^n signs are tried; beyond, as many drawn ones."""

AT_ONCE = 2**20
"""Numbers to hold in memory at a time."""

PAIRED_AT_ONCE = 2**18
"""Differences of pairs to work on at a time: few enough to stay near the processor."""

UNSURE, MARGIN = 1e-13, 1e-6
"""Rounding of sums of squares for each number in them, and of t², with much to spare."""

ROUNDING = 1e-12
"""By how much differences that are all the same may differ."""

MOST_SEEDS = 10_000
"""Seeds beyond which no number is named."""


Beaten = list[list[int]]
"""For each of several things the numbers of those that are below it by test."""


@dataclass(slots=True)  # not frozen: a board has so many that it would show
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
    """Of the rows of (rows, n)."""
    n = values.shape[1]
    means = [math.fsum(row) / n for row in values.tolist()]
    if n < 2:
        return [PairedTest(n, mean) for mean in means]
    deviations, t = _t(np.ascontiguousarray(values.T))
    t_p = _p(t, n)
    reach, detectable = t_quantile(n - 1) / math.sqrt(n), _detectable_at(n)
    columns = (means, deviations.tolist(), t_p.tolist(), _sign_flip(values).tolist())
    return [
        PairedTest(
            n=n,
            mean=mean,
            deviation=deviation,
            standard_error=deviation / math.sqrt(n),
            low=mean - reach * deviation,
            high=mean + reach * deviation,
            t_p=p,
            sign_flip_p=sign_flip_p,
            detectable=detectable * deviation,
        )
        for mean, deviation, p, sign_flip_p in zip(*columns, strict=True)
    ]


def t_interval(differences: Sequence[float], level: float) -> tuple[float, float] | None:
    """The t-interval of confidence 1 - ``level`` of their mean, None for fewer than two."""
    (test,) = paired_tests([differences])
    if test is None or test.standard_error is None:
        return None
    half = half_width(test.standard_error, test.n, level)
    return test.mean - half, test.mean + half


def half_width(standard_error: float, n: int, level: float = LEVEL) -> float:
    """Return half of the t-interval of a mean of n numbers, of confidence 1 - ``level``."""
    return t_quantile(n - 1, level) * standard_error


@cache
def t_quantile(freedom: int, level: float = LEVEL) -> float:
    """Return the quantile 1 - ``level`` / 2 of Student's t: half of a two-sided interval in
    standard errors."""
    return float(special.stdtrit(freedom, 1 - level / 2))


def _t(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Deviations, and t of the paired t-test, of each column of (n, columns).

    A column that does not vary but for rounding differs from zero for certain, or not at all. Sums
    are row by row: NumPy's own round otherwise when there is one column.
    """
    n = len(values)
    means = reduce(np.add, values) / n
    squares = values - means
    np.square(squares, out=squares)
    deviations = np.sqrt(reduce(np.add, squares) / (n - 1))
    deviations[deviations <= ROUNDING] = 0.0
    means[np.abs(means) <= ROUNDING] = 0.0
    with np.errstate(divide="ignore", invalid="ignore"):
        t = means / (deviations / math.sqrt(n))
    t[means == 0.0] = 0.0
    return deviations, t


def _p(t: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """Two-sided, of the t of n differences."""
    return np.asarray(2.0 * special.stdtr(n - 1, -np.abs(t)), dtype=np.float64)


def adjust_holm(
    p_values: Sequence[float] | NDArray[np.float64], of: int | None = None
) -> list[float]:
    """Holm's adjusted p-values, in the same order; ``of`` so many, those left out being larger."""
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    factors = np.arange(len(p), 0, -1) + ((len(p) if of is None else of) - len(p))
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * factors), 1.0)
    return [float(one) for one in adjusted]


def seeds_needed(effect: float, deviation: float) -> int | None:
    """With how many seeds a true ``effect`` would be shown with a power of 80 %, where differences
    have this ``deviation``; None where that is more than anybody runs."""
    if deviation == 0:
        return 2
    size = abs(effect) / deviation

    def shows(n: int) -> bool:
        return n > 1 and _power(size, n) >= POWER

    low, high = 1, 2  # of these the first does not show it; far beyond, the power has no value
    while not shows(high):
        low, high = high, 2 * high
        if low > MOST_SEEDS:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if shows(middle) else (middle, high)
    return high


def beaten_by(tables: Sequence[Sequence[Mapping[int, float]]], least: int) -> list[Beaten]:
    """In each table, sets of values by seed, which of the others are below each by test.

    All pairs of a table are held against each other by paired t at 5 %, two-sided, after Holm's
    correction over all of them. Pairs of fewer than ``least`` common seeds show nothing and count
    for none. Many tables at once are much faster than one by one.
    """
    found: list[Beaten] = []
    batch: list[_Pairs] = []
    for table in tables:
        batch.append(_Pairs(table, max(least, 2)))
        if sum(one.size for one in batch) >= PAIRED_AT_ONCE:
            found += _tested(batch)
            batch = []
    return found + _tested(batch)


@dataclass(frozen=True)
class _Part:
    """Differences of some pairs of a table, all of n common seeds: (n, pairs), since numbers that
    are summed fast do not lie side by side."""

    of: "_Pairs"
    pairs: NDArray[np.intp]
    values: NDArray[np.float64]


class _Pairs:
    """The pairs of a table that may differ, with t and the number of seeds that are common to both.

    ``counted`` is the number of all pairs with enough common seeds.
    """

    def __init__(self, table: Sequence[Mapping[int, float]], least: int) -> None:
        seeds = sorted(set().union(*table)) if table else []
        rows = [
            list(one.values()) if list(one) == seeds else [one.get(s, math.nan) for s in seeds]
            for one in table
        ]
        self._values = np.array(rows, dtype=np.float64).reshape(len(table), len(seeds)).T.copy()
        self.counted, self._ones, self._others = _may_differ(self._values, least)
        self.size = len(self._ones) * len(seeds)
        self.t, self.n = np.zeros(len(self._ones)), np.zeros(len(self._ones), dtype=np.intp)

    def parts(self) -> Iterator[_Part]:
        """Their differences, a limited number at a time."""
        step = max(1, PAIRED_AT_ONCE // max(1, len(self._values)))
        for start in range(0, len(self._ones), step):
            part = slice(start, start + step)
            found = self._values[:, self._ones[part]] - self._values[:, self._others[part]]
            there = np.isfinite(found)
            counts = there.sum(axis=0)
            for n in _different(counts):
                pairs = np.flatnonzero(counts == n)
                own = found[:, pairs]
                if n < len(found):
                    own = own.T[there[:, pairs].T].reshape(-1, n).T
                yield _Part(self, pairs + start, own)

    def beaten(self) -> Beaten:
        """Which others are below each by test."""
        found: Beaten = [[] for _ in range(self._values.shape[1])]
        for n in _different(self.n[self.n > 0]):
            near = (self.n == n) & (np.abs(self.t) < t_quantile(n - 1))
            self.t[near] = 0.0  # no correction makes a larger p smaller
        tested = np.flatnonzero(self.t)
        p = np.empty(len(tested))
        for n in _different(self.n[tested]):
            own = self.n[tested] == n
            p[own] = _p(self.t[tested[own]], n)
        adjusted = adjust_holm(p, of=self.counted)
        for pair in tested[np.array(adjusted) <= LEVEL]:
            i, j = int(self._ones[pair]), int(self._others[pair])
            worse, better = (j, i) if self.t[pair] < 0 else (i, j)
            found[worse].append(better)
        return [sorted(better) for better in found]


def _may_differ(
    values: NDArray[np.float64], least: int
) -> tuple[int, NDArray[np.intp], NDArray[np.intp]]:
    """Of the columns of (n, columns), NaN where there is no number: how many pairs have ``least``
    in common, and the ends of those of them whose t may reach its quantile, before any correction.

    Means and squares of all pairs come from products of matrices. They are rounded more than those
    of differences, so whatever is near the quantile, or varies little, is among those given.
    """
    n, columns = values.shape
    there = np.isfinite(values).astype(np.float64)
    own = np.where(there > 0, values, 0.0)
    means = own.sum(axis=0) / np.maximum(there.sum(axis=0), 1.0)
    own = np.where(there > 0, values - means, 0.0)
    squares = np.square(own)
    quantiles = np.array([t_quantile(k - 1) ** 2 if k >= 2 else 0.0 for k in range(n + 1)])
    counted, ones, others = 0, [], []
    step = max(1, PAIRED_AT_ONCE // max(1, columns))
    for start in range(0, columns, step):
        a, b = slice(start, start + step), slice(start, None)
        common = (there[:, a].T @ there[:, b]).astype(np.intp)
        enough = np.triu(common >= least, 1)
        counted += int(np.count_nonzero(enough))
        sums = own[:, a].T @ there[:, b] - there[:, a].T @ own[:, b]
        apart = squares[:, a].T @ there[:, b] + there[:, a].T @ squares[:, b]
        number = np.maximum(common, 1)
        deviations = apart - 2.0 * (own[:, a].T @ own[:, b]) - np.square(sums) / number
        deviations -= UNSURE * n * apart
        distances = np.square(sums / number + means[a, None] - means[b])
        near = distances * number * (common - 1) < (1 - MARGIN) * quantiles[common] * deviations
        one, other = np.nonzero(enough & ~near)
        ones.append(one + start)
        others.append(other + start)
    none = np.zeros(0, dtype=np.intp)
    return counted, np.concatenate([none, *ones]), np.concatenate([none, *others])


def _different(counts: NDArray[np.intp]) -> list[int]:
    """The different numbers among small ones, in order."""
    return np.flatnonzero(np.bincount(counts)).tolist()


def _tested(batch: Sequence[_Pairs]) -> list[Beaten]:
    waiting, size = [], 0
    for part in (part for one in batch for part in one.parts()):
        waiting.append(part)
        size += part.values.size
        if size >= PAIRED_AT_ONCE:
            _test(waiting)
            waiting, size = [], 0
    _test(waiting)
    return [one.beaten() for one in batch]


def _test(parts: Sequence[_Part]) -> None:
    """Set t of pairs."""
    by_n: dict[int, list[_Part]] = {}
    for part in parts:
        by_n.setdefault(len(part.values), []).append(part)
    for n, some in by_n.items():
        _, t = _t(np.concatenate([part.values for part in some], axis=1))
        ends = np.cumsum([len(part.pairs) for part in some])[:-1]
        for part, own in zip(some, np.split(t, ends), strict=True):
            part.of.t[part.pairs], part.of.n[part.pairs] = own, n


def _sign_flip(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Two-sided p of the permutation test over signs, of each row of (rows, n)."""
    if values.shape[1] <= MOST_EXACT:
        return _all_signs(values)
    from scipy import stats

    found = stats.permutation_test(
        (values,),
        np.mean,
        permutation_type="samples",
        vectorized=True,
        n_resamples=2**MOST_EXACT,
        batch=max(1, AT_ONCE // values.size),
        axis=1,
        rng=np.random.default_rng(0),
    )
    return np.minimum(1.0, np.asarray(found.pvalue, dtype=np.float64))


def _all_signs(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The exact test: the share of all signs whose sum is at least as far from zero.

    The first sign stays, since turning all changes no distance.
    """
    found = np.empty(len(values))
    n = values.shape[1]
    step = max(1, AT_ONCE >> (n - 1))
    for start in range(0, len(values), step):
        first, *others = np.ascontiguousarray(values[start : start + step].T)
        sums = first[None]
        for other in others:
            sums = np.concatenate([sums + other, sums - other])
        far = np.abs(sums)
        rounding = ROUNDING * (np.abs(first) + sum(np.abs(other) for other in others))
        found[start : start + step] = (far >= far[0] - rounding).mean(axis=0)
    return found


def _power(effect: float, n: int) -> float:
    """Of the paired t-test of n differences, with the effect in their standard deviations: the mass
    of the non-central t beyond both ends."""
    shift, edge = effect * math.sqrt(n), t_quantile(n - 1)
    above = 1.0 - special.nctdtr(n - 1, shift, edge)
    # Beyond 8 less than 1e-15 lies below zero, where scipy has no number any more.
    below = special.nctdtr(n - 1, shift, -edge) if shift < 8 else 0.0
    return float(above + below)


@cache
def _detectable_at(n: int) -> float:
    """The smallest effect that n pairs show, in standard deviations of a difference."""
    from scipy.optimize import brentq

    most = 1.0
    while _power(most, n) < POWER:
        most *= 2.0
    return float(brentq(lambda effect: _power(effect, n) - POWER, 0.0, most, xtol=1e-12))
