"""The board: which factorization gives the fewest bits/dim, among results that can be compared.

`read_board` computes it from a database, `make_board` from cells, and `filter_board` selects rows.
Its numbers are means over seeds, and differences paired by seed with their intervals.
"""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from operator import attrgetter
from typing import Any, Literal

from lcma.db import Bar, JobFacts, Measurement, RecipeRow, SeededCell, Store, select_view
from lcma.harness.results.lookup import label_options, parse_object, read_bars, read_whole_sets
from lcma.harness.results.statistics import Summary, compare_by_seed, summarize
from lcma.harness.text import printable
from lcma.sweeps import catalog, factorizations, known_sets, published, settings
from lcma.sweeps.errors import UserError, suggest
from lcma.sweeps.measures import (
    BITS_PER_DIM,
    CONTROLS,
    HOLDOUT,
    OF_SAMPLES,
    MeasureKind,
    find_measure,
    name_control,
    name_overflow,
)
from lcma.sweeps.published import Number
from lcma.sweeps.recipe import Recipe

BITS = find_measure(BITS_PER_DIM)

COMPARABLE = (
    "dataset",
    "variant",
    "data_digest",
    "flow",
    "recipe_id",
    "protocol",
    "precision",
)
"""Rows that differ in one of these are never ranked together."""

ENOUGH = 6
"""Seeds below which no difference counts as shown."""

ColumnValue = str | int | float | None
"""Value of a column of `results`."""

ColumnFilter = ColumnValue | tuple[ColumnValue, ...]
"""The value that a column must have, or several of which one is enough."""


Told = Literal["better", "not told apart", "worse"]
"""What the interval of a difference says."""


@dataclass(frozen=True)
class BoardRow:
    """One factorization at one budget.

    ``by_seed`` are the measure's values; ``mean`` is None where no seed has a result.
    ``deviation`` is the sample standard deviation over seeds and (``low``, ``high``) the 95 %
    t-interval of the mean, None for fewer than two seeds. ``diverged_seeds`` are those that
    diverged and have no result.
    ``published`` are the numbers that papers print for such a cell. ``cleared`` says whether the
    mean is below every bar of the data set, None where there is no mean or no bar. The
    ``difference``, paired by seed, is from the row that is the ``reference``. ``than_reference``
    says by its interval whether the row is better or worse, None where fewer than six pairs tell.
    ``best`` marks the best mean of the rows with six seeds or more, or of all where
    none has as many; ``near_best`` it and the rows whose interval of the difference from it, of
    six pairs or more, contains zero.
    """

    factorization: str
    budget: int | None
    map_options: str | None
    conventional: bool
    by_seed: Mapping[int, float] = field(hash=False)
    mean: float | None
    deviation: float | None
    low: float | None
    high: float | None
    difference: Summary | None
    diverged: int
    failed: int
    published: tuple[Number, ...]
    cleared: bool | None
    reference: bool
    diverged_seeds: tuple[int, ...] = ()
    than_reference: Told | None = None
    best: bool = False
    near_best: bool = False

    @property
    def label(self) -> str:
        """Name of the factorization as shown."""
        return factorization_label(self.factorization)

    @property
    def options_label(self) -> str | None:
        """Options of the map as shown."""
        return None if self.map_options is None else label_options(self.map_options)

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds with a result, ascending."""
        return tuple(self.by_seed)

    @property
    def values(self) -> tuple[float, ...]:
        """The measure's values in the order of the seeds."""
        return tuple(self.by_seed.values())

    @property
    def n(self) -> int:
        """Number of seeds with a result."""
        return len(self.by_seed)


