"""How a contribution map changes with the length of its pretraining."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from lcma.db import ContributionMap, overlap
from lcma.harness.instruments import kept_masks
from lcma.harness.report.budgets.records import Spread, Stability
from lcma.harness.report.comparing import iou_by_chance
from lcma.harness.report.mapping import shape_of
from lcma.models import tables
from lcma.sweeps import factorizations

Maps = Mapping[int, Mapping[int, Sequence[ContributionMap]]]
"""By seed and budget, the maps by split. Those of one seed fit together."""


def measure_stability(by_seed: Maps, factorization: str) -> list[Stability]:
    """Each budget against the longest one, by budget and split.

    The longest is the greatest that at least half of the seeds have; seeds without it, and budgets
    beyond it, are left out. ``factorization`` is a word, or another rule, of which no
    overlaps are known.
    """
    counts: dict[int, int] = defaultdict(int)
    for budgets in by_seed.values():
        for budget in budgets:
            counts[budget] += 1
    if not counts:
        return []
    most = max(counts.values())
    longest = max(b for b, count in counts.items() if 2 * count >= min(len(by_seed), 2 * most))
    found: dict[tuple[int, int], list[_Numbers]] = defaultdict(list)
    for _, budgets in sorted(by_seed.items()):
        if longest not in budgets:
            continue
        reference = budgets[longest]
        kept = _kept(reference, factorization)
        for budget, maps in budgets.items():
            if budget <= longest and len(maps) == len(reference):
                for k, numbers in enumerate(_against(maps, reference, kept, factorization)):
                    found[budget, k + 1].append(numbers)
    return [
        Stability(
            budget=budget,
            split=split,
            seeds=len(numbers),
            longest=longest,
            rank_correlation=_spread(n["rank_correlation"] for n in numbers),
            overlap=_spread(n["overlap"] for n in numbers),
            by_chance=iou_by_chance(split),
            mask_share=_spread(n["mask_share"] for n in numbers),
            tied=_spread(n["tied"] for n in numbers),
        )
        for (budget, split), numbers in sorted(found.items())
    ]


_Numbers = dict[str, float | None]


def _against(
    maps: Sequence[ContributionMap],
    reference: Sequence[ContributionMap],
    kept: Sequence[Any] | None,
    factorization: str,
) -> Iterable[_Numbers]:
    own = _kept(maps, factorization)
    for k, (one, other) in enumerate(zip(maps, reference, strict=True)):
        statistics = one.statistics
        both = None if own is None or kept is None else overlap(own[k], kept[k])
        yield {
            "rank_correlation": _rank_correlation(one, other),
            "overlap": both,
            "mask_share": None if statistics is None else statistics.mask_share,
            "tied": None if statistics is None else statistics.tied,
        }


def _kept(maps: Sequence[ContributionMap], factorization: str) -> list[Any] | None:
    if not factorizations.is_word(factorization) or len(factorization) != len(maps):
        return None
    shape = shape_of(maps)
    found = tables(factorization, shape, len(maps), maps=[m.values for m in maps])
    return list(kept_masks(found, shape))


def _rank_correlation(one: ContributionMap, other: ContributionMap) -> float | None:
    if not (np.ptp(one.values) and np.ptp(other.values)):
        return None
    from scipy.stats import spearmanr

    return float(spearmanr(one.values.ravel(), other.values.ravel()).statistic)


def _spread(values: Iterable[float | None]) -> Spread | None:
    known = [value for value in values if value is not None]
    return Spread(float(np.mean(known)), min(known), max(known)) if known else None
