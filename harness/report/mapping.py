"""Stored contribution maps as a person wants them: statistics, and the tables they lead to."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from db import ContributionMap
from models import Table, tables
from models.factorization import surviving_ids, tied_windows
from sweeps import factorizations
from sweeps.errors import UserError

Named = tuple[str, list[Table]]


@dataclass(frozen=True)
class SplitSummary:
    """One map in numbers, in nats. ``largest_standard_error`` is None where none is known.

    ``tied`` is the share of windows, at the ids still there when low contributions leave, whose
    second and third value are equal, so that not the map but the order of positions decides.
    """

    split: int
    images: int
    clusters: int | None
    mean_log_det: float
    largest_standard_error: float | None
    sum_error: float
    tied: float


def summarize(maps: Sequence[ContributionMap]) -> list[SplitSummary]:
    """The maps of one pretraining and budget, by split. UserError where they do not fit."""
    found = []
    low = _of_word("L", maps)
    for item, ids in zip(maps, surviving_ids(low, _shape(maps)), strict=False):
        errors = item.standard_errors[np.isfinite(item.standard_errors)]
        found.append(
            SplitSummary(
                split=item.split,
                images=item.images,
                clusters=item.clusters,
                mean_log_det=item.mean_log_det,
                largest_standard_error=float(errors.max()) if errors.size else None,
                sum_error=item.sum_error,
                tied=tied_windows(item.values.ravel()[ids]),
            )
        )
    return found


def every_table(maps: Sequence[ContributionMap], seed: int) -> list[Named]:
    """Each factorization with its tables by split: the fixed ones, those of plug-ins that are
    loaded, low and high of these maps.

    ``seed`` drives the random ones. UserError where the maps do not fit.
    """
    shape, splits = _shape(maps), len(maps)
    low, high = _of_word("L", maps), _of_word("H", maps)
    names = [name for name in factorizations.FIXED if name != "none"]
    names += [rule.name for rule in factorizations.RULES.values() if rule.fits(splits)]
    values = [m.values for m in maps]
    found = [(name, tables(name, shape, splits, seed=seed, maps=values)) for name in names]
    return [*found, (f"low ({'L' * splits})", low), (f"high ({'H' * splits})", high)]


def _of_word(letter: str, maps: Sequence[ContributionMap]) -> list[Table]:
    shape, splits = _shape(maps), len(maps)
    fits = shape[1] % 2**splits == 0 and shape[2] % 2**splits == 0
    if not fits or [m.split for m in maps] != list(range(1, splits + 1)):
        raise UserError(
            f"the maps of pretraining {maps[0].pretraining_id} at budget {maps[0].budget} do not "
            "go together: go back to a copy of the database"
        )
    return tables(letter * splits, shape, splits, maps=[m.values for m in maps])


def _shape(maps: Sequence[ContributionMap]) -> tuple[int, int, int]:
    channels, height, width = maps[0].values.shape
    return channels, height, width
