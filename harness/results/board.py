"""The board: which factorization gives the fewest bits/dim, among results that can be compared.

`read_board` computes it from a database, `make_board` from cells, and `filter_board` selects rows.
Its numbers are means over seeds, differences paired by seed, tests of them and ranks. Notes say
what to keep in mind of each group: precision, bars, seeds, losses, comparability.
"""

import gc
import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import groupby, islice
from operator import attrgetter
from typing import Any

from lcma.db import Bar, Beside, LostTrials, Making, SeededCell, Store
from lcma.harness.results.lookup import LONG_WAIT, DataFacts, parse_object, read_data_facts
from lcma.harness.results.statistics import (
    PairedTest,
    adjust_holm,
    beaten_by,
    half_width,
    paired_tests,
)
from lcma.harness.text import format_number, printable
from lcma.sweeps import catalog, factorizations, known_sets, published, settings
from lcma.sweeps.errors import UserError
from lcma.sweeps.measures import BITS_PER_DIM
from lcma.sweeps.published import Number

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

TESTED_AT_ONCE = 2_000
"""Rows tested in one call of a library, which is much faster than group by group."""

ColumnValue = str | int | float | None
"""Value of a column of `trial_results`."""

ColumnFilter = ColumnValue | tuple[ColumnValue, ...]
"""The value that a column must have, or several of which one is enough."""


@dataclass(slots=True)
class PairedDifference:
    """Difference in bits/dim from the reference row, over the seeds that both have.

    The standard error and the 95 % t-interval (``low``, ``high``) are None for fewer than two
    pairs. The others are None too where they were not computed: the two-sided p of the paired
    t-test, of the exact sign-flip test, and of the first after Holm's correction over the group's
    differences; and the smallest true difference that so many pairs would have shown (see
    `statistics.PairedTest`).
    """

    mean: float
    standard_error: float | None
    pairs: int
    low: float | None
    high: float | None
    t_p: float | None = None
    sign_flip_p: float | None = None
    holm_p: float | None = None
    detectable: float | None = None


@dataclass(slots=True)  # not frozen: a board has so many that it would show
class BoardRow:
    """One factorization at one budget.

    ``mean`` is None where no seed has a result. ``deviation`` is the sample standard deviation over
    seeds and (``low``, ``high``) the 95 % t-interval of the mean, None for fewer than two seeds.
    ``rank`` is one more than the number of rows of the group with fewer bits by test: paired t, 5
    %, after Holm's correction over all pairs of rows with enough common seeds. Rows that no test
    tells apart share it; None where there is no mean. ``published`` are the numbers that papers
    print for such a cell. ``cleared`` says whether the mean is below every bar of the data set,
    None where there is no mean or no bar. Differences are from the row that is the ``reference``.
    """

    factorization: str
    label: str
    budget: int | None
    map_options: str | None
    conventional: bool
    seeds: tuple[int, ...]
    bits_per_dim: tuple[float, ...]
    mean: float | None
    deviation: float | None
    difference: PairedDifference | None
    diverged: int
    failed: int
    published: tuple[Number, ...] = ()
    cleared: bool | None = None
    reference: bool = False
    low: float | None = None
    high: float | None = None
    rank: int | None = None

    @property
    def n(self) -> int:
        """Number of seeds with a result."""
        return len(self.seeds)


