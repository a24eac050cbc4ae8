"""Sets of contribution maps: which there are, their statistics, and the tables that they make.

A set holds the maps of one pretraining on one data set at one budget by one score, a map for each
split.
"""

from collections.abc import Iterable, Sequence
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

USUAL: str = MapOptions.model_fields["score"].default
"""The score that is not named."""

_OWN_LETTERS = {"self": "L"} | {
    rule: "L" if rule.endswith("-low") else "H"
    for rule in factorizations.DATA_RULES
    if not rule.startswith("variance")  # the same whatever has left
}

FACTS = ("pretraining_id", "data_digest", "budget", "score", *MAP_FACTS)
"""What sets are chosen by."""

WORDS = {"L": "low", "H": "high"}
"""The words of equal letters by their letter."""

NATS, SQUARES = "nats", "squared pixel values"
"""Units of maps: of what a flow adds to the log-determinant, and of the data alone."""

Record = dict[str, Any]


@dataclass(frozen=True)
class MapSet:
    """The maps of one pretraining, data set, budget and score.

    ``masks`` is the order of the checkerboard masks, None for a flow without any. ``model`` is
    equal for all pretrainings that differ in seed, form, data or budget alone.
    """

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
    masks: str | None
    model: str

    @property
    def id(self) -> str:
        """`PRETRAINING@BUDGET[:SCORE]`, for a person."""
        score = "" if self.score == USUAL else f":{self.score}"
        return f"{short_id(self.pretraining_id)}@{self.budget}{score}"

    @property
    def unit(self) -> str:
        """Unit of the values: that of the likelihood, but for rules of the data."""
        return SQUARES if self.score in factorizations.DATA_RULES else NATS

    @property
    def heading(self) -> str:
        """Flow, data set, seed and those options that are not the usual ones."""
        form = {"data": "the data alone", "self": "split by split"}.get(self.nms, f"{self.nms} NMS")
        unusual = {
            f"{self.score} score": self.score != USUAL,
            form: self.nms != "squeezed",
            f"masks {self.masks}": self.masks not in (None, "odd-first"),
        }
        what = f"{self.flow} on {self.dataset}, seed {self.seed}"
        return "; ".join([what, *(name for name, holds in unusual.items() if holds)])

    @property
    def letters(self) -> str:
        """Letters of the words whose tables the maps make.

        A map of `self` or of a conditional rule of the data is of the dimensions that its own word
        has left: of another word it says nothing.
        """
        rule = {"self": "self", "data": self.score}.get(self.nms, "")
        return _OWN_LETTERS.get(rule, "LH")


# Finding sets


def list_map_sets(store: Store) -> list[MapSet]:
    """Return every set, by data set, flow, seed, budget and score."""
    maps, own = contribution_maps.c, pretrainings.c
    query = (
        sa.select(
            *(maps.pretraining_id, maps.data_digest, maps.budget, maps.score),
            *(own.flow, own.dataset, own.variant, own.seed, own.nms, own.recipe_id),
        )
        .distinct()
        .join_from(contribution_maps, pretrainings, own.id == maps.pretraining_id)
        .join(jobs, jobs.c.done_attempt_id == maps.attempt_id)
        .order_by(
            *(own.dataset, own.variant, maps.data_digest, own.flow, own.seed),
            *(maps.budget, maps.score, maps.pretraining_id),
        )
    )
    keys, found = store.rows(query), []
    recipes = store.recipes({key.recipe_id for key in keys})
    for key in keys:
        body = parse_object(recipes[key.recipe_id].body)
        parts = {part: body.get(part) for part in ("model", "optimization")}
        model = canonical_json(parts) if all(parts.values()) else key.recipe_id
        masks = body.get("model", {}).get("architecture", {}).get("masks")
        found.append(MapSet(**key._mapping, masks=masks, model=model))
    return found


def filter_map_sets(sets: Sequence[MapSet], filters: Filters | None = None) -> list[MapSet]:
    """Return the sets that have any of these values, by their fields; of an id a start will do.

    Raises UserError where there is none, and as `filter_records`.
    """
    if not sets:
        raise UserError(
            "the database has no contribution maps yet: `lcma launch demo` makes some, "
            "`lcma status` shows what is under way"
        )
    return filter_records(sets, filters or {}, "maps", FACTS, ("budget", "score"))


def filter_read_sets(sets: Iterable[MapSet], trials: Iterable[JobFacts]) -> list[MapSet]:
    """Return the sets that these trials read."""
    key = attrgetter("pretraining_id", "data_digest", "budget")
    read = {
        (*key(one), read_score(one.factorization_or_kind, one.map_options))
        for one in trials
        if one.pretraining_id is not None
    }
    return [one for one in sets if (*key(one), one.score) in read]


series_key = attrgetter("dataset", "flow", "seed", "pretraining_id", "data_digest", "score")
"""Facts shared by sets that stand side by side in one picture."""


# Statistics of a set, and the tables that its maps lead to

_ALIKE = frozenset(
    {"model", "flow", "dataset", "variant", "data_digest", "score", "nms", "seed", "budget"}
)
"""What sets share, but for the one in which they are compared."""