@dataclass(frozen=True)
class Group:
    """Rows that can be compared, best first.

    ``measure`` is what the rows are ranked by, in ``unit``, of which 'lower' or 'higher' values are
    better (``direction``). ``standard_error`` is the largest of one trial's, None where none is
    known. ``reference`` is the label of the row that differences are from, None where it has no
    results; ``against`` is the name under which it was requested. ``settings`` are those of the
    recipe in which other groups of the same flow, data set and profile differ. ``whole`` says that
    the images are known to be those of a whole set. ``of_samples`` are the controls and the
    overflow of a measure of samples, by their names. ``recipe`` is its JSON where known.
    """

    dataset: str
    variant: str
    data_digest: str
    flow: str
    recipe_id: str
    protocol: str
    precision: str
    profile: str
    splits: int
    size: int
    steps: int
    images: int | None
    clusters: int | None
    standard_error: float | None
    made_with: tuple[str, ...]
    reference: str | None
    rows: tuple[BoardRow, ...]
    bars: tuple[Bar, ...] = ()
    settings: str = ""
    against: str = "conventional"
    measure: str = BITS_PER_DIM
    unit: str = BITS.unit
    direction: str | None = BITS.direction
    whole: bool = False
    of_samples: Mapping[str, Measurement] = field(default_factory=dict, hash=False)
    recipe: str | None = field(default=None, repr=False)

    @property
    def key(self) -> str:
        """What tells it from all other groups, by whatever measure."""
        return " ".join(getattr(self, name) for name in COMPARABLE)

    @property
    def overrides(self) -> Mapping[str, Any] | None:
        """Settings in which the recipe differs from its profile's; None where that is unknown."""
        if self.recipe is None:
            return None
        try:
            own = Recipe.model_validate_json(self.recipe)
            # A person's own set is known where it is prepared; its shape is in the recipe anywhere.
            facts = known_sets.shipped().get(self.set_name) or known_sets.DataSetFacts(
                size=own.model.size, channels=own.model.channels, dataset=self.set_name, about=""
            )
            profile = self.profile.split(", ")[0]
            known = catalog.recipe(self.flow, self.set_name, profile, facts=facts)
        except (KeyError, ValueError, UserError, factorizations.ImpossibleError):
            return None  # of a plug-in or a version that is not here
        return settings.subtract(own.model_dump(mode="json"), known.model_dump(mode="json"))

    @property
    def set_name(self) -> str:
        """Name under which the data set is prepared."""
        return known_sets.set_name(self.dataset, self.variant)

    @property
    def published_recipe(self) -> bool:
        """True if the recipe is that of the flow's publication."""
        return catalog.is_published(self.flow, self.set_name, self.profile)


@dataclass(frozen=True)
class Board:
    """All groups, and how many trials ``diverged`` and ``failed``, including those in no group."""

    groups: tuple[Group, ...]
    diverged: int = 0
    failed: int = 0


def read_board(
    store: Store,
    *,
    measure: str = BITS_PER_DIM,
    sweep_id: str | None = None,
    against: str = "conventional",
    **where: ColumnFilter,
) -> Board:
    """Return the board of the results in a database, of one sweep or of all.

    Args:
        store: The database.
        measure: What rows are ranked by.
        sweep_id: Only this sweep's trials.
        against: The factorization that differences are from; NAME@BUDGET, such as ``low@1000``,
            where it has several budgets.
        where: Columns of `results`, each with the value or values it may have. Lost trials
            are filtered by those columns that they have, such as flow, dataset and profile.

    Raises:
        UserError: A column or the measure is unknown, two results stand for one seed of one row, or
            ``against`` names several rows or none.
    """
    kind = find_ranked_measure(store, measure)
    cells = store.cells(measure=measure, sweep_id=sweep_id, **where)
    # A plug-in's rule is known by its results, wherever the plug-in is now.
    rule, at, budget = against.partition("@")
    if at and not re.fullmatch("[0-9]+", budget):
        raise UserError(f"{printable(against)}: give NAME@BUDGET in steps, such as low@1000")
    if rule not in {cell.factorization for cell in cells}:
        against = factorizations.normalize(rule) + at + budget
    lost = list_lost_trials(store, sweep_id)
    for name, wanted in where.items():
        if name in OF_LOST:
            values = wanted if isinstance(wanted, tuple) else (wanted,)
            lost = [one for one in lost if getattr(one, name) in values]
    found = make_board(
        cells,
        read_whole_sets(store),
        lost,
        bars=read_bars(store),
        beside_samples=read_beside_samples(store, measure) if measure in OF_SAMPLES else None,
        recipes=store.recipes({cell.recipe_id for cell in cells}),
        against=against,
        kind=kind,
    )
    none_has_it = all(group.reference is None for group in found.groups)
    if against != "conventional" and found.groups and none_has_it:
        rows = [row for group in found.groups for row in group.rows]
        there = {
            row.label.split(" ")[0] + ("" if row.budget is None else f"@{row.budget}")
            for row in rows
        }
        names = printable(", ".join(sorted(there)))
        raise UserError(f"no results of {printable(against)} here; there are {names}")
    return found


