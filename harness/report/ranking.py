"""The statistics of the board: means over seeds, and differences paired by seed."""

import itertools
import math
import statistics
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from scipy.special import stdtrit

from db import Bar
from harness.report import corrections, differing, notes, pairing
from harness.report.lookup import DataFacts, LostTrials
from harness.report.text import plain
from sweeps import catalog, factorizations, known_sets, published
from sweeps.errors import UserError
from sweeps.published import Number

if TYPE_CHECKING:
    import pandas as pd

CONFIDENCE = 0.95

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

Cell = tuple[str, int | None, str | None]


@dataclass(frozen=True)
class Difference:
    """Bits/dim less those of the reference (conventional, or as asked), by common seeds.

    The standard error and the 95 % t-interval (low, high) are None for fewer than two pairs. The
    rest is None too where it was not asked for: the two-sided p of the paired t-test, of the exact
    sign-flip test, and of the first after Holm's correction over the group's differences; and the
    smallest true difference that so many pairs would have shown (see `pairing.PairedTest`).
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


@dataclass(frozen=True)
class Row:
    """One factorization at one budget. ``mean`` is None where no seed has a result.

    ``deviation`` is the sample standard deviation over seeds and (low, high) the 95 % t-interval of
    the mean, None for fewer than two. ``rank`` is one more than the number of rows of the group
    with fewer bits by test: paired t, 5 %, after Holm's correction over all pairs of rows with
    enough common seeds. Rows that no test tells apart share it; None where there is no mean.
    ``published`` are the numbers that papers print for such a cell. ``cleared`` says whether the
    mean is below every bar of the data set, None where there is no mean or no bar. Differences
    are from the row that is the ``reference``.
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
    difference: Difference | None
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
        """How many seeds have a result."""
        return len(self.seeds)