class MapReader:
    """Reads sets of maps of a store, each once, and describes them in numbers.

    ``sets`` are all there are, so that other seeds and budgets of a set are among them. ``maps``
    reads those of a set by split, and raises UserError where they are damaged or do not fit.
    """

    def __init__(self, store: Store, sets: Sequence[MapSet]) -> None:
        self._sets = sets
        self.maps = cache(partial(_read_maps, store))
        self.kept = cache(self._find_kept)

    def _find_kept(self, one: MapSet, letter: str) -> list[Mask]:
        maps = self.maps(one)
        return make_kept_masks(make_word_tables(letter, maps), image_shape(maps))

    def others(self, one: MapSet, name: str) -> list[MapSet]:
        """Return the sets that differ from this one in their 'seed' alone, or 'budget' alone."""
        same = attrgetter(*(_ALIKE - {name}))
        return [
            other
            for other in self._sets
            if same(other) == same(one) and getattr(other, name) != getattr(one, name)
        ]

    def summarize(self, one: MapSet, first: MapSet | None = None) -> list[Record]:
        """Return a record for each split: its map in numbers, and the tables of low and high.

        The statistics of a table have overlaps with that of the ``first`` set, and means over other
        sets that differ in the seed alone, or in the budget alone: None where there are none. A
        word's tables are None where the maps do not make them.
        """
        words = {
            word: self._describe_tables(letter, one, first) if letter in one.letters else None
            for letter, word in WORDS.items()
        }
        return [
            {name: getattr(item, name) for name in ("split", "images", "clusters")}
            | {"mean_log_det": item.mean_log_det, "sum_error": item.sum_error}
            | asdict(item.statistics)
            | {word: None if of is None else of[k] for word, of in words.items()}
            for k, item in enumerate(self.maps(one))
        ]

    def _describe_tables(self, letter: str, one: MapSet, first: MapSet | None) -> list[Record]:
        maps = self.maps(one)
        statistics = compute_table_statistics(
            letter * len(maps),
            make_word_tables(letter, maps),
            image_shape(maps),
            maps=[m.values for m in maps],
            halves=[(m.halves[0], m.halves[1]) for m in maps if m.halves is not None],
        )
        others = {f"iou_other_{name}s": self.others(one, name) for name in ("seed", "budget")}
        others["iou_first"] = [] if first in (None, one) else [first]
        means = {name: self._average_overlap(one, of, letter) for name, of in others.items()}
        return [
            asdict(numbers) | {name: of[k] for name, of in means.items()}
            for k, numbers in enumerate(statistics)
        ]

    def _average_overlap(
        self, one: MapSet, others: Iterable[MapSet], letter: str
    ) -> list[float | None]:
        """Return by split the mean overlap with others that have such tables, of the same size."""
        own = self.kept(one, letter)
        found = [self.kept(other, letter) for other in others if letter in other.letters]
        found = [masks for masks in found if masks[0].shape == own[0].shape]
        overlaps = [
            [overlap(mask, masks[k]) for masks in found if k < len(masks)]
            for k, mask in enumerate(own)
        ]
        return [float(np.mean(values)) if values else None for values in overlaps]


def _read_maps(store: Store, one: MapSet) -> list[ContributionMap]:
    key = ("pretraining_id", "data_digest", "budget", "score")
    found = store.maps(**{name: getattr(one, name) for name in key})
    require_fit(found, one.id)
    return [*found]


def make_all_tables(
    maps: Sequence[ContributionMap], seed: int, letters: str = "LH"
) -> dict[str, list[SplitTable]]:
    """Return the tables by split of each factorization.

    These are the fixed ones, those of loaded plug-ins, and the words of equal ``letters`` of these
    maps, which fit together. ``seed`` drives the random ones.
    """
    shape, splits, values = image_shape(maps), len(maps), [m.values for m in maps]
    names = [name for name in factorizations.FIXED if name != "none"]
    names += [rule.name for rule in factorizations.RULES.values() if rule.fits(splits)]
    named = {name: make_tables(name, shape, splits, seed=seed, maps=values) for name in names}
    words = {f"{WORDS[one]} ({one * splits})": make_word_tables(one, maps) for one in letters}
    return named | words


def make_word_tables(letter: str, maps: Sequence[ContributionMap]) -> list[SplitTable]:
    """Return the tables by split of the word of that letter alone. The maps fit together."""
    splits = len(maps)
    return make_tables(letter * splits, image_shape(maps), splits, maps=[m.values for m in maps])


def require_fit(maps: Sequence[ContributionMap], name: str) -> None:
    """Raise UserError for maps that are not those of all splits of one flow, by split."""
    splits, shapes = len(maps), {m.values.shape for m in maps}
    sides = [side for shape in shapes for side in shape[1:]]
    if (
        len(shapes) != 1
        or any(side % 2**splits for side in sides)
        or [m.split for m in maps] != list(range(1, splits + 1))
    ):
        raise UserError(
            f"the maps of {printable(name)} do not go together: go back to a copy of the database"
        )


def image_shape(maps: Sequence[ContributionMap]) -> Shape:
    """Return (C, H, W) of maps that fit together."""
    channels, height, width = maps[0].values.shape
    return channels, height, width


def iou_by_chance(split: int) -> float:
    """Return about the overlap of what two unrelated tables keep after a split, from 1."""
    still_there = 2.0**-split
    return still_there / (2 - still_there)


def rank_correlation(one: NDArray[np.floating], other: NDArray[np.floating]) -> float | None:
    """Return Spearman's correlation of values, None where one of both does not vary."""
    if not (one.size and np.ptp(one) and np.ptp(other)):
        return None
    ranks = []  # means of ties, as scipy's `rankdata`, whose import takes longer than all
    for values in (one, other):
        _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
        ranks.append((np.cumsum(counts) - (counts - 1) / 2)[places.ravel()])
    return float(np.corrcoef(np.column_stack(ranks), rowvar=False)[1, 0])