@dataclass(frozen=True)
class Group:
    """Rows that can be compared, best first, with ``notes`` on what to keep in mind.

    ``standard_error`` is the largest of one trial's over test images, in bits/dim, None where none
    is known. ``reference`` is the label of the row that differences are from, None where it has no
    results; ``against`` is the name under which it was requested. ``settings`` are those of the
    recipe in which other groups of the same flow, data set and profile differ. ``whole`` says
    whether the images are known to be those of a whole set.
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
    images: int
    clusters: int | None
    standard_error: float | None
    made_with: tuple[str, ...]
    reference: str | None
    rows: tuple[BoardRow, ...]
    notes: tuple[str, ...]
    bars: tuple[Bar, ...] = ()
    settings: str = ""
    against: str = "conventional"
    whole: bool = False


@dataclass(frozen=True)
class Board:
    """All groups.

    ``diverged`` and ``failed`` count trials, including those in no group; ``lost`` counts the same
    trials by the outcome of their last attempt. ``apart`` says what keeps groups of one flow and
    data set from each other.
    """

    groups: tuple[Group, ...]
    diverged: int = 0
    failed: int = 0
    lost: tuple[tuple[str, int], ...] = ()
    apart: tuple[str, ...] = ()


def read_board(
    store: Store,
    *,
    sweep_id: str | None = None,
    against: str = "conventional",
    **where: ColumnFilter,
) -> Board:
    """Return the board of the results in a database, of one sweep or of all.

    Args:
        store: The database.
        sweep_id: Only this sweep's trials.
        against: The factorization that differences are from.
        where: Columns of `trial_results`, each with the value or values it may have. Lost trials
            are filtered by those columns that they have, such as flow, dataset and profile.

    Raises:
        UserError: A column is unknown, two results stand for one seed of one row, or ``against``
            names several rows.
    """
    with no_garbage_collection():
        cells = store.cells(measure=BITS_PER_DIM, sweep_id=sweep_id, waits_over=LONG_WAIT, **where)
        # A plug-in's rule is known by its results, wherever the plug-in is now.
        if against not in {cell.factorization for cell in cells}:
            against = factorizations.normalize(against)
        lost = [
            one
            for one in store.lost_trials(sweep_id)
            if all(_matches(one, name, value) for name, value in where.items())
        ]
        return make_board(
            cells,
            read_data_facts(store),
            lost,
            bars=store.bars(),
            recipes=store.recipe_bodies(sorted({cell.recipe_id for cell in cells})),
            conventional=store.conventional_factorizations(),
            against=against,
        )


def _matches(one: LostTrials, name: str, wanted: ColumnFilter) -> bool:
    several = wanted if isinstance(wanted, tuple) else (wanted,)
    return not hasattr(one, name) or getattr(one, name) in several


def make_board(
    cells: Sequence[SeededCell],
    facts: Mapping[str, DataFacts] | None = None,
    lost: Sequence[LostTrials] = (),
    *,
    bars: Mapping[str, Sequence[Bar]] | None = None,
    recipes: Mapping[str, str] | None = None,
    conventional: Mapping[str, str] | None = None,
    against: str = "conventional",
) -> Board:
    """Return the board of cells, in whatever order they come.

    ``against`` names the factorization that differences are from. ``facts`` and ``bars``, both by
    data digest, let notes say which data sets are subsets and which models are undertrained.
    ``recipes`` are their JSON by id. ``conventional`` is, by recipe, the factorization that was run
    under that name, so that flows unknown here are covered too. Raises UserError where two results
    stand for one seed of one row, or several rows for the name ``against``.
    """
    of_group: defaultdict[tuple[str, ...], list[LostTrials]] = defaultdict(list)
    for one in lost:
        of_group[_group_key(one)].append(one)
    conventional_names = conventional or {}
    groups: list[Group] = []
    batch: list[_ComparedCells] = []
    for measured in gather_cells(cells):
        batch.append(
            _ComparedCells(measured, of_group[_group_key(measured)], conventional_names, against)
        )
        if sum(len(one.cells) for one in batch) >= TESTED_AT_ONCE:
            groups += _groups(batch, facts or {}, bars or {})
            batch = []
    groups += _groups(batch, facts or {}, bars or {})
    groups.sort(
        key=lambda g: (
            g.dataset,
            g.flow,
            g.profile,
            g.protocol != "plain",
            *(str(getattr(g, name)) for name in COMPARABLE),
        )
    )
    groups = set_settings(groups, recipes or {})
    outcomes: Counter[str] = Counter()
    for one in lost:
        outcomes[one.outcome or one.state] += one.trials
    return Board(
        groups=tuple(groups),
        diverged=_count(lost, "diverged"),
        failed=_count(lost, "failed"),
        lost=tuple(sorted(outcomes.items())),
        apart=tuple(describe_differences(groups)),
    )


def filter_board(board: Board, names: Sequence[str]) -> Board:
    """Return the board with the rows of these factorizations and the reference.

    A factorization goes by any of its names. Raises UserError for an unknown name, and where no
    other row is left.
    """
    # A plug-in's rule is known by its results, wherever the plug-in is now.
    present = {row.factorization for group in board.groups for row in group.rows}
    requested = {name if name in present else factorizations.normalize(name) for name in names}

    def wanted(group: Group, row: BoardRow) -> bool:
        also = {row.factorization, row.label.split(" ")[0]}
        if row.factorization == "checkerboard-even":
            also.add("checkerboard")
        if row.conventional:
            also.add("conventional")
        return bool(requested & also)

    groups = []
    for group in board.groups:
        if any(wanted(group, row) for row in group.rows):
            rows = tuple(r for r in group.rows if r.reference or wanted(group, r))
            groups.append(replace(group, rows=rows))
    if board.groups and not groups:
        known = sorted({row.label for group in board.groups for row in group.rows})
        raise UserError(
            f"no results of {', '.join(sorted(requested))} here: there are {', '.join(known)}"
        )
    return replace(board, groups=tuple(groups))


@lru_cache(10_000)
def factorization_label(factorization: str) -> str:
    """Return a factorization's name as shown, such as 'low (LLL)' or 'channel'."""
    if factorizations.is_word(factorization) and len(set(factorization)) == 1:
        return f"{'low' if factorization[0] == 'L' else 'high'} ({factorization})"
    return factorization