def read_holdout(store: Store, **where: Any) -> dict[str, Group]:
    """Return the tables by bits/dim on the holdout part, which choose budgets, by their keys.

    ``where`` is as for `read_board`.
    """
    if HOLDOUT not in store.measure_kinds():
        return {}
    found = read_board(store, measure=HOLDOUT, **where)
    return {group.key: group for group in found.groups}


def find_ranked_measure(store: Store, name: str) -> MeasureKind:
    """Return what a measure is by which results of a database can be ranked.

    Raises UserError for any other.
    """
    known = store.measure_kinds()
    if name not in known or known[name].direction is None:
        ranked = sorted(one.name for one in known.values() if one.direction)
        hint = printable(suggest(name, ranked, "choose among"))
        raise UserError(f"results cannot be ranked by '{printable(name)}': {hint}")
    return known[name]


def read_beside_samples(
    store: Store, measure: str
) -> dict[tuple[str, str, str], dict[str, Measurement]]:
    """Return what current results have beside a measure of samples.

    By recipe, data digest and protocol these are the controls of the measure, and its overflow
    summed over trials; under the names of these measures.
    """
    overflow = name_overflow(measure)
    found: dict[tuple[str, str, str], dict[str, Measurement]] = {}
    controls = [name_control(measure, control) for control in CONTROLS]
    query = select_view("measures", measure=[overflow, *controls])
    for row in store.rows(query):
        of = found.setdefault((row.recipe_id, row.data_digest, row.protocol), {})
        former = of.get(row.measure)
        if row.measure == overflow:
            total, images = (former.value, former.images or 0) if former else (0.0, 0)
            of[overflow] = Measurement(
                overflow, total + row.value, None, images + (row.images or 0)
            )
        elif former is None or row.value < former.value:
            of[row.measure] = Measurement(row.measure, row.value, row.standard_error, row.images)
    return found


def list_lost_trials(store: Store, sweep_id: str | None = None) -> list[JobFacts]:
    """List the trials of a sweep, or of all, that diverged or failed and have no result.

    One that has a result was lost when it was run anew.
    """
    found = store.job_facts(kind="trial", states=("diverged", "failed"), sweep_id=sweep_id)
    return [one for one in found if one.done_attempt_id is None]


