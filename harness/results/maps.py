"""Sets of contribution maps: which there are, their statistics, their tables, and how two compare.

A set holds the maps of one pretraining on one data set at one budget by one score, a map for each
split. It has a short id.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from operator import attrgetter
from typing import Any, TypeVar

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from lcma.db import ContributionMap, MapStatistics, Store, TableStatistics, overlap
from lcma.db.maps import MAP_FACTS
from lcma.db.schema import contribution_maps, jobs, pretrainings, trials
from lcma.harness.results.filters import IDS, Filters
from lcma.harness.results.lookup import name_option, parse_object, read_score
from lcma.harness.results.map_statistics import (
    Mask,
    compute_table_statistics,
    lay_out_map,
    make_kept_masks,
)
from lcma.harness.text import printable
from lcma.models import SplitTable, make_tables
from lcma.models.factorization import Shape, windows
from lcma.sweeps import factorizations
from lcma.sweeps.errors import UserError, suggest
from lcma.sweeps.identity import canonical_json
from lcma.sweeps.recipe import MapOptions

USUAL: str = MapOptions.model_fields["score"].default
"""The score that a short id does not name."""

SHORTEST = 8
"""Least characters of an id that are shown."""

_OWN_LETTERS = {"self": "L"} | {
    rule: "L" if rule.endswith("-low") else "H"
    for rule in factorizations.DATA_RULES
    if not rule.startswith("variance")  # the same whatever has left
}

FACTS = ("pretraining_id", "data_digest", "budget", "score", *MAP_FACTS)
"""What sets are chosen by."""

LISTED = 12
"""Most sets that an error lists."""

_ID = re.compile(
    r"(?P<pretraining>[^@:/]*)(?:@(?P<budget>[0-9]{1,12}))?"
    r"(?::(?P<score>[^@:/]+(?:/(?:sorted|uniform))?))?(?:/(?P<data>[^@:/]+))?"
)

WORDS = {"L": "low", "H": "high"}
"""The words of equal letters by their letter."""

NATS, SQUARES = "nats", "squared pixel values"
"""Units of maps: of what a flow adds to the log-determinant, and of the data alone."""

NamedTables = tuple[str, list[SplitTable]]
T = TypeVar("T")


@dataclass(frozen=True)
class MapSet:
    """The maps of one pretraining, data set, budget and score.

    ``id`` is `PRETRAINING@BUDGET[:SCORE][/DATA]`, the two ids shortened. ``masks`` is the order of
    the checkerboard masks, None for a flow without any. ``recipes`` are the ids of the recipe that
    was pretrained and of those whose trials use the pretraining. ``model`` is equal for all
    pretrainings that differ in seed, form, data or budget alone.
    """

    id: str
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
    recipes: tuple[str, ...]
    model: str

    @property
    def unit(self) -> str:
        """Unit of the values."""
        return find_unit(self.score)

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


@dataclass(frozen=True, kw_only=True)
class WordTable(TableStatistics):
    """Statistics of the table at one split of a word of equal letters.

    The overlaps are means over other sets of maps that differ in the seed alone, or in the budget
    alone; None where there are none.
    """

    iou_other_seeds: float | None
    iou_other_budgets: float | None


@dataclass(frozen=True, kw_only=True)
class SplitSummary(MapStatistics):
    """One map in numbers, in its unit, and the tables that low and high make of it.

    ``low`` or ``high`` is None where the maps do not make its tables.
    """

    split: int
    images: int
    clusters: int | None
    mean_log_det: float
    sum_error: float
    low: WordTable | None
    high: WordTable | None


@dataclass(frozen=True)
class SplitComparison:
    """Two maps before one split, and the tables that low and high make of them.

    Differences, in the maps' unit, and correlations are over the dimensions that both maps are of:
    all, but for those that have left in maps of `self` or of the data. Correlations are Spearman's,
    of the values and of what is left of them without the mean of their window; None where one of
    the maps does not vary. Overlaps are intersection over union of what is still there after the
    split, None where a set does not make these tables; ``iou_by_chance`` is about what unrelated
    tables have.
    """

    split: int
    largest_difference: float | None
    rms_difference: float | None
    rank_correlation: float | None
    rank_correlation_in_windows: float | None
    iou_low: float | None
    iou_high: float | None
    iou_by_chance: float


def find_unit(score: str) -> str:
    """Return the unit of maps by a score: that of the likelihood, but for rules of the data."""
    return SQUARES if score in factorizations.DATA_RULES else NATS


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
    keys = store.rows(query)
    users: dict[str, set[str]] = {key.pretraining_id: {key.recipe_id} for key in keys}
    for use in _read_users(store):
        users.setdefault(use.pretraining_id, set()).add(use.recipe_id)
    known = store.recipes({key.recipe_id for key in keys}).values()
    recipes = {one.id: parse_object(one.body) for one in known}
    shown = _shortened(users.keys() & {key.pretraining_id for key in keys})
    digests = _shortened({key.data_digest for key in keys})
    on = Counter(one for one, _ in {(key.pretraining_id, key.data_digest) for key in keys})
    found = []
    for key in keys:
        name = f"{shown[key.pretraining_id]}@{key.budget}"
        name += "" if key.score == USUAL else f":{key.score}"
        name += f"/{digests[key.data_digest]}" if on[key.pretraining_id] > 1 else ""
        body = recipes.get(key.recipe_id, {})
        found.append(
            MapSet(
                id=name,
                **key._mapping,
                masks=_masks(body),
                recipes=tuple(sorted(users[key.pretraining_id])),
                model=_name_model(key.recipe_id, body),
            )
        )
    return found


def _read_users(store: Store) -> list[Any]:
    """Return the rows of all trials that read maps, also of planned ones."""
    return store.rows(sa.select(trials).where(trials.c.pretraining_id.is_not(None)))


def filter_map_sets(sets: Sequence[MapSet], filters: Filters | None = None) -> list[MapSet]:
    """Return the sets that have any of these values, by their fields.

    A recipe is that of the pretraining or of a trial that reads the maps, and of an id the first
    characters will do. Raises UserError where there is none, naming the option and what there is,
    and for a filter of what maps have not.
    """
    require_map_sets(sets)
    found = list(sets)
    for name, values in (filters or {}).items():
        option = f"--{name} " if name in ("budget", "score") else name_option(name)
        if name not in FACTS:
            raise UserError(f"{option}: maps have no {name}, choose by {', '.join(FACTS)}")
        if not any(_has_value(one, name, values) for one in sets):
            there = sorted({value for one in sets for value in _values_of(one, name)})
            there = sorted(_shortened(there).values()) if name in IDS else there
            value = printable("null" if values[0] is None else values[0])
            # Of numbers none is meant by another.
            near = value if isinstance(values[0], str) else ""
            hint = printable(suggest(near, map(str, there), "there are"))
            raise UserError(f"no maps with {option}{value}: {hint}")
        found = [one for one in found if _has_value(one, name, values)]
    if not found:
        raise UserError("no maps meet all of these options at once: leave one out")
    return found


def _values_of(one: MapSet, name: str) -> tuple[Any, ...]:
    return one.recipes if name == "recipe_id" else (getattr(one, name),)


def _has_value(one: MapSet, name: str, values: Sequence[Any]) -> bool:
    own = _values_of(one, name)
    if name in IDS:
        return any(str(i).startswith(str(value)) for i in own for value in values if value)
    return any(value in values for value in own)


def find_map_set(sets: Sequence[MapSet], text: str) -> MapSet:
    """Return the one set with that id.

    Pretraining and data may be shortened to any start that no other has, and a budget or data left
    out where there is only one; without a score it is the usual one. Raises UserError for none or
    several, naming those there are.
    """
    require_map_sets(sets)
    for one in sets:
        if one.id == text:
            return one
    parts = _ID.fullmatch(text)
    found = [one for one in sets if parts and _matches(one, parts.groupdict())] if text else []
    if len(found) == 1:
        return found[0]
    if found:
        raise UserError(
            f"{len(found)} sets of maps answer to {printable(text)!r}: give one of {_listed(found)}"
        )
    usual = [one for one in sets if one.score == USUAL]
    raise UserError(f"no set of maps {printable(text)!r}: there are {_listed(usual or sets)}")


def filter_used_sets(
    sets: Iterable[MapSet], store: Store, used_by: Collection[tuple[str, str]]
) -> list[MapSet]:
    """Return the sets that these trials, pairs of id and data digest, read."""
    digests: dict[str, set[str]] = defaultdict(set)
    for trial_id, digest in used_by:
        digests[trial_id].add(digest)
    wanted = {
        (use.pretraining_id, use.budget, read_score(use.factorization, use.map_options), digest)
        for use in _read_users(store)
        for digest in digests.get(use.id, ())
    }
    key = attrgetter("pretraining_id", "budget", "score", "data_digest")
    return [one for one in sets if key(one) in wanted]


def choose_read_sets(
    store: Store, sets: Sequence[MapSet], sweep_id: str | None, rules: Collection[str] | None
) -> list[MapSet]:
    """Return the sets that trials of a sweep read, or trials of these factorizations; None for all.

    Raises UserError where they read none.
    """
    if sweep_id is None and not rules:
        return list(sets)
    ids = {one.id for one in _read_users(store) if not rules or one.factorization in rules}
    if sweep_id is not None:
        ids &= {member.trial_id for member in store.memberships(sweep_id=sweep_id)}
    jobs_of = store.job_facts(trial_ids=ids)
    found = filter_used_sets(sets, store, {(one.subject, one.data_digest) for one in jobs_of})
    if not found:
        raise UserError("no maps are read by such trials: leave --sweep or --factorization out")
    return found


def require_map_sets(sets: Sequence[MapSet]) -> None:
    """Raise UserError for a database without maps."""
    if not sets:
        raise UserError(
            "the database has no contribution maps yet: `lcma launch demo` makes some, "
            "`lcma status` shows what is under way"
        )


series_key = attrgetter("dataset", "flow", "seed", "pretraining_id", "data_digest", "score")
"""Facts shared by sets that stand side by side in one picture."""


def choose_evenly(series: Sequence[T], most: int) -> list[T]:
    """Return at most that many of them, evenly spaced, including the first and the last."""
    if len(series) <= most:
        return list(series)
    return [series[round(k * (len(series) - 1) / (most - 1))] for k in range(most)]


def _matches(one: MapSet, parts: Mapping[str, str | None]) -> bool:
    budget = parts["budget"]
    return (
        one.pretraining_id.startswith(parts["pretraining"] or "")
        and (budget is None or one.budget == int(budget))
        and one.score == (parts["score"] or USUAL)
        and one.data_digest.startswith(parts["data"] or "")
    )


def _listed(sets: Sequence[MapSet]) -> str:
    text = ", ".join(printable(one.id) for one in sets[:LISTED])
    more = len(sets) - LISTED
    return text if more <= 0 else f"{text} and {more} more, which `lcma maps` lists"


def _name_model(recipe_id: str, body: Mapping[str, Any]) -> str:
    """Return what pretrainings depend on of a recipe, as JSON; its id where that is not known."""
    parts = {part: body.get(part) for part in ("model", "optimization")}
    return canonical_json(parts) if all(parts.values()) else recipe_id


def _masks(body: Any) -> str | None:
    for name in ("model", "architecture", "masks"):
        body = body.get(name) if isinstance(body, dict) else None
    return body if isinstance(body, str) else None


def _shortened(ids: Collection[str]) -> dict[str, str]:
    """Return starts of ids, as short as keeps all of them apart."""
    length = SHORTEST
    while len({i[:length] for i in ids}) < len(ids):
        length += 1
    return {i: i[:length] for i in ids}


# Statistics of a set, and the tables that its maps lead to


class MapReader:
    """Reads sets of maps of a store, each once, and compares those alike but for seed or budget.

    ``sets`` are all there are, so that other seeds and budgets of a set are among them.
    """

    def __init__(self, store: Store, sets: Sequence[MapSet]) -> None:
        self._store = store
        self._alike: dict[tuple[str, ...], list[MapSet]] = defaultdict(list)
        for one in sets:
            self._alike[_kind(one)].append(one)
        self._maps: dict[str, list[ContributionMap]] = {}
        self._kept: dict[tuple[str, str], list[Mask]] = {}

    def maps(self, one: MapSet) -> list[ContributionMap]:
        """Return the maps by split. Raises UserError where they are damaged or do not fit."""
        if one.id not in self._maps:
            key = ("pretraining_id", "data_digest", "budget", "score")
            found = self._store.maps(**{name: getattr(one, name) for name in key})
            require_fit(found, one.id)
            self._maps[one.id] = [*found]
        return self._maps[one.id]

    def kept(self, one: MapSet, letter: str) -> list[Mask]:
        """Return which dimensions are left after each split of LL.. or HH.., (C, H, W)."""
        if (one.id, letter) not in self._kept:
            maps = self.maps(one)
            found = make_kept_masks(make_word_tables(letter, maps), image_shape(maps))
            self._kept[one.id, letter] = found
        return self._kept[one.id, letter]

    def others(self, one: MapSet, name: str) -> list[MapSet]:
        """Return the sets that differ from this one in their 'seed' alone, or 'budget' alone."""
        same = "budget" if name == "seed" else "seed"
        return [
            other
            for other in self._alike.get(_kind(one), [])
            if getattr(other, same) == getattr(one, same)
            and getattr(other, name) != getattr(one, name)
        ]

    def summarize(self, one: MapSet) -> list[SplitSummary]:
        """Return the maps in numbers, by split."""
        words = {WORDS[letter]: self._word(letter, one) for letter in one.letters}
        return [
            SplitSummary(
                split=item.split,
                images=item.images,
                clusters=item.clusters,
                mean_log_det=item.mean_log_det,
                sum_error=item.sum_error,
                **asdict(item.statistics),
                low=words["low"][k] if "low" in words else None,
                high=words["high"][k] if "high" in words else None,
            )
            for k, item in enumerate(self.maps(one))
        ]

    def _word(self, letter: str, one: MapSet) -> list[WordTable]:
        maps, kept = self.maps(one), self.kept(one, letter)
        statistics = compute_table_statistics(
            letter * len(maps),
            make_word_tables(letter, maps),
            image_shape(maps),
            maps=[m.values for m in maps],
            halves=[(m.halves[0], m.halves[1]) for m in maps if m.halves is not None],
        )
        means: dict[str, list[Any]] = {}
        for name in ("seed", "budget"):
            others = self.others(one, name)
            for other in others:
                found = self.maps(other)
                if len(found) != len(maps) or image_shape(found) != image_shape(maps):
                    raise _unfit_error(other.id)
            means[f"iou_other_{name}s"] = [
                float(np.mean([overlap(mask, self.kept(other, letter)[k]) for other in others]))
                if others
                else None
                for k, mask in enumerate(kept)
            ]
        return [
            WordTable(**asdict(numbers), **{name: of[k] for name, of in means.items()})
            for k, numbers in enumerate(statistics)
        ]


def make_all_tables(
    maps: Sequence[ContributionMap], seed: int, letters: str = "LH"
) -> list[NamedTables]:
    """Return each factorization with its tables by split.

    These are the fixed ones, those of loaded plug-ins, and the words of equal ``letters`` of these
    maps, which fit together. ``seed`` drives the random ones.
    """
    shape, splits = image_shape(maps), len(maps)
    names = [name for name in factorizations.FIXED if name != "none"]
    names += [rule.name for rule in factorizations.RULES.values() if rule.fits(splits)]
    values = [m.values for m in maps]
    found = [(name, make_tables(name, shape, splits, seed=seed, maps=values)) for name in names]
    return [
        *found,
        *(
            (f"{WORDS[letter]} ({letter * splits})", make_word_tables(letter, maps))
            for letter in letters
        ),
    ]


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
        raise _unfit_error(name)


def image_shape(maps: Sequence[ContributionMap]) -> Shape:
    """Return (C, H, W) of maps that fit together."""
    channels, height, width = maps[0].values.shape
    return channels, height, width


_kind = attrgetter("model", "flow", "dataset", "variant", "data_digest", "score", "nms")
"""What sets share that may differ in seed and budget."""


def _unfit_error(name: str) -> UserError:
    return UserError(
        f"the maps of {printable(name)} do not go together: go back to a copy of the database"
    )


# Comparing two sets, split by split


def compare_maps(
    one: Sequence[ContributionMap],
    other: Sequence[ContributionMap],
    form: str,
    letters: tuple[str, str] = ("LH", "LH"),
) -> list[SplitComparison]:
    """Return the maps of one set compared with those of another, by split.

    ``form`` is that of the flow without splits in whose windows the values are centred, 'squeezed'
    or 'flat'; ``letters`` are those of each `MapSet`. The maps of each fit together; raises
    UserError where the two differ in shape or number of splits.
    """
    require_alike(one, other)
    shape = image_shape(one)
    kept = [
        {letter: make_kept_masks(make_word_tables(letter, maps), shape) for letter in own}
        for maps, own in zip((one, other), letters, strict=True)
    ]
    found = []
    for k, (a, b) in enumerate(zip(one, other, strict=True)):
        there = np.ones(shape, dtype=bool)
        for words in kept:
            if k and len(words) == 1:  # the map is of what its own word has left
                (masks,) = words.values()
                there &= masks[k - 1]
        difference = (a.values.astype(np.float64) - b.values)[there]
        low, high = (
            overlap(kept[0][letter][k], kept[1][letter][k])
            if all(letter in words for words in kept)
            else None
            for letter in WORDS
        )
        found.append(
            SplitComparison(
                split=k + 1,
                largest_difference=float(np.abs(difference).max()) if difference.size else None,
                rms_difference=(
                    float(np.sqrt(np.square(difference).mean())) if difference.size else None
                ),
                rank_correlation=rank_correlation(a.values[there], b.values[there]),
                rank_correlation_in_windows=rank_correlation(
                    *(_center_windows(m.values, there, k + 1, form) for m in (a, b))
                ),
                iou_low=low,
                iou_high=high,
                iou_by_chance=iou_by_chance(k + 1),
            )
        )
    return found


def iou_by_chance(split: int) -> float:
    """Return about the overlap of what two unrelated tables keep after a split, from 1."""
    still_there = 2.0**-split
    return still_there / (2 - still_there)


def require_alike(one: Sequence[ContributionMap], other: Sequence[ContributionMap]) -> None:
    """Raise UserError where two sets of maps differ in shape or number of splits."""
    sizes = [
        f"{'x'.join(map(str, image_shape(maps)))} at {len(maps)} "
        f"{'splits' if len(maps) > 1 else 'split'}"
        for maps in (one, other)
    ]
    if sizes[0] != sizes[1]:
        raise UserError(
            f"maps of {sizes[0]} against {sizes[1]}: choose sets of one shape and number of splits"
        )


def _center_windows(
    values: NDArray[np.float32], there: Mask, split: int, form: str
) -> NDArray[np.float64]:
    """Return values minus the mean of their window, in the order of the windows.

    They are of the dimensions that are ``there``, without those that are alone in their window.
    """
    inside = windows(lay_out_map(values.astype(np.float64), split, form))
    stay = windows(lay_out_map(there.astype(np.float64), split, form)) > 0
    count = stay.sum(axis=-1, keepdims=True)
    mean = (inside * stay).sum(axis=-1, keepdims=True) / np.maximum(count, 1)
    return np.asarray((inside - mean)[stay & (count > 1)])


def rank_correlation(one: NDArray[np.floating], other: NDArray[np.floating]) -> float | None:
    """Return Spearman's correlation of values, None where one of both does not vary."""
    if not (one.size and np.ptp(one) and np.ptp(other)):
        return None
    ranks = np.column_stack([_rank(values.ravel()) for values in (one, other)])
    return float(np.corrcoef(ranks, rowvar=False)[1, 0])


def _rank(values: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return ranks, means of ties, as scipy's `rankdata`, whose import takes longer than all."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    means: NDArray[np.floating] = (np.cumsum(counts) - (counts - 1) / 2)[places]
    return means