def compute_difference(
    results: Mapping[int, float], against: Mapping[int, float]
) -> PairedDifference | None:
    """Return the mean difference of two sets of values over their common seeds.

    None if there are none.
    """
    common = sorted(results.keys() & against.keys())
    if not common:
        return None
    differences = [results[seed] - against[seed] for seed in common]
    mean, n = statistics.fmean(differences), len(differences)
    if n < 2:
        return PairedDifference(mean, None, n, None, None)
    error = statistics.stdev(differences) / math.sqrt(n)
    half = half_width(error, n)
    return PairedDifference(mean, error, n, mean - half, mean + half)


# Cells with their results by seed, gathered into what can be compared

CellKey = tuple[str, int | None, str | None]
"""Factorization, budget, and options of the map."""


@dataclass(frozen=True)
class MeasuredCells:
    """Cells that can be compared, with their bits/dim by seed.

    ``images`` and ``clusters`` are the fewest behind a result. ``standard_error`` is the largest of
    one result, in bits/dim. ``data_wait`` is the largest share of time that a training waited for
    images, None where none was recorded.
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
    images: int
    clusters: int | None
    standard_error: float | None
    made_with: tuple[str, ...]
    cells: Mapping[CellKey, Mapping[int, float]]
    beside: tuple[Beside, ...]
    data_wait: float | None


def gather_cells(cells: Sequence[SeededCell]) -> list[MeasuredCells]:
    """Return the cells grouped by what can be compared.

    Raises UserError where a seed has two results.
    """
    key = attrgetter(*COMPARABLE)
    return [_merge_cells(list(some)) for _, some in groupby(sorted(cells, key=key), key=key)]


def _merge_cells(cells: Sequence[SeededCell]) -> MeasuredCells:
    first = cells[0]
    own: dict[CellKey, Mapping[int, float]] = {}
    for cell in cells:
        if cell.repeated is not None:
            raise UserError(
                f"two results of seed {cell.repeated} for {printable(cell.factorization)} on "
                f"{printable(cell.dataset)} with recipe {printable(cell.recipe_id)}: look "
                "at them with "
                "`lcma sql`"
            )
        own[cell.factorization, cell.budget, cell.map_options] = cell.bits_per_dim
    errors = [cell.standard_error for cell in cells if cell.standard_error is not None]
    waits = [cell.data_wait for cell in cells if cell.data_wait is not None]
    beside = sorted((one for cell in cells for one in cell.beside), key=attrgetter("result_id"))
    return MeasuredCells(
        **{name: getattr(first, name) for name in (*COMPARABLE, "splits", "size", "steps")},
        profile=", ".join(sorted({cell.profile for cell in cells})),
        images=min(cell.images for cell in cells),
        clusters=min((c.clusters for c in cells if c.clusters is not None), default=None),
        standard_error=max(errors, default=None),
        made_with=tuple(sorted({_made_with(one) for one in _makings(cells)})),
        cells=own,
        beside=tuple(beside),
        data_wait=max(waits, default=None),
    )


def _makings(cells: Sequence[SeededCell]) -> set[Making]:
    several = {cell.makings for cell in cells}
    return {one for makings in several for one in makings}


def _made_with(making: Making) -> str:
    changed = "" if making.dirty is None else " with uncommitted changes"
    return (
        f"lcma {making.code_version}{changed}, torch {making.torch}, "
        f"{making.device} ({making.cpu_capability}, threads: {making.threads})"
    )


# Groups and rows, with the tests between them


class _ComparedCells:
    """Cells that can be compared, those without results too, and which of them is the reference."""

    def __init__(
        self,
        measured: MeasuredCells,
        lost: Sequence[LostTrials],
        conventional: Mapping[str, str],
        against: str,
    ) -> None:
        self.measured, self.against = measured, against
        self.lost: defaultdict[CellKey, list[LostTrials]] = defaultdict(list)
        for one in lost:
            self.lost[one.factorization, one.budget, one.map_options].append(one)
        self.cells = dict(measured.cells) | {
            cell: {} for cell in self.lost if cell not in measured.cells
        }
        own = conventional.get(measured.recipe_id) or catalog.flows().get(measured.flow)
        self.reference = _reference(self.cells, own, measured.splits, against)
        self.conventional = _canonical("conventional", own, measured.splits)

    @property
    def reference_bits(self) -> Mapping[int, float]:
        return {} if self.reference is None else self.cells[self.reference]


_group_key = attrgetter("dataset", "variant", "data_digest", "flow", "recipe_id")
"""Facts that lost trials share with the group that they belong to."""


def _groups(
    compared: Sequence[_ComparedCells],
    facts: Mapping[str, DataFacts],
    bars: Mapping[str, Sequence[Bar]],
) -> Iterator[Group]:
    tables = [list(one.cells.values()) for one in compared]
    beaten = beaten_by(tables, ENOUGH)
    differences = [
        [] if cell == one.reference else _subtract(bits, one.reference_bits)
        for one in compared
        for cell, bits in one.cells.items()
    ]
    tests = iter(paired_tests(differences))
    for one, better in zip(compared, beaten, strict=True):
        yield _group(one, better, list(islice(tests, len(one.cells))), facts, bars)


def _subtract(bits: Mapping[int, float], other: Mapping[int, float]) -> list[float]:
    return [value - other[seed] for seed, value in bits.items() if seed in other]


_OF_MEASURED = (
    "profile",
    "splits",
    "size",
    "steps",
    "images",
    "clusters",
    "standard_error",
    "made_with",
)


def _group(
    compared: _ComparedCells,
    beaten: Sequence[Sequence[int]],
    tests: Sequence[PairedTest | None],
    facts: Mapping[str, DataFacts],
    all_bars: Mapping[str, Sequence[Bar]],
) -> Group:
    measured = compared.measured
    bars = tuple(all_bars.get(measured.data_digest, ()))
    data = facts.get(measured.data_digest)
    lowest = min((b.bits_per_dim for b in bars if b.bits_per_dim is not None), default=None)
    corrected = iter(adjust_holm([t.t_p for t in tests if t is not None and t.t_p is not None]))
    rows = [
        _row(compared, cell, bits, lowest, len(better), test, corrected)
        for (cell, bits), better, test in zip(compared.cells.items(), beaten, tests, strict=True)
    ]
    rows.sort(
        key=lambda r: (
            math.inf if r.mean is None else r.mean,
            r.factorization,
            -1 if r.budget is None else r.budget,
            r.map_options or "",
        )
    )
    reference = compared.reference if compared.reference_bits else None
    group = Group(
        **{name: getattr(measured, name) for name in (*COMPARABLE, *_OF_MEASURED)},
        reference=None if reference is None else factorization_label(reference[0]),
        against=compared.against,
        rows=tuple(rows),
        notes=(),
        bars=bars,
        whole=data is not None and data.whole,
    )
    corrections = [*list_corrections(measured.beside), *describe_waiting(measured.data_wait)]
    notes = list_notes(group, data, corrections)
    return replace(group, notes=tuple(notes))


def _row(
    compared: _ComparedCells,
    cell: CellKey,
    results: Mapping[int, float],
    lowest_bar: float | None,
    better: int,
    test: PairedTest | None,
    corrected: Iterator[float],
) -> BoardRow:
    factorization, budget, map_options = cell
    measured, own = compared.measured, compared.lost.get(cell, ())
    values = tuple(results.values())
    n = len(values)
    mean = math.fsum(values) / n if n else None
    deviation = half = None
    if mean is not None and n > 1:
        deviation = math.sqrt(math.fsum([(value - mean) ** 2 for value in values]) / (n - 1))
        half = half_width(deviation / math.sqrt(n), n)
    return BoardRow(
        factorization=factorization,
        label=factorization_label(factorization),
        budget=budget,
        map_options=map_options,
        conventional=factorization == compared.conventional,
        seeds=tuple(results),
        bits_per_dim=values,
        mean=mean,
        deviation=deviation,
        difference=_difference(test, corrected),
        diverged=_count(own, "diverged") if own else 0,
        failed=_count(own, "failed") if own else 0,
        published=_published(
            measured.flow, measured.dataset, measured.variant, factorization, measured.splits
        ),
        cleared=None if lowest_bar is None or mean is None else mean < lowest_bar,
        reference=cell == compared.reference,
        low=None if half is None or mean is None else mean - half,
        high=None if half is None or mean is None else mean + half,
        rank=None if mean is None else 1 + better,
    )


def _difference(test: PairedTest | None, corrected: Iterator[float]) -> PairedDifference | None:
    if test is None:
        return None
    return PairedDifference(
        mean=test.mean,
        standard_error=test.standard_error,
        pairs=test.n,
        low=test.low,
        high=test.high,
        t_p=test.t_p,
        sign_flip_p=test.sign_flip_p,
        holm_p=None if test.t_p is None else next(corrected),
        detectable=test.detectable,
    )


@lru_cache(10_000)
def _published(
    flow: str, dataset: str, variant: str, factorization: str, splits: int
) -> tuple[Number, ...]:
    names = published.names(flow, factorization, splits)
    return tuple(published.find(flow, known_sets.set_name(dataset, variant), names))


def _canonical(name: str, own: str | None, splits: int) -> str | None:
    if own is None:
        return None
    if name == "conventional" and splits:
        return own  # a plug-in's rule too, wherever the plug-in is now
    try:
        return factorizations.canonical(name, conventional=own, splits=splits)
    except factorizations.ImpossibleError:
        return None


def _reference(
    cells: Collection[CellKey], own: str | None, splits: int, against: str
) -> CellKey | None:
    # A rule of a plug-in that is not loaded is known by its results.
    name = against if against in {cell[0] for cell in cells} else _canonical(against, own, splits)
    found = [cell for cell in cells if cell[0] == name]
    if len(found) > 1:
        budgets = ", ".join(sorted({str(cell[1]) for cell in found}))
        raise UserError(
            f"{printable(against)} has several rows here (budgets {budgets}): differences "
            "need one row"
        )
    return found[0] if found else None


def _count(lost: Sequence[LostTrials], state: str) -> int:
    return sum(one.trials for one in lost if one.state == state)


# Differences between groups: settings of their recipes, and what keeps them apart

SHOWN = ("training.steps",)
"""Settings that a group's title shows in any case."""