@dataclass(frozen=True)
class Group:
    """Rows that can be compared, best first; ``notes`` say what to keep in mind.

    ``standard_error`` is the largest of one trial's over test images, in bits/dim, None where
    none is known. ``reference`` is the label of the row that the differences are from, None
    where it has no results; ``against`` the name under which it was asked for. ``settings`` are
    those of the recipe in which other groups of the same flow, data set and profile differ.
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
    rows: tuple[Row, ...]
    notes: tuple[str, ...]
    bars: tuple[Bar, ...] = ()
    settings: str = ""
    against: str = "conventional"


@dataclass(frozen=True)
class Board:
    """All groups; ``diverged`` and ``failed`` count trials, those in no group too, and ``lost`` the
    same by the outcome of their last attempts. ``apart`` says what keeps groups of one flow and
    data set from each other."""

    groups: tuple[Group, ...]
    diverged: int = 0
    failed: int = 0
    lost: tuple[tuple[str, int], ...] = ()
    apart: tuple[str, ...] = ()


def make(
    frame: "pd.DataFrame",
    facts: Mapping[str, DataFacts] | None = None,
    lost: Sequence[LostTrials] = (),
    *,
    bars: Mapping[str, Sequence[Bar]] | None = None,
    recipes: Mapping[str, str] | None = None,
    conventional: Mapping[str, str] | None = None,
    against: str = "conventional",
) -> Board:
    """The board of rows of the view `trial_results`, whatever their order.

    ``against`` names the factorization that differences are from. ``facts`` and ``bars`` by data
    digest let the notes say which data sets are subsets, and which models are trained enough;
    ``recipes`` are their JSON by id; ``conventional`` is the factorization that was run under that
    name, by recipe, which holds for flows that are not known here too. Raises UserError where
    two results stand for one seed of one row, or several rows for the name ``against``.
    """
    records = [{str(k): _value(k, v) for k, v in r.items()} for r in frame.to_dict("records")]
    records.sort(key=lambda r: str([*(r[name] for name in COMPARABLE), r["result_id"]]))
    groups = [
        _group(list(rows), facts or {}, lost, bars or {}, conventional or {}, against)
        for _, rows in itertools.groupby(records, key=lambda r: [r[name] for name in COMPARABLE])
    ]
    groups.sort(
        key=lambda g: (
            *(g.dataset, g.flow, g.profile, g.protocol != "plain"),
            *(str(getattr(g, name)) for name in COMPARABLE),
        )
    )
    groups = differing.mark(groups, recipes or {})
    outcomes: Counter[str] = Counter()
    for one in lost:
        outcomes[one.outcome or one.state] += one.trials
    return Board(
        groups=tuple(groups),
        diverged=_count(lost, "diverged"),
        failed=_count(lost, "failed"),
        lost=tuple(sorted(outcomes.items())),
        apart=tuple(differing.kept_apart(groups)),
    )


def label(factorization: str) -> str:
    """How a factorization is shown: 'low (LLL)' and 'high (HHH)', the others by their name."""
    if factorizations.is_word(factorization) and len(set(factorization)) == 1:
        return f"{'low' if factorization[0] == 'L' else 'high'} ({factorization})"
    return factorization


def only(board: Board, names: Sequence[str]) -> Board:
    """The rows of these factorizations, under any of their names, and the reference.

    Raises UserError for a name that is none, or where no other row is left.
    """
    # A plug-in's rule is known by its results, wherever the plug-in is now.
    present = {row.factorization for group in board.groups for row in group.rows}
    asked = {name if name in present else factorizations.normalize(name) for name in names}

    def wanted(group: Group, row: Row) -> bool:
        also = {row.factorization, row.label.split(" ")[0]}
        if row.factorization == "checkerboard-even":
            also.add("checkerboard")
        if row.conventional:
            also.add("conventional")
        return bool(asked & also)

    groups = []
    for group in board.groups:
        if any(wanted(group, row) for row in group.rows):
            rows = tuple(r for r in group.rows if r.reference or wanted(group, r))
            groups.append(replace(group, rows=rows))
    if board.groups and not groups:
        known = sorted({row.label for group in board.groups for row in group.rows})
        raise UserError(
            f"no results of {', '.join(sorted(asked))} here: there are {', '.join(known)}"
        )
    return replace(board, groups=tuple(groups))


def _group(
    records: list[dict[str, Any]],
    facts: Mapping[str, DataFacts],
    lost: Sequence[LostTrials],
    all_bars: Mapping[str, Sequence[Bar]],
    asked: Mapping[str, str],
    against: str,
) -> Group:
    first = records[0]
    bars = tuple(all_bars.get(first["data_digest"], ()))
    here = [
        one
        for one in lost
        if all(getattr(one, name) == first[name] for name in COMPARABLE if hasattr(one, name))
    ]
    cells: dict[Cell, dict[int, float]] = {}
    for record in records:
        seeds = cells.setdefault(_cell(record), {})
        if record["seed"] in seeds:
            raise UserError(
                f"two results of seed {record['seed']} for {plain(record['factorization'])} on "
                f"{plain(record['dataset'])} (one is {plain(record['result_id'])}): "
                "look at them with `lcma sql`"
            )
        seeds[record["seed"]] = record["bits_per_dim"]
    for one in here:
        cells.setdefault((one.factorization, one.budget, one.map_options), {})
    own = asked.get(first["recipe_id"]) or catalog.flows().get(first["flow"])
    reference = _reference(cells, own, first["splits"], against)
    held_against = {} if reference is None else cells[reference]
    conventional = _canonical("conventional", own, first["splits"])
    known = [bar.bits_per_dim for bar in bars if bar.bits_per_dim is not None]
    rows = [
        replace(
            row,
            published=_published(first, row.factorization),
            cleared=row.mean < min(known) if known and row.mean is not None else None,
            conventional=row.factorization == conventional,
        )
        for row in (_row(cell, cells[cell], reference, held_against, here) for cell in cells)
    ]
    rows = _tested(rows, held_against)
    rows.sort(
        key=lambda r: (
            math.inf if r.mean is None else r.mean,
            r.factorization,
            -1 if r.budget is None else r.budget,
            r.map_options or "",
        )
    )
    errors = [r["standard_error"] for r in records if r["standard_error"] is not None]
    group = Group(
        **{name: first[name] for name in COMPARABLE},
        profile=", ".join(sorted({r["profile"] for r in records})),
        splits=first["splits"],
        size=first["size"],
        steps=first["steps"],
        images=first["images"],
        clusters=first["clusters"],
        standard_error=max(errors, default=None),
        made_with=tuple(sorted({_made_with(r) for r in records})),
        reference=label(reference[0]) if reference is not None and held_against else None,
        against=against,
        rows=tuple(rows),
        notes=(),
        bars=bars,
    )
    measured = [*corrections.notes(records), *notes.waiting(records)]
    said = notes.of(group, facts.get(group.data_digest), measured)
    return replace(group, notes=tuple(said))


def _row(
    cell: Cell,
    results: Mapping[int, float],
    reference: Cell | None,
    held_against: Mapping[int, float],
    lost: Sequence[LostTrials],
) -> Row:
    factorization, budget, map_options = cell
    seeds = tuple(sorted(results))
    values = tuple(results[seed] for seed in seeds)
    own = [x for x in lost if (x.factorization, x.budget, x.map_options) == cell]
    return Row(
        factorization=factorization,
        label=label(factorization),
        budget=budget,
        map_options=map_options,
        conventional=False,
        seeds=seeds,
        bits_per_dim=values,
        mean=statistics.fmean(values) if values else None,
        deviation=statistics.stdev(values) if len(values) > 1 else None,
        difference=None if cell == reference else paired(results, held_against),
        reference=cell == reference,
        diverged=_count(own, "diverged"),
        failed=_count(own, "failed"),
    )


def _tested(rows: Sequence[Row], held_against: Mapping[int, float]) -> list[Row]:
    """The rows with their ranks, the intervals of their means and what tests say."""
    by_row = [dict(zip(row.seeds, row.bits_per_dim, strict=True)) for row in rows]
    beaten = pairing.beaten_by(by_row, notes.ENOUGH)
    differences = [
        [] if row.reference else list(pairing.by_seed(bits, held_against).values())
        for row, bits in zip(rows, by_row, strict=True)
    ]
    tests = pairing.paired_tests(differences)
    corrected = iter(pairing.holm([t.t_p for t in tests if t is not None and t.t_p is not None]))
    found = []
    for row, test, better in zip(rows, tests, beaten, strict=True):
        change: dict[str, Any] = {}
        if row.mean is not None:
            change["rank"] = 1 + len(better)
        if row.mean is not None and row.deviation is not None:
            half = _half_width(row.deviation / math.sqrt(row.n), row.n)
            change |= {"low": row.mean - half, "high": row.mean + half}
        if row.difference is not None and test is not None and test.t_p is not None:
            change["difference"] = replace(
                row.difference,
                t_p=test.t_p,
                sign_flip_p=test.sign_flip_p,
                holm_p=next(corrected),
                detectable=test.detectable,
            )
        found.append(replace(row, **change))
    return found


def paired(results: Mapping[int, float], against: Mapping[int, float]) -> Difference | None:
    """Mean difference of two sets of values by seed, over the common seeds; None if none."""
    common = sorted(results.keys() & against.keys())
    if not common:
        return None
    differences = [results[seed] - against[seed] for seed in common]
    mean, n = statistics.fmean(differences), len(differences)
    if n < 2:
        return Difference(mean, None, n, None, None)
    error = statistics.stdev(differences) / math.sqrt(n)
    half = _half_width(error, n)
    return Difference(mean, error, n, mean - half, mean + half)


def _half_width(error: float, n: int) -> float:
    """Of the t-interval."""
    return float(stdtrit(n - 1, (1 + CONFIDENCE) / 2)) * error


def _published(record: Mapping[str, Any], factorization: str) -> tuple[Number, ...]:
    names = published.names(record["flow"], factorization, record["splits"])
    name = known_sets.set_name(record["dataset"], record["variant"])
    return tuple(published.find(record["flow"], name, names))


def _canonical(name: str, own: str | None, splits: int) -> str | None:
    """The name under which a factorization is run where ``own`` is the conventional one; None
    where it cannot be."""
    if own is None:
        return None
    if name == "conventional" and splits:
        return own  # a plug-in's rule too, wherever the plug-in is now
    try:
        return factorizations.canonical(name, conventional=own, splits=splits)
    except factorizations.ImpossibleError:
        return None


def _reference(cells: Collection[Cell], own: str | None, splits: int, against: str) -> Cell | None:
    """The cell that differences are from. UserError where the name stands for several."""
    # A rule of a plug-in that is not loaded is known by its results.
    name = against if against in {cell[0] for cell in cells} else _canonical(against, own, splits)
    found = [cell for cell in cells if cell[0] == name]
    if len(found) > 1:
        budgets = ", ".join(sorted({str(cell[1]) for cell in found}))
        raise UserError(
            f"{plain(against)} has several rows here (budgets {budgets}): differences need one row"
        )
    return found[0] if found else None


def _cell(record: Mapping[str, Any]) -> Cell:
    return record["factorization"], record["budget"], record["map_options"]


def _made_with(record: Mapping[str, Any]) -> str:
    changed = "" if record["dirty"] is None else " with uncommitted changes"
    return (
        f"lcma {record['code_version']}{changed}, torch {record['torch']}, "
        f"{record['device']} ({record['cpu_capability']}, threads: {record['threads']})"
    )


def _count(lost: Sequence[LostTrials], state: str) -> int:
    return sum(one.trials for one in lost if one.state == state)


def _value(column: object, value: Any) -> Any:
    """Pandas keeps a column of integers with nulls as floats with NaN."""
    if value != value:  # NaN
        return None
    return int(value) if column in ("budget", "clusters") and value is not None else value
