"""Paired differences: tests of them, their intervals and power.

Student's t, central and non-central, is scipy's (`scipy.special`). The tests are written for many
rows at once: those of `scipy.stats` and statsmodels, to which they are equal, take minutes for a
board of a hundred thousand rows.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, reduce

import numpy as np
from numpy.typing import NDArray
from scipy import special

LEVEL = 0.05
"""Level of every test, two-sided, and one minus the confidence of every interval."""

POWER = 0.8
"""Probability with which the smallest detectable difference is detected."""

MOST_EXACT = 16
"""Pairs up to which all 2^n signs are tried; beyond, 2^16 random ones."""

AT_ONCE = 2**20
"""Most numbers held in memory at a time."""

PAIRED_AT_ONCE = 2**18
"""Most differences of pairs worked on at a time: few enough to stay in the processor's cache."""

UNSURE, MARGIN = 1e-13, 1e-6
"""Rounding of sums of squares for each number in them, and of t², with much to spare."""

ROUNDING = 1e-12
"""By how much differences that are all equal may differ."""

MOST_SEEDS = 10_000
"""Seeds above which no number is given."""


Beaten = list[list[int]]
"""For each of several sets of values, the indices of those that are below it by test."""


@dataclass(slots=True)  # not frozen: a board has so many that it would show
class PairedTest:
    """Tests of n differences, in the unit of the differences.

    All but the mean is None for fewer than two. ``low`` and ``high`` are the 95 % t-interval.
    ``t_p`` is the two-sided p of the paired t-test, ``sign_flip_p`` that of the exact permutation
    test over the signs of the differences, at least 2 / 2^n. ``detectable`` is the smallest true
    difference that so many pairs with this deviation would have shown with a power of 80 % (paired
    t, 5 %, two-sided).
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


def subtract_by_seed(one: Mapping[int, float], other: Mapping[int, float]) -> dict[int, float]:
    """Return ``one`` minus ``other`` at the seeds that both have."""
    return {seed: one[seed] - other[seed] for seed in sorted(one.keys() & other.keys())}


def paired_test(differences: Sequence[float]) -> PairedTest | None:
    """Return the tests of differences against zero, None where there are none.

    Raises ValueError for a number that is not finite.
    """
    return paired_tests([differences])[0]


def paired_tests(several: Sequence[Sequence[float]]) -> list[PairedTest | None]:
    """Return `paired_test` of several rows of differences, much faster than one by one."""
    found: list[PairedTest | None] = [None] * len(several)
    by_length: dict[int, list[int]] = {}
    for index, row in enumerate(several):
        by_length.setdefault(len(row), []).append(index)
    for n, indices in by_length.items():
        if n:
            values = np.array([several[index] for index in indices], dtype=np.float64)
            if not np.isfinite(values).all():
                raise ValueError("differences are finite numbers")
            for index, test in zip(indices, _paired_tests(values), strict=True):
                found[index] = test
    return found


def _paired_tests(values: NDArray[np.float64]) -> list[PairedTest]:  # rows of (rows, n)
    n = values.shape[1]
    means = [math.fsum(row) / n for row in values.tolist()]
    if n < 2:
        return [PairedTest(n, mean) for mean in means]
    deviations, t = _t_values(np.ascontiguousarray(values.T))
    t_p = _p_values(t, n)
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
    """Return the t-interval of the mean of differences, of confidence 1 - ``level``.

    None for fewer than two differences.
    """
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
    """Return the quantile 1 - ``level`` / 2 of Student's t.

    It is half of a two-sided interval in standard errors.
    """
    return float(special.stdtrit(freedom, 1 - level / 2))


def _t_values(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return deviations and t of the paired t-test of each column of (n, columns).

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


def _p_values(t: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    return np.asarray(2.0 * special.stdtr(n - 1, -np.abs(t)), dtype=np.float64)


def adjust_holm(
    p_values: Sequence[float] | NDArray[np.float64], of: int | None = None
) -> list[float]:
    """Return Holm's adjusted p-values in the same order.

    ``of`` is the number of tests where some are left out, all with larger p-values.
    """
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    factors = np.arange(len(p), 0, -1) + ((len(p) if of is None else of) - len(p))
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * factors), 1.0)
    return [float(one) for one in adjusted]


def seeds_needed(effect: float, deviation: float) -> int | None:
    """Return the number of seeds that shows a true ``effect`` with a power of 80 %.

    ``deviation`` is that of the differences, in the effect's unit. Returns None above `MOST_SEEDS`.
    """
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
    """Return for each set of values by seed, in each table, which others are below it by test.

    All pairs of a table are compared by paired t at 5 %, two-sided, after Holm's correction over
    all of them. Pairs with fewer than ``least`` common seeds show nothing and do not count. Many
    tables at once are much faster than one by one.
    """
    found: list[Beaten] = []
    batch: list[_Pairs] = []
    for table in tables:
        batch.append(_Pairs(table, max(least, 2)))
        if sum(one.size for one in batch) >= PAIRED_AT_ONCE:
            found += _test_batch(batch)
            batch = []
    return found + _test_batch(batch)


@dataclass(frozen=True)
class _PairBatch:
    """Differences of some pairs of a table, all of n common seeds.

    ``values`` is (n, pairs): sums along the first axis are fast.
    """

    of: "_Pairs"
    pairs: NDArray[np.intp]
    values: NDArray[np.float64]


class _Pairs:
    """The pairs of a table that may differ, with t and the number of seeds that both have.

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

    def parts(self) -> Iterator[_PairBatch]:
        step = max(1, PAIRED_AT_ONCE // max(1, len(self._values)))
        for start in range(0, len(self._ones), step):
            part = slice(start, start + step)
            found = self._values[:, self._ones[part]] - self._values[:, self._others[part]]
            there = np.isfinite(found)
            counts = there.sum(axis=0)
            for n in _distinct(counts):
                pairs = np.flatnonzero(counts == n)
                own = found[:, pairs]
                if n < len(found):
                    own = own.T[there[:, pairs].T].reshape(-1, n).T
                yield _PairBatch(self, pairs + start, own)

    def beaten(self) -> Beaten:
        found: Beaten = [[] for _ in range(self._values.shape[1])]
        for n in _distinct(self.n[self.n > 0]):
            near = (self.n == n) & (np.abs(self.t) < t_quantile(n - 1))
            self.t[near] = 0.0  # no correction makes a larger p smaller
        tested = np.flatnonzero(self.t)
        p = np.empty(len(tested))
        for n in _distinct(self.n[tested]):
            own = self.n[tested] == n
            p[own] = _p_values(self.t[tested[own]], n)
        adjusted = adjust_holm(p, of=self.counted)
        for pair in tested[np.array(adjusted) <= LEVEL]:
            i, j = int(self._ones[pair]), int(self._others[pair])
            worse, better = (j, i) if self.t[pair] < 0 else (i, j)
            found[worse].append(better)
        return [sorted(better) for better in found]


def _may_differ(
    values: NDArray[np.float64], least: int
) -> tuple[int, NDArray[np.intp], NDArray[np.intp]]:
    """Return how many pairs of columns have ``least`` numbers in common, and which may differ.

    ``values`` is (n, columns), NaN where there is no number. Those that may differ are pairs whose
    t may reach its quantile, before any correction. Means and squares of all pairs come from
    products of matrices. They are rounded more than those of differences, so whatever is near the
    quantile, or varies little, is among those returned.
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


def _distinct(counts: NDArray[np.intp]) -> list[int]:
    return np.flatnonzero(np.bincount(counts)).tolist()


def _test_batch(batch: Sequence[_Pairs]) -> list[Beaten]:
    waiting, size = [], 0
    for part in (part for one in batch for part in one.parts()):
        waiting.append(part)
        size += part.values.size
        if size >= PAIRED_AT_ONCE:
            _set_t(waiting)
            waiting, size = [], 0
    _set_t(waiting)
    return [one.beaten() for one in batch]


def _set_t(parts: Sequence[_PairBatch]) -> None:
    by_n: dict[int, list[_PairBatch]] = {}
    for part in parts:
        by_n.setdefault(len(part.values), []).append(part)
    for n, some in by_n.items():
        _, t = _t_values(np.concatenate([part.values for part in some], axis=1))
        ends = np.cumsum([len(part.pairs) for part in some])[:-1]
        for part, own in zip(some, np.split(t, ends), strict=True):
            part.of.t[part.pairs], part.of.n[part.pairs] = own, n


def _sign_flip(values: NDArray[np.float64]) -> NDArray[np.float64]:
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
    """Return the exact test's p: the share of all signs whose sum is at least as far from zero.

    The first sign stays, since turning all of them changes no distance.
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
    """Return the power of the paired t-test, the mass of the non-central t beyond both ends.

    ``effect`` is in standard deviations of the n differences.
    """
    shift, edge = effect * math.sqrt(n), t_quantile(n - 1)
    above = 1.0 - special.nctdtr(n - 1, shift, edge)
    # Beyond 8 less than 1e-15 lies below zero, where scipy has no number any more.
    below = special.nctdtr(n - 1, shift, -edge) if shift < 8 else 0.0
    return float(above + below)


@cache
def _detectable_at(n: int) -> float:
    from scipy.optimize import brentq

    most = 1.0
    while _power(most, n) < POWER:
        most *= 2.0
    return float(brentq(lambda effect: _power(effect, n) - POWER, 0.0, most, xtol=1e-12))