KEYS = ("variant", "data_digest", "profile", "protocol", "precision", "recipe_id")
"""Facts in which groups of one flow and data set can differ; the recipe if nothing else differs."""


def set_settings(groups: "Sequence[Group]", recipes: Mapping[str, str]) -> "list[Group]":
    """Return the groups with ``settings`` set where others of their kind differ.

    Of one kind are groups of one flow, data set, variant and profile.
    """
    alike = defaultdict(set)
    for group in groups:
        alike[_kind_key(group)].add(group.recipe_id)
    texts: dict[str, str] = {}
    for ids in alike.values():
        known = {i: settings.flat(parse_object(recipes[i])) for i in ids if i in recipes}
        keys = sorted({key for flat in known.values() for key in flat})
        differing = [
            key
            for key in keys
            if key not in SHOWN and len({flat.get(key) for flat in known.values()}) > 1
        ]
        for recipe_id, flat in known.items():
            texts[recipe_id] = " ".join(f"{k}={flat[k]}" for k in differing if k in flat)
    return [replace(group, settings=texts.get(group.recipe_id, "")) for group in groups]


def describe_differences(groups: "Sequence[Group]") -> Iterator[str]:
    """Yield a sentence on what the groups of each flow and data set differ in."""
    alike: dict[tuple[str, str], list[Group]] = defaultdict(list)
    for group in groups:
        alike[group.flow, group.dataset].append(group)
    for (flow, dataset), members in sorted(alike.items()):
        if len(members) > 1:
            values = {key: sorted({str(getattr(g, key)) for g in members}) for key in KEYS}
            words = [
                _describe_values(key, found) for key, found in values.items() if len(found) > 1
            ]
            yield (
                f"Kept apart, since rows that differ in it cannot be ranked together: "
                f"{len(members)} tables of {printable(flow)} on {printable(dataset)}, by "
                f"{'; '.join(words)}."
            )


