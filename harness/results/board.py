"""The board: which factorization gives the fewest bits/dim, among results that can be compared.

`read_board` computes it from a database, `make_board` from cells, and `filter_board` selects rows.
The numbers are means over seeds, and differences paired by seed with their intervals.
"""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain, groupby
from operator import attrgetter
from typing import Any, Literal

from lcma.db import Bar, JobFacts, Measurement, RecipeRow, SeededCell, Store, select_view
from lcma.db.views import views
from lcma.harness.results.lookup import label_options, parse_object, read_bars, read_whole_sets
from lcma.harness.results.statistics import Summary, compare_by_seed, summarize
from lcma.harness.text import printable
from lcma.sweeps import catalog, factorizations, known_sets, published, settings
from lcma.sweeps.errors import UserError, suggest
from lcma.sweeps.measures import (
    BITS_PER_DIM,
    CONTROLS,
    HOLDOUT,
    SAMPLE_MEASURES,
    MeasureKind,
    find_measure,
    name_control,
    name_overflow,
)
from lcma.sweeps.published import Number
from lcma.sweeps.recipe import Recipe

BITS = find_measure(BITS_PER_DIM)

COMPARABLE_FACTS = (
    "dataset",
    "variant",
    "data_digest",
    "flow",
    "recipe_id",
    "protocol",
    "precision",
)
"""Facts of a result; rows that differ in any of these are never ranked together."""

MEASURING_FACTS = frozenset({"protocol", "precision"})
"""Those that say how a result was measured."""

MIN_SEEDS = 6
"""With fewer seeds no difference counts as shown."""

ColumnValue = str | int | float | None
ColumnFilter = ColumnValue | tuple[ColumnValue, ...]
"""The value that a column must have, or the values among which it must be."""

Standing = Literal["better", "neither", "worse"]
"""What the interval of a difference says."""


@dataclass(frozen=True)
class BoardRow:
    """One factorization at one budget."""

    factorization: str
    budget: int | None
    map_options: str | None
    conventional: bool  # the flow's own rule
    by_seed: Mapping[int, float] = field(hash=False)  # values of the measure
    mean: float | None  # None where no seed has a result
    deviation: float | None  # of the sample of seeds; None for fewer than two, as the next two
    low: float | None  # ends of the 95 % t-interval of the mean
    high: float | None
    difference: Summary | None  # from the reference row, paired by seed
    diverged: int
    failed: int
    published: tuple[Number, ...]  # what papers print for such a cell
    cleared: bool | None  # below every bar of the data set; None without a mean or a bar
    reference: bool
    diverged_seeds: tuple[int, ...] = ()  # those without a result
    than_reference: Standing | None = None  # by the difference; None with fewer than six pairs
    best: bool = False  # best mean of the rows with six seeds, or of all where no row has six
    near_best: bool = False  # the best row, or neither better nor worse than it

    @property
    def label(self) -> str:
        return factorization_label(self.factorization)

    @property
    def options_label(self) -> str | None:
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
    """Rows that can be compared, best first."""

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
    standard_error: float | None  # the largest of a single trial's
    made_with: tuple[str, ...]  # versions and devices, a line each
    reference: str | None  # label of the row that differences are from; None without results
    rows: tuple[BoardRow, ...]
    bars: tuple[Bar, ...] = ()
    settings: str = ""  # those in which groups of the same flow, data set and profile differ
    against: str = "conventional"  # the name by which the reference was requested
    measure: str = BITS_PER_DIM
    unit: str = BITS.unit
    direction: str | None = BITS.direction  # whether "lower" or "higher" is better
    whole: bool = False  # the images are known to be those of a whole set
    sample_controls: Mapping[str, Measurement] = field(default_factory=dict, hash=False)
    recipe: str | None = field(default=None, repr=False)  # JSON

    @property
    def key(self) -> str:
        """The facts that identify a group, without its measure."""
        return " ".join(getattr(self, name) for name in COMPARABLE_FACTS)

    @property
    def trainings(self) -> tuple[str, ...]:
        """The facts that identify a group, without how its results were measured."""
        return tuple(getattr(self, n) for n in COMPARABLE_FACTS if n not in MEASURING_FACTS)

    @property
    def overrides(self) -> Mapping[str, Any] | None:
        """Settings in which the recipe differs from its profile's; None where that is unknown."""
        if self.recipe is None:
            return None
        try:
            recipe = Recipe.model_validate_json(self.recipe)
            # A user's own set is known only where it is prepared; the recipe has its shape.
            facts = known_sets.shipped().get(self.set_name) or known_sets.DataSetFacts(
                size=recipe.model.size,
                channels=recipe.model.channels,
                dataset=self.set_name,
                about="",
            )
            profile = self.profile.split(", ")[0]
            default = catalog.recipe(self.flow, self.set_name, profile, facts=facts)
        except (KeyError, ValueError, UserError, factorizations.ImpossibleError):
            return None  # made by a plug-in or a version that is not installed here
        return settings.subtract(recipe.model_dump(mode="json"), default.model_dump(mode="json"))

    @property
    def set_name(self) -> str:
        return known_sets.set_name(self.dataset, self.variant)

    @property
    def published_recipe(self) -> bool:
        """True if the recipe is that of the flow's publication, as far as is known."""
        return catalog.is_published(self.flow, self.set_name, self.profile) and not self.overrides