def make_board(
    cells: Sequence[SeededCell],
    whole: Collection[str] = (),
    lost: Sequence[JobFacts] = (),
    *,
    bars: Mapping[str, Sequence[Bar]] | None = None,
    beside_samples: Mapping[tuple[str, str, str], Mapping[str, Measurement]] | None = None,
    recipes: Mapping[str, RecipeRow] | None = None,
    against: str = "conventional",
    kind: MeasureKind = BITS,
) -> Board:
    """Return the board of cells, in whatever order they come.

    ``against`` names the factorization that differences are from. ``whole`` are the digests of
    whole data sets, ``lost`` the trials that diverged or failed, ``bars`` by data digest,
    ``beside_samples`` as `read_beside_samples` returns it, ``recipes`` by id. ``kind`` is the
    measure that the cells have. Raises UserError where two results stand for one seed of one row,
    or several rows for the name ``against``.
    """
    recipes = recipes or {}
    lost_of: defaultdict[tuple[str, ...], list[JobFacts]] = defaultdict(list)
    for one in lost:
        lost_of[_lost_key(one)].append(one)
    comparable = attrgetter(*COMPARABLE)
    groups = []
    for _, alike in groupby(sorted(cells, key=comparable), key=comparable):
        members = list(alike)
        first = members[0]
        recipe = recipes.get(first.recipe_id)
        samples = first.recipe_id, first.data_digest, first.protocol
        group = _make_group(
            members,
            lost_of[_lost_key(first)],
            bars=tuple((bars or {}).get(first.data_digest, ()))
            if kind.name == BITS_PER_DIM
            else (),
            conventional=(recipe and recipe.conventional) or catalog.flows().get(first.flow),
            against=against,
            kind=kind,
            whole=first.data_digest in whole,
            of_samples=(beside_samples or {}).get(samples, {}),
            recipe=None if recipe is None else recipe.body,
        )
        groups.append(group)
    # Data sets whose results most images and then most seeds decide are first, and of a flow on one
    # the tables with most seeds.
    weights: defaultdict[str, tuple[int, int]] = defaultdict(lambda: (0, 0))
    for group in groups:
        weight = group.images or 0, max(row.n for row in group.rows)
        weights[group.dataset] = max(weights[group.dataset], weight)
    groups.sort(
        key=lambda g: (
            *(-one for one in weights[g.dataset]),
            g.dataset,
            g.flow,
            -max(row.n for row in g.rows),
            g.profile,
            g.protocol != "plain",
            *(str(getattr(g, name)) for name in COMPARABLE),
        )
    )
    states = Counter(one.state for one in lost)
    return Board(tuple(_add_settings(groups)), states["diverged"], states["failed"])


def _add_settings(groups: Sequence[Group]) -> Iterator[Group]:
    """Yield the groups with the settings in which they differ from others of their kind.

    Of one kind are groups of one flow, data set, variant and profile.
    """
    kind_of = attrgetter("dataset", "variant", "flow", "profile")
    alike: defaultdict[tuple[str, ...], list[dict[str, Any]]] = defaultdict(list)
    known = [settings.flat(parse_object(group.recipe or "")) for group in groups]
    for group, flat in zip(groups, known, strict=True):
        alike[kind_of(group)] += [flat] if group.recipe else []
    for group, flat in zip(groups, known, strict=True):
        others = alike[kind_of(group)]
        differing = (
            f"{key}={flat[key]}"
            for key in sorted(flat.keys() - {*SHOWN})
            if any(flat[key] != other.get(key) for other in others)
        )
        yield replace(group, settings=" ".join(differing))


def filter_board(board: Board, names: Sequence[str]) -> Board:
    """Return the board with the rows of these factorizations and the reference.

    A factorization goes by any of its names. Raises UserError for an unknown name, and where no
    other row is left.
    """
    # A plug-in's rule is known by its results, wherever the plug-in is now.
    present = {row.factorization for group in board.groups for row in group.rows}
    requested = {name if name in present else factorizations.normalize(name) for name in names}

    def wanted(row: BoardRow) -> bool:
        also = {row.factorization, row.label.split(" ")[0]}
        if row.factorization == "checkerboard-even":
            also.add("checkerboard")
        if row.conventional:
            also.add("conventional")
        return bool(requested & also)

    groups = [
        replace(group, rows=tuple(row for row in group.rows if row.reference or wanted(row)))
        for group in board.groups
        if any(map(wanted, group.rows))
    ]
    if board.groups and not groups:
        known = sorted({row.label for group in board.groups for row in group.rows})
        raise UserError(
            f"no results of {', '.join(sorted(requested))} here: there are {', '.join(known)}"
        )
    return replace(board, groups=tuple(groups))


def name_measure(measure: str) -> str:
    """Return a measure's name as shown."""
    return "bits/dim" if measure == BITS_PER_DIM else printable(measure)


def name_unit(unit: str) -> str:
    """Return a measure's unit as shown."""
    return "bits/dim" if unit == BITS.unit else printable(unit)