def _describe_values(key: str, values: "Sequence[str]") -> str:
    named = {"data_digest": "content of the data", "recipe_id": "recipe"}.get(key, key)
    if key in ("data_digest", "recipe_id"):
        return f"{named} ({len(values)})"
    return f"{named} ({', '.join(map(printable, values))})"


def _kind_key(group: "Group") -> tuple[str, ...]:
    return (group.dataset, group.variant, group.flow, group.profile)


# Notes on a group: precision, bars, seeds, losses, comparability

PUBLISHED = frozenset({"cifar10", "imagenet32", "imagenet64", "celeba64"})
"""Data sets on which papers report bits/dim. Box-filtered ones are others."""


def list_notes(group: "Group", facts: DataFacts | None, corrected: Sequence[str]) -> list[str]:
    """Return the notes below a group's table, one line each."""
    notes = [
        _precision_note(group),
        *corrected,
        *_bar_notes(group),
        *_printed_notes(group),
    ]
    if any(row.n < ENOUGH for row in group.rows):
        notes.append(f"Fewer than {ENOUGH} seeds decide nothing: this is a first look.")
    with_results = [row for row in group.rows if row.seeds]
    if len({row.seeds for row in with_results}) > 1:
        notes.append("Rows have different seeds: trust the paired differences, not the order.")
    for row in group.rows:
        lost = [f"{n} {word}" for n, word in _losses(row) if n]
        if lost:
            at = "" if row.budget is None else f" at budget {row.budget}"
            notes.append(f"{printable(row.label)}{at}: {', '.join(lost)}.")
    notes += _variant_notes(group)
    if group.dataset not in PUBLISHED:
        notes.append(
            f"{printable(group.dataset)} is no published benchmark: these numbers stand beside no "
            "published ones."
        )
    elif facts is not None and not facts.whole:
        notes.append(
            f"This {printable(group.dataset)} is not the whole official set "
            f"({printable(facts.verdict or 'of unknown origin')}): its numbers are not the "
            "published "
            "set's, do not compare them with published numbers."
        )
    return notes