@dataclass(frozen=True)
class Board:
    groups: tuple[Group, ...]
    diverged: int = 0  # trials, including those in no group, as the next
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
        measure: The measure by which rows are ranked.
        sweep_id: Only this sweep's trials.
        against: The factorization to subtract from each row; NAME@BUDGET, such as ``low@1000``,
            where it has several budgets.
        where: Columns of `results`, each with the value or values it may have. Lost trials
            are filtered by those columns that they have, such as flow, dataset and profile.

    Raises:
        UserError: A column or the measure is unknown, one seed of a row has two results, or
            ``against`` names several rows or none.
    """
    kind = find_ranked_measure(store, measure)
    cells = store.cells(measure=measure, sweep_id=sweep_id, **where)
    # The results know a plug-in's rule where the plug-in itself is not loaded.
    rule, at, budget = against.partition("@")
    if at and not re.fullmatch("[0-9]+", budget):
        raise UserError(f"{printable(against)}: give NAME@BUDGET in steps, such as low@1000")
    if rule not in {cell.factorization for cell in cells}:
        against = factorizations.normalize(rule) + at + budget
    lost = list_lost_trials(store, sweep_id)
    for name, value in where.items():
        if name in LOST_TRIAL_COLUMNS:
            values: Collection[Any] = (value,)
            if isinstance(value, Collection) and not isinstance(value, str):
                values = value
            lost = [trial for trial in lost if getattr(trial, name) in values]
    board = make_board(
        cells,
        read_whole_sets(store),
        lost,
        bars=read_bars(store),
        sample_controls=read_sample_controls(store, measure, sweep_id=sweep_id, **where)
        if measure in SAMPLE_MEASURES
        else None,
        recipes=store.recipes({cell.recipe_id for cell in cells}),
        against=against,
        kind=kind,
    )
    missing = all(group.reference is None for group in board.groups)
    if against != "conventional" and board.groups and missing:
        names = {
            row.label.split(" ")[0] + ("" if row.budget is None else f"@{row.budget}")
            for group in board.groups
            for row in group.rows
        }
        labels = printable(", ".join(sorted(names)))
        raise UserError(f"no results of {printable(against)} here; there are {labels}")
    return board


Holdout = Mapping[tuple[str, ...], Group]
"""Groups by bits/dim on the holdout part, by `Group.trainings`."""


def read_holdout(store: Store, **where: Any) -> Holdout:
    """Return the groups that choose budgets.

    ``where`` is as for `read_board`; facts of how results were measured are left out.
    """
    if HOLDOUT not in store.measure_kinds():
        return {}
    where = {name: value for name, value in where.items() if name not in MEASURING_FACTS}
    board = read_board(store, measure=HOLDOUT, **where)
    return {group.trainings: group for group in board.groups if group.protocol == "plain"}


def find_ranked_measure(store: Store, name: str) -> MeasureKind:
    """Return the kind of a measure; raise UserError where it cannot rank results."""
    known = store.measure_kinds()
    if name not in known or known[name].direction is None:
        ranked = sorted(kind.name for kind in known.values() if kind.direction)
        hint = printable(suggest(name, ranked, "choose among"))
        raise UserError(f"results cannot be ranked by '{printable(name)}': {hint}")
    return known[name]


def read_sample_controls(
    store: Store, measure: str, *, sweep_id: str | None = None, **where: ColumnFilter
) -> dict[tuple[str, str, str], dict[str, Measurement]]:
    """Return the controls of a measure of samples, and its overflow summed over trials.

    They are by recipe, data digest and protocol, and then by the name of the measure. Of the sweep
    and of ``where`` are only the trials with overflow, by columns that the view `measures` has.
    """
    overflow = name_overflow(measure)
    by_key: dict[tuple[str, str, str], dict[str, Measurement]] = {}
    controls = [name_control(measure, control) for control in CONTROLS]
    known = {name: value for name, value in where.items() if name in views.tables["measures"].c}
    overflows = select_view("measures", sweep_id=sweep_id, **(known | {"measure": overflow}))
    for row in chain(store.rows(select_view("measures", measure=controls)), store.rows(overflows)):
        measures = by_key.setdefault((row.recipe_id, row.data_digest, row.protocol), {})
        former = measures.get(row.measure)
        if row.measure == overflow:
            total, images = (former.value, former.images or 0) if former else (0.0, 0)
            measures[overflow] = Measurement(
                overflow, total + row.value, None, images + (row.images or 0)
            )
        elif former is None or row.value < former.value:
            measures[row.measure] = Measurement(
                row.measure, row.value, row.standard_error, row.images
            )
    return by_key


def list_lost_trials(store: Store, sweep_id: str | None = None) -> list[JobFacts]:
    """List the trials of a sweep, or of all, that diverged or failed and have no result."""
    lost = store.job_facts(kind="trial", states=("diverged", "failed"), sweep_id=sweep_id)
    # A trial that was lost when it ran again still has its first result.
    return [trial for trial in lost if trial.done_attempt_id is None]


def make_board(
    cells: Sequence[SeededCell],
    whole: Collection[str] = (),
    lost: Sequence[JobFacts] = (),
    *,
    bars: Mapping[str, Sequence[Bar]] | None = None,
    sample_controls: Mapping[tuple[str, str, str], Mapping[str, Measurement]] | None = None,
    recipes: Mapping[str, RecipeRow] | None = None,
    against: str = "conventional",
    kind: MeasureKind = BITS,
) -> Board:
    """Return the board of cells, whose order does not matter.

    Args:
        cells: Values of one measure by seed.
        whole: Digests of whole data sets.
        lost: Trials that diverged or failed.
        bars: By data digest.
        sample_controls: As `read_sample_controls` returns it.
        recipes: By id.
        against: The factorization to subtract from each row.
        kind: The measure of the cells.

    Raises:
        UserError: One seed of a row has two results, or ``against`` names several rows.
    """
    recipes = recipes or {}
    lost_of: defaultdict[tuple[str, ...], list[JobFacts]] = defaultdict(list)
    for trial in lost:
        lost_of[_lost_key(trial)].append(trial)
    comparable = attrgetter(*COMPARABLE_FACTS)
    groups = []
    for _, alike in groupby(sorted(cells, key=comparable), key=comparable):
        members = list(alike)
        first = members[0]
        recipe = recipes.get(first.recipe_id)
        controls_key = first.recipe_id, first.data_digest, first.protocol
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
            sample_controls=(sample_controls or {}).get(controls_key, {}),
            recipe=None if recipe is None else recipe.body,
        )
        groups.append(group)
    # Data sets with most test images and then most seeds come first; within a flow, the tables with
    # most seeds.
    weights: defaultdict[str, tuple[int, int]] = defaultdict(lambda: (0, 0))
    for group in groups:
        weight = group.images or 0, max(row.n for row in group.rows)
        weights[group.dataset] = max(weights[group.dataset], weight)
    groups.sort(
        key=lambda g: (
            *(-weight for weight in weights[g.dataset]),
            g.dataset,
            g.flow,
            -max(row.n for row in g.rows),
            g.profile,
            g.protocol != "plain",
            *(str(getattr(g, name)) for name in COMPARABLE_FACTS),
        )
    )
    states = Counter(trial.state for trial in lost)
    return Board(tuple(_add_settings(groups)), states["diverged"], states["failed"])


def _add_settings(groups: Sequence[Group]) -> Iterator[Group]:
    """Yield the groups with the settings in which those of one flow, set and profile differ."""
    kind_of = attrgetter("dataset", "variant", "flow", "profile")
    alike: defaultdict[tuple[str, ...], list[dict[str, Any]]] = defaultdict(list)
    recipes = [settings.flatten(parse_object(group.recipe or "")) for group in groups]
    for group, flat in zip(groups, recipes, strict=True):
        alike[kind_of(group)] += [flat] if group.recipe else []
    for group, flat in zip(groups, recipes, strict=True):
        others = alike[kind_of(group)]
        differing = (
            f"{key}={flat[key]}"
            for key in sorted(flat.keys() - {*TITLE_SETTINGS})
            if any(flat[key] != other.get(key) for other in others)
        )
        yield replace(group, settings=" ".join(differing))


def filter_board(board: Board, names: Sequence[str]) -> Board:
    """Return the board with only the rows of these factorizations and the reference.

    Any name of a factorization works. Raises UserError for an unknown name, and where no other row
    is left.
    """
    # The results know a plug-in's rule where the plug-in itself is not loaded.
    present = {row.factorization for group in board.groups for row in group.rows}
    requested = {name if name in present else factorizations.normalize(name) for name in names}

    def choose(group: Group) -> list[BoardRow]:
        names = partial(factorizations.synonyms, conventional="", splits=group.splits)
        return [
            row
            for row in group.rows
            if requested & names(row.factorization)
            or (row.conventional and "conventional" in requested)
        ]

    groups = [
        replace(
            group, rows=_mark_best([row for row in group.rows if row.reference or row in chosen])
        )
        for group in board.groups
        if (chosen := choose(group))
    ]
    if board.groups and not groups:
        labels = sorted({row.label for group in board.groups for row in group.rows})
        raise UserError(
            f"no results of {', '.join(sorted(requested))} here: there are {', '.join(labels)}"
        )
    return take_groups(groups)


def take_groups(groups: Sequence[Group]) -> Board:
    """Return a board of these groups, with their lost trials alone."""
    # The groups of several protocols have the same trials.
    lost = {
        (_lost_key(group), _cell_key(row)): (row.diverged, row.failed)
        for group in groups
        for row in group.rows
    }
    diverged, failed = (sum(counts[k] for counts in lost.values()) for k in (0, 1))
    return Board(tuple(groups), diverged, failed)


def name_measure(measure: str) -> str:
    return "bits/dim" if measure == BITS_PER_DIM else printable(measure)


def name_unit(unit: str) -> str:
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

TITLE_SETTINGS = ("training.steps",)
"""Settings that the title of every group shows."""

LOST_TRIAL_COLUMNS = (
    *("flow", "profile", "dataset", "variant", "data_digest", "recipe_id", "factorization"),
    *("budget", "map_options", "seed", "steps", "trial_id", "pretraining_id", "rule"),
)
"""Columns of `results` that filter lost trials too."""

_lost_key = attrgetter("dataset", "variant", "data_digest", "flow", "recipe_id")
"""Facts that lost trials share with their group."""


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

    ``conventional`` is the recipe's own rule. ``facts`` are further fields of the group.
    """
    first = cells[0]
    lost_of: defaultdict[CellKey, list[JobFacts]] = defaultdict(list)
    for trial in lost:
        lost_of[_cell_key(trial)].append(trial)
    by_seed: dict[CellKey, Mapping[int, float]] = {key: {} for key in lost_of}
    for cell in cells:
        if cell.repeated is not None:
            raise UserError(
                f"seed {cell.repeated} of {printable(cell.factorization)} on "
                f"{printable(cell.dataset)} with recipe {printable(cell.recipe_id)} has two "
                "results: look at them with `lcma sql`"
            )
        by_seed[_cell_key(cell)] = cell.values
    lowest = min((b.bits_per_dim for b in bars if b.bits_per_dim is not None), default=None)
    sign = -1 if kind.direction == "higher" else 1
    own_rule = _normalize_rule("conventional", conventional, first.splits)
    reference = _find_reference(by_seed, conventional, first.splits, against)
    set_name = known_sets.set_name(first.dataset, first.variant)
    rows = []
    for key, values in by_seed.items():
        summary = summarize(values.values()) if values else None
        read_summary = attrgetter("mean", "deviation", "low", "high")
        mean, deviation, low, high = (None,) * 4 if summary is None else read_summary(summary)
        difference = None
        if reference is not None and key != reference:
            difference = compare_by_seed(values, by_seed[reference])
        row_lost = lost_of.get(key, ())
        is_bits = kind.name == BITS_PER_DIM
        names = published.list_names(first.flow, key[0], first.splits) if is_bits else ()
        diverged = [trial.seed for trial in row_lost if trial.state == "diverged"]
        rows.append(
            BoardRow(
                *key,
                conventional=key[0] == own_rule,
                by_seed=values,
                mean=mean,
                deviation=deviation,
                low=low,
                high=high,
                difference=difference,
                diverged=len(diverged),
                failed=len(row_lost) - len(diverged),
                published=tuple(published.find_numbers(first.flow, set_name, names)),
                cleared=None if lowest is None or mean is None else mean < lowest,
                reference=key == reference,
                diverged_seeds=tuple(sorted({*diverged} - values.keys())),
                than_reference=_classify(difference, sign),
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
    return Group(
        **{name: getattr(first, name) for name in (*COMPARABLE_FACTS, "splits", "size", "steps")},
        profile=", ".join(sorted({cell.profile for cell in cells})),
        images=min(_list_known("images", cells), default=None),
        clusters=min(_list_known("clusters", cells), default=None),
        standard_error=max(_list_known("standard_error", cells), default=None),
        made_with=tuple(
            sorted(
                f"lcma {made.code_version}{' with uncommitted changes' * (made.dirty is not None)}"
                f", torch {made.torch}, {made.device} ({made.cpu_capability}, "
                f"threads: {made.threads})"
                for made in {made for cell in cells for made in cell.makings}
            )
        ),
        reference=factorization_label(reference[0]) if reference and by_seed[reference] else None,
        against=against,
        rows=_mark_best(rows),
        bars=bars,
        measure=kind.name,
        unit=kind.unit,
        direction=kind.direction,
        **facts,
    )


def _list_known(name: str, cells: Sequence[SeededCell]) -> list[Any]:
    return [value for cell in cells if (value := getattr(cell, name)) is not None]


def _classify(difference: Summary | None, sign: int) -> Standing | None:
    if difference is None or difference.n < MIN_SEEDS:
        return None
    if difference.low is None or difference.high is None or difference.low <= 0 <= difference.high:
        return "neither"
    return "better" if sign * difference.mean < 0 else "worse"


def _mark_best(rows: Sequence[BoardRow]) -> tuple[BoardRow, ...]:
    """Return rows, best first, with the marks of the best and of those that do not differ from it.

    A mean of fewer than `MIN_SEEDS` seeds is the best only where all are.
    """
    best = next((row for row in rows if row.n >= MIN_SEEDS), rows[0])
    if not best.n:
        return tuple(rows)
    return tuple(replace(row, best=row is best, near_best=_is_near(row, best)) for row in rows)


def _is_near(row: BoardRow, best: BoardRow) -> bool:
    difference = compare_by_seed(row.by_seed, best.by_seed)
    return row is best or _classify(difference, 1) == "neither"


def _normalize_rule(name: str, own_rule: str | None, splits: int) -> str | None:
    if own_rule is None:
        return None
    if name == "conventional" and splits:
        return own_rule  # without a lookup: its plug-in may not be loaded
    try:
        return factorizations.canonical(name, conventional=own_rule, splits=splits)
    except (factorizations.ImpossibleError, UserError):  # of a plug-in that is not loaded
        return None


def _find_reference(
    rows: Mapping[CellKey, Mapping[int, float]], own_rule: str | None, splits: int, against: str
) -> CellKey | None:
    rule, _, budget = against.partition("@")
    # The results know a plug-in's rule where the plug-in itself is not loaded.
    name = rule if rule in {key[0] for key in rows} else _normalize_rule(rule, own_rule, splits)
    matches = [key for key in rows if key[0] == name and budget in ("", str(key[1]))]
    if len(matches) > 1:  # prefer rows with results to those of lost trials alone
        matches = [key for key in matches if rows[key]] or matches
    if len(matches) > 1:  # prefer the row without options of the map
        matches = [key for key in matches if key[2] is None] or matches
    if len(matches) > 1 and against == "conventional":  # such as of a plug-in's rule
        return None
    if len(matches) > 1:
        budgets = sorted({budget for _, budget, _ in matches if budget is not None})
        names = ", ".join(f"{rule}@{budget}" for budget in budgets)
        remedy = f"give one of {names}" if len(budgets) > 1 else "choose one with --where"
        raise UserError(
            f"{printable(against)} has several rows here, and differences need one: "
            f"{printable(remedy)}"
        )
    return matches[0] if matches else None


# Tables of the paper: each printed number beside ours

SOURCE = "LCMA"


@dataclass(frozen=True)
class PaperRow:
    """A number that the paper prints, and our row for it."""

    number: Number
    group: Group | None = None  # None where we have no result, as for `row`
    row: BoardRow | None = None

    @property
    def difference(self) -> float | None:
        """Our number minus the printed one."""
        if self.row is None or self.row.mean is None:
            return None
        return self.row.mean - self.number.bits_per_dim


def compare_with_paper(board: Board, table: str) -> list[PaperRow]:
    """Return the numbers of the paper's table, each with ours by profile, protocol and precision.

    Where several recipes or budgets stand for one number, the longest training and then the longest
    budget is taken, so that results have no influence.
    """
    paper_rows: list[PaperRow] = []
    printed = (n for n in published.read_numbers() if (n.source, n.table) == (SOURCE, table))
    groups = sorted(board.groups, key=lambda group: (group.steps, group.recipe_id))
    for number in printed:
        ours: dict[tuple[str, ...], PaperRow] = {}
        for group in groups:
            for row in sorted(group.rows, key=lambda row: row.budget or 0):
                if row.mean is not None and row.map_options is None and number in row.published:
                    scale = (group.profile, group.protocol, group.precision)
                    ours[scale] = PaperRow(number, group, row)
        paper_rows += [ours[scale] for scale in sorted(ours)] or [PaperRow(number)]
    return paper_rows