def factorization_label(factorization: str) -> str:
    """Return a factorization's name as shown, such as 'low (LLL)' or 'channel'."""
    if factorizations.is_word(factorization) and len(set(factorization)) == 1:
        return f"{'low' if factorization[0] == 'L' else 'high'} ({factorization})"
    return factorization


# Groups and their rows, with the tests between them

CellKey = tuple[str, int | None, str | None]
"""Factorization, budget, and options of the map."""

_cell_key = attrgetter("factorization", "budget", "map_options")

SHOWN = ("training.steps",)
"""Settings that a group's title shows in any case."""

OF_LOST = (
    *("flow", "profile", "dataset", "variant", "data_digest", "recipe_id", "factorization"),
    *("budget", "map_options", "seed"),
)
"""Columns of `trial_results` by which lost trials are chosen too."""

_lost_key = attrgetter("dataset", "variant", "data_digest", "flow", "recipe_id")
"""Facts that lost trials share with the group that they belong to."""


def _make_group(
    cells: Sequence[SeededCell],
    lost: Sequence[JobFacts],
    *,
    bars: tuple[Bar, ...],
    conventional: str | None,
    against: str,
    kind: MeasureKind,
    **facts: Any,
) -> Group:
    """Return the group of cells that can be compared.

    ``conventional`` is the factorization that is conventional for the recipe. ``facts`` are other
    fields of the group.
    """
    first = cells[0]
    lost_of: defaultdict[CellKey, list[JobFacts]] = defaultdict(list)
    for one in lost:
        lost_of[_cell_key(one)].append(one)
    by_seed: dict[CellKey, Mapping[int, float]] = {key: {} for key in lost_of}
    for cell in cells:
        if cell.repeated is not None:
            raise UserError(
                f"two results of seed {cell.repeated} for {printable(cell.factorization)} on "
                f"{printable(cell.dataset)} with recipe {printable(cell.recipe_id)}: look at them "
                "with `lcma sql`"
            )
        by_seed[_cell_key(cell)] = cell.values
    lowest = min((b.bits_per_dim for b in bars if b.bits_per_dim is not None), default=None)
    sign = -1 if kind.direction == "higher" else 1
    usual = _canonical("conventional", conventional, first.splits)
    reference = _find_reference(by_seed, conventional, first.splits, against)
    own_set = known_sets.set_name(first.dataset, first.variant)
    rows = []
    for key, values in by_seed.items():
        own = summarize(values.values()) if values else None
        of_own = attrgetter("mean", "deviation", "low", "high")
        mean, deviation, low, high = (None,) * 4 if own is None else of_own(own)
        difference = None
        if reference is not None and key != reference:
            difference = compare_by_seed(values, by_seed[reference])
        row_lost = lost_of.get(key, ())
        of_bits = kind.name == BITS_PER_DIM
        names = published.names(first.flow, key[0], first.splits) if of_bits else ()
        diverged = [one.seed for one in row_lost if one.state == "diverged"]
        rows.append(
            BoardRow(
                *key,
                conventional=key[0] == usual,
                by_seed=values,
                mean=mean,
                deviation=deviation,
                low=low,
                high=high,
                difference=difference,
                diverged=len(diverged),
                failed=len(row_lost) - len(diverged),
                published=tuple(published.find(first.flow, own_set, names)),
                cleared=None if lowest is None or mean is None else mean < lowest,
                reference=key == reference,
                diverged_seeds=tuple(sorted({*diverged} - values.keys())),
                than_reference=_tell(difference, sign),
            )
        )
    rows.sort(
        key=lambda r: (
            math.inf if r.mean is None else sign * r.mean,
            r.factorization,
            -1 if r.budget is None else r.budget,
            r.map_options or "",
        )
    )
    best = next((row for row in rows if row.n >= ENOUGH), rows[0])
    if best.n:
        rows = [replace(row, best=row is best, near_best=_is_near(row, best)) for row in rows]
    return Group(
        **{name: getattr(first, name) for name in (*COMPARABLE, "splits", "size", "steps")},
        profile=", ".join(sorted({cell.profile for cell in cells})),
        images=min(_known("images", cells), default=None),
        clusters=min(_known("clusters", cells), default=None),
        standard_error=max(_known("standard_error", cells), default=None),
        made_with=tuple(
            sorted(
                f"lcma {one.code_version}{' with uncommitted changes' * (one.dirty is not None)}, "
                f"torch {one.torch}, {one.device} ({one.cpu_capability}, threads: {one.threads})"
                for one in {one for cell in cells for one in cell.makings}
            )
        ),
        reference=factorization_label(reference[0]) if reference and by_seed[reference] else None,
        against=against,
        rows=tuple(rows),
        bars=bars,
        measure=kind.name,
        unit=kind.unit,
        direction=kind.direction,
        **facts,
    )