def _precision_note(group: "Group") -> str:
    clustered = "" if group.clusters is None else f" in {group.clusters} photographs"
    counted = f"{group.images} test images{clustered}"
    if group.standard_error is None:
        return f"{counted}: too few for a standard error."
    kind = "standard error" if group.clusters is None else "standard error by photograph"
    return (
        f"{counted}; one trial's {kind} is at most {format_number(group.standard_error)} bits/dim."
    )


def _bar_notes(group: "Group") -> list[str]:
    notes = []
    if any(row.cleared is False for row in group.rows):
        notes.append(
            "† undertrained: it does not clear the bars (in brackets), which any model must."
        )
    if not group.bars:
        notes.append("No bars are known for this data set: launch again to measure them.")
    for bar in group.bars:
        if bar.bits_per_dim is None:
            notes.append(f"No bar {printable(bar.name)}: {printable(bar.detail)}")
    return notes


def _printed_notes(group: "Group") -> list[str]:
    numbers = dict.fromkeys(n for row in group.rows for n in row.published if n.note)
    return [f"{n.bits_per_dim:.2f} ({n.where}, {n.split}): {n.note}." for n in numbers]


def _losses(row: "BoardRow") -> tuple[tuple[int, str], ...]:
    return (row.diverged, "diverged"), (row.failed, "failed")


