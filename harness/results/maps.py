"""Sets of contribution maps: finding them, their statistics, and the tables that they make.

A set holds the maps of one pretraining, data set, budget and score: a map for each split.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache, partial
from operator import attrgetter
from typing import Any

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from lcma.db import ContributionMap, JobFacts, Store, overlap
from lcma.db.maps import MAP_FACTS
from lcma.db.schema import contribution_maps, jobs, pretrainings
from lcma.harness.results.filters import Filters, filter_records
from lcma.harness.results.lookup import parse_object, read_score
from lcma.harness.results.map_statistics import Mask, compute_table_statistics, make_kept_masks
from lcma.harness.text import printable, short_id
from lcma.models import SplitTable, make_tables
from lcma.models.factorization import Shape
from lcma.sweeps import factorizations
from lcma.sweeps.errors import UserError
from lcma.sweeps.identity import canonical_json
from lcma.sweeps.recipe import MapOptions

DEFAULT_SCORE: str = MapOptions.model_fields["score"].default
"""The score that names leave out."""

_LETTERS_OF_RULE = {"self": "L", "precision-low": "L"}
"""The only letter that a map serves, for rules whose later maps depend on what has left."""

FACTS = (
    "pretraining_id",
    "data_digest",
    "budget",
    "score",
    *(name for name in MAP_FACTS if name != "nms"),
)
"""Facts by which sets are filtered: columns of `results`, which has no `nms`."""

WORDS = {"L": "low", "H": "high"}
"""Names of the words of equal letters."""

NATS, SQUARES = "nats", "squared pixel values"
"""Units of maps: of log-determinants of flows, and of the data itself."""

Record = dict[str, Any]


@dataclass(frozen=True)
class MapSet:
    """The maps of one pretraining, data set, budget and score."""

    pretraining_id: str
    data_digest: str
    budget: int
    score: str
    flow: str
    dataset: str
    variant: str
    seed: int
    nms: str
    recipe_id: str
    masks: str | None  # order of the checkerboard masks; None for a flow without any
    model: str  # equal for all pretrainings that differ only in seed, form, data or budget

    @property
    def id(self) -> str:
        """`PRETRAINING@BUDGET[:SCORE]`, to be read by people."""
        score = "" if self.score == DEFAULT_SCORE else f":{self.score}"
        return f"{short_id(self.pretraining_id)}@{self.budget}{score}"

    @property
    def unit(self) -> str:
        """Unit of the values."""
        return SQUARES if self.score in factorizations.DATA_RULES else NATS

    @property
    def heading(self) -> str:
        """Flow, data set, seed and the options that are not the defaults."""
        form = {"data": "the data alone", "self": "split by split"}.get(self.nms, f"{self.nms} NMS")
        unusual = {
            f"{self.score} score": self.score != DEFAULT_SCORE,
            form: self.nms != "squeezed",
            f"masks {self.masks}": self.masks not in (None, "odd-first"),
        }
        subject = f"{self.flow} on {self.dataset}, seed {self.seed}"
        return "; ".join([subject, *(name for name, holds in unusual.items() if holds)])

    @property
    def letters(self) -> str:
        """Letters of the words whose tables the maps make.

        A later map of `self`, or of a conditional rule of the data, covers only the dimensions that
        its own word has left, so it serves no other word.
        """
        rule = {"self": "self", "data": self.score}.get(self.nms, "")
        return _LETTERS_OF_RULE.get(rule, "LH")


# Finding sets


def list_map_sets(store: Store) -> list[MapSet]:
    """Return every set, by data set, flow, seed, budget and score."""
    maps, runs = contribution_maps.c, pretrainings.c
    query = (
        sa.select(
            *(maps.pretraining_id, maps.data_digest, maps.budget, maps.score),
            *(runs.flow, runs.dataset, runs.variant, runs.seed, runs.nms, runs.recipe_id),
        )
        .distinct()
        .join_from(contribution_maps, pretrainings, runs.id == maps.pretraining_id)
        .join(jobs, jobs.c.done_attempt_id == maps.attempt_id)
        .order_by(
            *(runs.dataset, runs.variant, maps.data_digest, runs.flow, runs.seed),
            *(maps.budget, maps.score, maps.pretraining_id),
        )
    )
    keys, sets = store.rows(query), []
    recipes = store.recipes({key.recipe_id for key in keys})
    for key in keys:
        body = parse_object(recipes[key.recipe_id].body)
        parts = {part: body.get(part) for part in ("model", "optimization")}
        model = canonical_json(parts) if all(parts.values()) else key.recipe_id
        masks = body.get("model", {}).get("architecture", {}).get("masks")
        sets.append(MapSet(**key._mapping, masks=masks, model=model))
    return sets


def filter_map_sets(
    sets: Sequence[MapSet], filters: Filters | None = None, sweep: str | None = None
) -> list[MapSet]:
    """Return the sets with these values; raise UserError where there are none.

    ``sweep`` is the name of the only sweep that the sets come from, for errors.
    """
    if not sets:
        raise UserError(
            "the database has no contribution maps yet: `lcma launch demo` makes some, "
            "`lcma status` shows what is under way"
        )
    return filter_records(sets, filters or {}, "maps", FACTS, ("budget", "score"), sweep)


def filter_read_sets(sets: Iterable[MapSet], trials: Iterable[JobFacts]) -> list[MapSet]:
    """Return the sets that these trials read."""
    key = attrgetter("pretraining_id", "data_digest", "budget")
    read = {
        (*key(trial), read_score(trial.factorization_or_kind, trial.map_options))
        for trial in trials
        if trial.pretraining_id is not None
    }
    return [map_set for map_set in sets if (*key(map_set), map_set.score) in read]


series_key = attrgetter("dataset", "flow", "seed", "pretraining_id", "data_digest", "score")
"""Facts shared by the sets of one picture."""


# Statistics of a set, and the tables that its maps make

_COMPARED_FACTS = frozenset(
    {"model", "flow", "dataset", "variant", "data_digest", "score", "nms", "seed", "budget"}
)
"""Facts that sets share, except the one in which they are compared."""


class MapReader:
    """Reads sets of maps of a store, each once, and computes their statistics."""

    def __init__(self, store: Store, sets: Sequence[MapSet]) -> None:
        """Take all sets of the store, which include the other seeds and budgets of each set."""
        self._sets = sets
        # Reads maps by split; raises UserError where they are damaged or do not fit together.
        self.maps = cache(partial(_read_maps, store))
        self.kept = cache(self._make_masks)

    def _make_masks(self, map_set: MapSet, letter: str) -> list[Mask]:
        maps = self.maps(map_set)
        return make_kept_masks(make_word_tables(letter, maps), image_shape(maps))

    def others(self, map_set: MapSet, name: str) -> list[MapSet]:
        """Return the sets that differ from this one only in one fact: "seed" or "budget"."""
        same = attrgetter(*(_COMPARED_FACTS - {name}))
        return [
            other
            for other in self._sets
            if same(other) == same(map_set) and getattr(other, name) != getattr(map_set, name)
        ]

    def summarize(self, map_set: MapSet) -> list[Record]:
        """Return a record for each split: statistics of its map, and of the tables of low and high.

        Those of a table include its mean overlaps with the sets that differ only in seed or only
        in budget; None where there are none. A word's tables are None where the maps do not make
        them.
        """
        words = {
            word: self._describe_tables(letter, map_set) if letter in map_set.letters else None
            for letter, word in WORDS.items()
        }
        return [
            {name: getattr(item, name) for name in ("split", "images", "clusters")}
            | {"mean_log_det": item.mean_log_det, "sum_error": item.sum_error}
            | asdict(item.statistics)
            | {word: None if tables is None else tables[k] for word, tables in words.items()}
            for k, item in enumerate(self.maps(map_set))
        ]

    def _describe_tables(self, letter: str, map_set: MapSet) -> list[Record]:
        maps = self.maps(map_set)
        statistics = compute_table_statistics(
            letter * len(maps),
            make_word_tables(letter, maps),
            image_shape(maps),
            maps=[m.values for m in maps],
            halves=[(m.halves[0], m.halves[1]) for m in maps if m.halves is not None],
        )
        means = {
            f"iou_other_{name}s": self._average_overlap(map_set, self.others(map_set, name), letter)
            for name in ("seed", "budget")
        }
        return [
            asdict(numbers) | {name: by_split[k] for name, by_split in means.items()}
            for k, numbers in enumerate(statistics)
        ]

    def _average_overlap(
        self, map_set: MapSet, others: Iterable[MapSet], letter: str
    ) -> list[float | None]:
        """Return by split the mean overlap with those others that have such tables of this size."""
        own_masks = self.kept(map_set, letter)
        masks_of_others = [
            masks
            for other in others
            if letter in other.letters
            and (masks := self.kept(other, letter))[0].shape == own_masks[0].shape
        ]
        overlaps = [
            [overlap(mask, masks[k]) for masks in masks_of_others if k < len(masks)]
            for k, mask in enumerate(own_masks)
        ]
        return [float(np.mean(values)) if values else None for values in overlaps]


def _read_maps(store: Store, map_set: MapSet) -> list[ContributionMap]:
    key = ("pretraining_id", "data_digest", "budget", "score")
    maps = store.maps(**{name: getattr(map_set, name) for name in key})
    require_fit(maps, map_set.id)
    return [*maps]


def make_all_tables(
    maps: Sequence[ContributionMap], seed: int, letters: str = "LH"
) -> dict[str, list[SplitTable]]:
    """Return the tables by split of each factorization that these maps can show.

    These are the fixed factorizations, with random ones drawn by ``seed``, those of loaded
    plug-ins, and the words of equal ``letters``.
    """
    shape, splits, values = image_shape(maps), len(maps), [m.values for m in maps]
    names = [name for name in factorizations.FIXED if name != "none"]
    tables = {name: make_tables(name, shape, splits, seed=seed, maps=values) for name in names}
    for name in factorizations.RULES:
        with suppress(UserError):  # it may be for other splits
            tables[name] = make_tables(name, shape, splits, seed=seed, maps=values)
    words = {f"{WORDS[x]} ({x * splits})": make_word_tables(x, maps) for x in letters}
    return tables | words


def make_word_tables(letter: str, maps: Sequence[ContributionMap]) -> list[SplitTable]:
    """Return the tables by split of the word that has only this letter."""
    splits = len(maps)
    return make_tables(letter * splits, image_shape(maps), splits, maps=[m.values for m in maps])


def require_fit(maps: Sequence[ContributionMap], name: str) -> None:
    """Raise UserError unless the maps are those of all splits of one flow, in order."""
    splits, shapes = len(maps), {m.values.shape for m in maps}
    sides = [side for shape in shapes for side in shape[1:]]
    if (
        len(shapes) != 1
        or any(side % 2**splits for side in sides)
        or [m.split for m in maps] != list(range(1, splits + 1))
    ):
        raise UserError(
            f"the maps of {printable(name)} do not fit together: go back to a copy of the database"
        )


def image_shape(maps: Sequence[ContributionMap]) -> Shape:
    channels, height, width = maps[0].values.shape
    return channels, height, width


def iou_by_chance(split: int) -> float:
    """Return approximately the overlap of what two unrelated tables keep after a split, from 1."""
    kept_share = 2.0**-split
    return kept_share / (2 - kept_share)


def rank_correlation(first: NDArray[np.floating], second: NDArray[np.floating]) -> float | None:
    """Return Spearman's correlation, or None where one of both arrays does not vary."""
    if not (first.size and np.ptp(first) and np.ptp(second)):
        return None
    ranks = []  # ties get their mean rank, as by scipy's `rankdata`, which is slow to import
    for values in (first, second):
        _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
        ranks.append((np.cumsum(counts) - (counts - 1) / 2)[places.ravel()])
    return float(np.corrcoef(np.column_stack(ranks), rowvar=False)[1, 0])
