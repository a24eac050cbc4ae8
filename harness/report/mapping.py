"""Stored contribution maps as a person wants them: statistics, and the tables they lead to."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from lcma.db import ContributionMap, MapStatistics, Store, TableStatistics, overlap
from lcma.harness.instruments import Mask, kept_masks, table_statistics
from lcma.harness.report.mapsets import MapSet
from lcma.harness.report.text import printable
from lcma.models import Table, tables
from lcma.models.factorization import Shape
from lcma.sweeps import factorizations
from lcma.sweeps.errors import UserError

Named = tuple[str, list[Table]]


@dataclass(frozen=True)
class WordTable:
    """The table at one split of a word of equal letters, in numbers.

    The overlaps are means over other sets of maps alike but for the seed, or for the budget;
    None where there are none.
    """

    statistics: TableStatistics
    iou_other_seeds: float | None
    iou_other_budgets: float | None


@dataclass(frozen=True)
class SplitSummary:
    """One map in numbers, in nats, and the tables that low and high make of it.

    ``largest_standard_error`` is None where none is known, ``statistics`` for a map that was made
    before there were any.
    """

    split: int
    images: int
    clusters: int | None
    mean_log_det: float
    sum_error: float
    largest_standard_error: float | None
    statistics: MapStatistics | None
    low: WordTable
    high: WordTable


class Reader:
    """Sets of maps of a store and what they have in common; each is read once.

    ``sets`` are all there are: among them are the other seeds and budgets of one.
    """

    def __init__(self, store: Store, sets: Sequence[MapSet]) -> None:
        self._store = store
        self._alike: dict[tuple[str, ...], list[MapSet]] = {}
        for one in sets:
            self._alike.setdefault(_kind(one), []).append(one)
        self._maps: dict[str, list[ContributionMap]] = {}
        self._kept: dict[tuple[str, str], list[Mask]] = {}

    def maps(self, one: MapSet) -> list[ContributionMap]:
        """The maps by split. UserError where they are damaged or do not fit together."""
        if one.id not in self._maps:
            key = one.key
            found: list[ContributionMap] = [
                *self._store.maps(
                    pretraining_id=key.pretraining_id,
                    data_digest=key.data_digest,
                    budget=key.budget,
                    score=key.score,
                )
            ]
            require_fit(found, one.id)
            self._maps[one.id] = found
        return self._maps[one.id]

    def kept(self, one: MapSet, letter: str) -> list[Mask]:
        """What is still there after each split of LL.. or HH.., (C, H, W)."""
        if (one.id, letter) not in self._kept:
            maps = self.maps(one)
            found = kept_masks(word_tables(letter, maps), shape_of(maps))
            self._kept[one.id, letter] = found
        return self._kept[one.id, letter]

    def other_seeds(self, one: MapSet) -> list[MapSet]:
        """The sets that differ from this one in their seed alone."""
        seed, budget = one.key.seed, one.key.budget
        alike = self._alike.get(_kind(one), [])
        return [o for o in alike if o.key.seed != seed and o.key.budget == budget]

    def other_budgets(self, one: MapSet) -> list[MapSet]:
        """The sets that differ from this one in their budget alone."""
        seed, budget = one.key.seed, one.key.budget
        alike = self._alike.get(_kind(one), [])
        return [o for o in alike if o.key.seed == seed and o.key.budget != budget]

    def summarize(self, one: MapSet) -> list[SplitSummary]:
        """The maps in numbers, by split."""
        maps = self.maps(one)
        low, high = self._word("L", one), self._word("H", one)
        found = []
        for item, of_low, of_high in zip(maps, low, high, strict=True):
            errors = item.standard_errors[np.isfinite(item.standard_errors)]
            found.append(
                SplitSummary(
                    split=item.split,
                    images=item.images,
                    clusters=item.clusters,
                    mean_log_det=item.mean_log_det,
                    sum_error=item.sum_error,
                    largest_standard_error=float(errors.max()) if errors.size else None,
                    statistics=item.statistics,
                    low=of_low,
                    high=of_high,
                )
            )
        return found

    def _word(self, letter: str, one: MapSet) -> list[WordTable]:
        maps, kept = self.maps(one), self.kept(one, letter)
        halves = [
            (m.halves[0], m.halves[1])
            for m in maps
            if m.halves is not None and np.isfinite(m.halves).all()
        ]
        statistics = table_statistics(
            letter * len(maps),
            word_tables(letter, maps),
            shape_of(maps),
            maps=[m.values for m in maps],
            halves=halves if len(halves) == len(maps) else (),
        )
        seeds = self._others(letter, one, self.other_seeds(one))
        budgets = self._others(letter, one, self.other_budgets(one))
        return [
            WordTable(
                statistics=numbers,
                iou_other_seeds=_mean(overlap(mask, other[k]) for other in seeds),
                iou_other_budgets=_mean(overlap(mask, other[k]) for other in budgets),
            )
            for k, (numbers, mask) in enumerate(zip(statistics, kept, strict=True))
        ]

    def _others(self, letter: str, one: MapSet, others: Sequence[MapSet]) -> list[list[Mask]]:
        maps = self.maps(one)
        for other in others:
            found = self.maps(other)
            if len(found) != len(maps) or shape_of(found) != shape_of(maps):
                raise _unfit(other.id)
        return [self.kept(other, letter) for other in others]


def every_table(maps: Sequence[ContributionMap], seed: int) -> list[Named]:
    """Each factorization with its tables by split: the fixed ones, those of plug-ins that are
    loaded, low and high of these maps.

    ``seed`` drives the random ones. The maps fit together.
    """
    shape, splits = shape_of(maps), len(maps)
    low, high = word_tables("L", maps), word_tables("H", maps)
    names = [name for name in factorizations.FIXED if name != "none"]
    names += [rule.name for rule in factorizations.RULES.values() if rule.fits(splits)]
    values = [m.values for m in maps]
    found = [(name, tables(name, shape, splits, seed=seed, maps=values)) for name in names]
    return [*found, (f"low ({'L' * splits})", low), (f"high ({'H' * splits})", high)]


def word_tables(letter: str, maps: Sequence[ContributionMap]) -> list[Table]:
    """The tables by split of the word of that letter alone. The maps fit together."""
    splits = len(maps)
    return tables(letter * splits, shape_of(maps), splits, maps=[m.values for m in maps])


def require_fit(maps: Sequence[ContributionMap], name: str) -> None:
    """UserError for maps that are not those of all splits of one flow, by split."""
    splits, shapes = len(maps), {m.values.shape for m in maps}
    sides = [side for shape in shapes for side in shape[1:]]
    if (
        len(shapes) != 1
        or any(side % 2**splits for side in sides)
        or [m.split for m in maps] != list(range(1, splits + 1))
    ):
        raise _unfit(name)


def shape_of(maps: Sequence[ContributionMap]) -> Shape:
    """(C, H, W) of maps that fit together."""
    channels, height, width = maps[0].values.shape
    return channels, height, width


def _kind(one: MapSet) -> tuple[str, ...]:
    """What sets have in common that differ in seed or budget alone."""
    key = one.key
    return (one.model, key.flow, key.dataset, key.variant, key.data_digest, key.score, key.nms)


def _unfit(name: str) -> UserError:
    return UserError(
        f"the maps of {printable(name)} do not go together: go back to a copy of the database"
    )


def _mean(values: Iterable[float]) -> float | None:
    listed = list(values)
    return float(np.mean(listed)) if listed else None