def _variant_notes(group: "Group") -> list[str]:
    if group.variant == "float":
        return [
            f"The images of this {printable(group.dataset)} are not rounded to integers: "
            "these numbers "
            "are no bound on the bits of discrete images, and are not to be compared with those of "
            "the variant u8."
        ]
    if group.dataset in PUBLISHED and group.variant == "npz":
        return [
            f"This {printable(group.dataset)} is of the npz release, which is easier by "
            "roughly 0.3 "
            "bits/dim than the PNG release that published numbers of flows are on: those stand "
            "beside the variant png alone."
        ]
    if group.dataset == "celeba64":
        return [
            "Published numbers of RealNVP and LCMA on CelebA are on images that are not rounded "
            "to integers: they stand beside the variant float alone."
        ]
    return []


def describe_waiting(most: float | None) -> list[str]:
    """Return a note where trainings waited for images longer than `LONG_WAIT`.

    ``most`` is the largest share of a step's time.
    """
    if most is None or most <= LONG_WAIT:
        return []
    return [
        f"Up to {most:.1%} of a training step went on waiting for images: speeds and costs are not "
        "the flow's alone."
    ]


# Notes on bias: the K-sample bound, the truncated series


def list_corrections(results: Sequence[Beside]) -> list[str]:
    """Return sentences on the K-sample bounds and truncated series of a table's results."""
    return [*_bound_notes(results), *_series_notes(results)]


def _bound_notes(results: Sequence[Beside]) -> list[str]:
    found = [(r.bound_draws, r.bound_gain) for r in results if r.bound_gain is not None]
    if not found:
        return []
    draws = "/".join(str(k) for k in sorted({k for k, _ in found if k is not None}))
    gain = statistics.fmean(gain for _, gain in found)
    if round(gain, 5) == 0:
        comparison = "is that of one within 0.00001 bits/dim"
    else:
        side = "lower" if gain > 0 else "higher"
        comparison = f"is {side} than that of one by {abs(gain):.5f} bits/dim"
    return [f"The bound of {draws} dequantization draws {comparison}, on average over trials."]


def _series_notes(results: Sequence[Beside]) -> list[str]:
    found = [(r.series_bias, r) for r in results if r.series_bias is not None]
    if not found:
        return []
    bias, worst = max(found, key=lambda one: abs(one[0]))
    terms, error = worst.series_terms or 0, worst.series_bias_standard_error
    within = "" if error is None else f" \u00b1 {error:.5f}"
    return [
        f"Bits/dim at {terms} terms of the series less those at {2 * terms}, by the same probes: "
        f"{bias:+.5f}{within} in the trial with the most."
    ]


# The short form of a long board: the cell of the lowest mean of each table

MOST_TABLES = 20
"""Number of tables above which the board is a list of them."""


def read_contents(store: Store, where: Mapping[str, str]) -> list[dict[str, Any]] | None:
    """Return the cell of the lowest mean of each table, from the view `leaderboard`.

    ``where`` names columns of that view. Returns None where the tables are few enough to be shown.
    """
    found = store.view_rows("leaderboard", rank=1, **where)
    rows = [dict(zip(found.columns, row, strict=True)) for row in found.rows]
    tables = {(row["recipe_id"], row["comparable"]): row for row in reversed(rows)}
    return list(reversed(tables.values())) if len(tables) > MOST_TABLES else None


# Reference cycles, which Python searches for whenever many objects are made


@contextmanager
def no_garbage_collection() -> Iterator[None]:
    """Switch the search for reference cycles off during a block.

    Where hundreds of thousands of plain records are made, the search takes longer than the work.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