def _known(name: str, cells: Sequence[SeededCell]) -> list[Any]:
    return [value for cell in cells if (value := getattr(cell, name)) is not None]


def _tell(difference: Summary | None, sign: int) -> Told | None:
    if difference is None or difference.n < ENOUGH:
        return None
    if difference.low is None or difference.high is None or difference.low <= 0 <= difference.high:
        return "not told apart"
    return "better" if sign * difference.mean < 0 else "worse"


def _is_near(row: BoardRow, best: BoardRow) -> bool:
    found = compare_by_seed(row.by_seed, best.by_seed)
    return row is best or _tell(found, 1) == "not told apart"


def _canonical(name: str, own: str | None, splits: int) -> str | None:
    if own is None:
        return None
    if name == "conventional" and splits:
        return own  # a plug-in's rule too, wherever the plug-in is now
    try:
        return factorizations.canonical(name, conventional=own, splits=splits)
    except (factorizations.ImpossibleError, UserError):  # of a plug-in that is not loaded
        return None


def _find_reference(
    cells: Collection[CellKey], own: str | None, splits: int, against: str
) -> CellKey | None:
    rule, _, budget = against.partition("@")
    # A rule of a plug-in that is not loaded is known by its results.
    name = rule if rule in {cell[0] for cell in cells} else _canonical(rule, own, splits)
    found = [cell for cell in cells if cell[0] == name and budget in ("", str(cell[1]))]
    if len(found) > 1:  # the rule itself, rather than it with options of its map
        found = [cell for cell in found if cell[2] is None] or found
    if len(found) > 1:
        budgets = sorted({budget for _, budget, _ in found if budget is not None})
        names = ", ".join(f"{rule}@{one}" for one in budgets)
        remedy = f"give one of {names}" if len(budgets) > 1 else "choose one by --where"
        raise UserError(
            f"{printable(against)} has several rows here, and differences need one: "
            f"{printable(remedy)}"
        )
    return found[0] if found else None


# Tables of the paper: each printed number, with ours beside it

SOURCE = "LCMA"


@dataclass(frozen=True)
class PaperRow:
    """A printed number, and a row of a board for it, None where there is none."""

    number: Number
    group: Group | None = None
    row: BoardRow | None = None

    @property
    def difference(self) -> float | None:
        """Ours minus the printed one."""
        if self.row is None or self.row.mean is None:
            return None
        return self.row.mean - self.number.bits_per_dim


def compare_with_paper(board: Board, table: str) -> list[PaperRow]:
    """Return the numbers of the paper's table, each with ours by profile, protocol and precision.

    Of several recipes or budgets of one number the longest training, then the longest budget is
    taken, whatever its result is.
    """
    found: list[PaperRow] = []
    printed = (one for one in published.numbers() if (one.source, one.table) == (SOURCE, table))
    groups = sorted(board.groups, key=lambda one: (one.steps, one.recipe_id))
    for number in printed:
        ours: dict[tuple[str, ...], PaperRow] = {}
        for group in groups:
            for row in sorted(group.rows, key=lambda row: row.budget or 0):
                if row.mean is not None and row.map_options is None and number in row.published:
                    scale = (group.profile, group.protocol, group.precision)
                    ours[scale] = PaperRow(number, group, row)
        found += [ours[scale] for scale in sorted(ours)] or [PaperRow(number)]
    return found
