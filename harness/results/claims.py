"""Claims as data: what the paper says of a choice, and what we say of it.

A claim consists of effects: weighted sums of rows of one table of the board, by seed, each of which
it says to be below a limit. docs/verdicts.md states how it is judged.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from lcma.harness.results.board import (
    COMPARABLE,
    ENOUGH,
    Board,
    BoardRow,
    Group,
    name_unit,
)
from lcma.harness.text import printable
from lcma.sweeps import factorizations, known_sets, published
from lcma.sweeps.measures import BITS_PER_DIM, OF_SAMPLES

LOOKS = (6, 12, 24, 48)
"""Numbers of seeds at which claims are judged."""

PLANNED = 1_795_976_789.0
"""When the claims of the plan were written (commit bb1fc166), Unix seconds."""

WRITTEN = 1_796_000_400.0
"""When the others were, and which rows the paper's take: 30 November 2026, 01:00 UTC."""

SCALE = (*COMPARABLE, "profile", "size", "splits", "steps", "settings", "budget", "whole")
"""What tells the models of one claim from those of another."""


@dataclass(frozen=True)
class Contrast:
    """A weighted sum of rules, which the claim says to be below ``limit``."""

    name: str
    weights: Mapping[str, float] = field(hash=False)
    limit: float = 0.0


@dataclass(frozen=True)
class ClaimRow:
    """A statement that all its effects are below their limits.

    ``text`` may have a place for `describe_better`. ``source`` is the paper's table, or "ours".
    ``equal`` says that the effects are one difference in both directions. ``launch`` trains what it
    needs. ``maker`` makes effects that depend on a table.
    """

    key: str
    source: str
    text: str
    launch: str
    effects: tuple[Contrast, ...] = ()
    family: str = ""
    maker: str = "rows"
    equal: bool = False


@dataclass(frozen=True)
class Part:
    """A part of a plan, written before it was trained: its claims on its models and seeds alone."""

    name: str
    recipe: str
    sets: Sequence[str]
    claims: Sequence[str]
    first: int
    seeds: int
    budget: int = 1000

    def holds(self, group: Group) -> bool:
        """Return whether it is about the models of a group."""
        return group.recipe_id.startswith(self.recipe) and group.set_name in self.sets


def less(one: str, other: str, limit: float = 0.0) -> Contrast:
    """Return the difference of two rules."""
    return Contrast(f"{one} - {other}", {one: 1.0, other: -1.0}, limit)


def _steps(*names: str) -> tuple[Contrast, ...]:
    return tuple(itertools.starmap(less, itertools.pairwise(names)))


def _read_effect(written: str | Mapping[str, Mapping[str, float]], limit: float) -> Contrast:
    if isinstance(written, str):
        one, other = written.split(" less ")
        return less(one, other, limit)
    ((name, weights),) = written.items()
    return Contrast(name, dict(weights), limit)


def _read_claim(key: str, row: Mapping[str, Any]) -> ClaimRow:
    within = row.get("within", False)
    effects = [_read_effect(one, EQUAL if within else 0.0) for one in row.get("effects", ())]
    return ClaimRow(
        key=key,
        source=row.get("source", "ours"),
        text=row["text"].replace("{equal}", str(EQUAL)),
        launch=row["launch"],
        effects=tuple(effects),
        family=row.get("family", ""),
        maker=row.get("maker", "rows"),
        equal=within,
    )


_WRITTEN_DOWN = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text("utf-8"))

EQUAL: float = _WRITTEN_DOWN["equal"]
"""Bits/dim within which two rules count as equal."""

CLAIMS = {key: _read_claim(key, row) for key, row in _WRITTEN_DOWN["claims"].items()}
"""Every claim by key, the paper's first."""

PLAN = tuple(Part(name, **row) for name, row in _WRITTEN_DOWN["plan"].items())
"""The parts of the plan whose data sets are there."""

OF_BITS_PER_DIM = {
    "time": "it is of the time of a step by itself",
    "one-pattern": "it is of maps",
    **dict.fromkeys(
        ("self-low", "low-patterns", "conventional-patterns"), "its margin is in bits/dim"
    ),
}
"""Claims that are judged with those by bits/dim alone, and why."""


# The rows of a table that claims are about


@dataclass(frozen=True)
class Cells:
    """A group's rows under one budget, including those that need no map.

    Rows with options of the map are left out: they are experiments of their own.
    """

    group: Group
    budget: int | None
    rows: Mapping[str, BoardRow] = field(repr=False, hash=False)

    @property
    def facts(self) -> dict[str, Any]:
        """The models that these rows are of: all that tells them from other cells."""
        group = {name: getattr(self.group, name) for name in SCALE if name != "budget"}
        return {name: group.get(name, self.budget) for name in SCALE}

    @property
    def conventional(self) -> BoardRow | None:
        """The flow's own factorization, where it has results."""
        return next((row for row in self.rows.values() if row.conventional), None)

    @property
    def low(self) -> BoardRow | None:
        """`low`, where it has results and is not the conventional one."""
        row = self.rows.get("L" * self.group.splits)
        return None if row is None or row.conventional else row

    @property
    def words(self) -> tuple[str, ...]:
        """All 2^splits words in the order of Table 4, from the best to the worst."""
        splits = self.group.splits
        return tuple(reversed(factorizations.words(splits))) if splits else ()

    def find(self, rule: str) -> BoardRow | None:
        """Return the row of a rule by its name in a spec, where it has results."""
        if rule == "conventional":
            return self.conventional
        if rule == "low":
            return self.low
        splits = self.group.splits
        return self.rows.get("H" * splits if rule == "high" and splits else rule)


def list_cells(group: Group) -> list[Cells]:
    """Return the rows under each budget of `low`, the longest first."""
    budgets: list[int | None] = [*list_budgets(group)]
    return [select_cells(group, budget) for budget in reversed(budgets or [None])]


def select_cells(group: Group, budget: int | None) -> Cells:
    """Return the rows under one budget, and those that need none, as of the data alone."""
    rows = {
        row.factorization: row
        for row in _usual_rows(group)
        if row.seeds
        and (row.budget in (None, budget) or row.factorization in factorizations.DATA_RULES)
    }
    return Cells(group, budget, rows)


def list_budgets(group: Group) -> list[int]:
    """Return the budgets of `low`, shortest first."""
    low = "L" * group.splits
    return sorted(
        row.budget
        for row in _usual_rows(group)
        if row.factorization == low and row.seeds and row.budget is not None
    )


def order_cells(group: Group, holdout: Group | None) -> list[Cells]:
    """Return the rows under each budget of `low`, the best by the holdout part first.

    The best has the least mean of `low` over the first six seeds; budgets without them follow, the
    longest first.
    """
    means: dict[int, float] = {}
    for row in () if holdout is None else _usual_rows(holdout):
        first = [row.by_seed.get(seed) for seed in range(ENOUGH)]
        if row.factorization == "L" * group.splits and row.budget is not None:
            known = [value for value in first if value is not None]
            if len(known) == ENOUGH:
                means[row.budget] = sum(known) / ENOUGH
    return sorted(
        list_cells(group),
        key=lambda one: (one.budget not in means, means.get(one.budget or 0, 0.0)),
    )


def _usual_rows(group: Group) -> list[BoardRow]:
    return [row for row in group.rows if row.map_options is None]


def name_rule(row: BoardRow) -> str:
    """Return a row's factorization by a name that a spec has for flows of any number of splits."""
    letters = set(row.factorization)
    if row.conventional or letters not in ({"L"}, {"H"}):
        return "conventional" if row.conventional else row.factorization
    return "low" if letters == {"L"} else "high"


def describe_better(measure: str, direction: str | None) -> str:
    """Return what is better by a measure, such as 'fewer bits/dim'."""
    return "fewer bits/dim" if measure == BITS_PER_DIM else f"{direction} {printable(measure)}"


# What a claim says of the rows that are there


@dataclass(frozen=True)
class SeededContrast:
    """Effects by seed, which the claim says to be below ``limit`` on average.

    ``first`` is the first of the seeds that count. ``rows`` are those of one group that it is of.
    """

    name: str
    by_seed: Mapping[int, float] = field(hash=False)
    limit: float = 0.0
    first: int = 0
    rows: tuple[BoardRow, ...] = field(default=(), repr=False, compare=False)

    @property
    def look(self) -> int:
        """The number of seeds of the last look that it has, 0 before the first."""
        return max((n for n in LOOKS if self.has(n)), default=0)

    def has(self, n: int) -> bool:
        """Return whether it has its first n seeds."""
        return all(self.first + k in self.by_seed for k in range(n))


@dataclass(frozen=True)
class TestedClaim:
    """A claim on some cells, with its effects by seed.

    ``printed`` is the effect by the paper's numbers for this flow and set. ``transfer`` says that
    the paper has the claim of other images. ``cleared`` says whether all the models clear the bars
    of the data set, None where no bars are known. ``lost`` counts trials of these cells that
    diverged or failed. ``worst`` are (rule, seed) of those that count as the worst of their row.
    ``rules`` are the factorizations that it is about, by the names of a spec. ``part`` is the part
    of a plan that it belongs to. ``members`` are the cells of a claim over several data sets, of
    which ``cells`` are the first; else these alone. ``behind`` is a budget of `low` that has more
    seeds than the one that is judged.
    """

    claim: ClaimRow
    text: str
    source: str
    cells: Cells
    members: tuple[Cells, ...]
    comparisons: tuple[SeededContrast, ...]
    unit: str
    printed: float | None = None
    transfer: bool = True
    cleared: bool | None = None
    lost: int = 0
    worst: tuple[tuple[str, int], ...] = ()
    rules: tuple[str, ...] = ()
    rows: tuple[BoardRow, ...] = field(default=(), repr=False, compare=False)
    part: Part | None = None
    sets: tuple[str, ...] = ()
    behind: int | None = None

    @property
    def key(self) -> str:
        """The claim's key."""
        return self.claim.key

    @property
    def written(self) -> float:
        """When it was written, Unix seconds."""
        return WRITTEN if self.part is None else PLANNED

    @property
    def family(self) -> str:
        """With which claims it shares Holm's correction."""
        if self.part is not None:
            return f"part {self.part.name}"
        return self.claim.family and f"{self.claim.family} {_name_models(self.cells)}"


@dataclass(frozen=True)
class Sources:
    """What claims are made of: the board by a measure, and what else bears on them.

    ``holdout`` is the board by bits/dim on the holdout part, ``timed`` has groups by the time of a
    step, ``shares`` the share of one pattern in the first maps, by seed, of recipe, data and
    budget.
    """

    board: Board
    holdout: Mapping[str, Group] = field(default_factory=dict)
    timed: Sequence[Group] = ()
    shares: Mapping[tuple[str, str, int | None], Mapping[int, float]] = field(default_factory=dict)


def make_claims(sources: Sources) -> list[TestedClaim]:
    """Return every claim on everything that bears on it, in the order of `CLAIMS`."""
    found: list[TestedClaim] = []
    for claim in CLAIMS.values():
        of_claim = list(_MAKERS[claim.maker](claim, sources))
        found += sorted(of_claim, key=lambda one: str(tuple(one.cells.facts.values())))
    return found


def find_part(claim: ClaimRow, group: Group) -> Part | None:
    """Return the part of the plan that has the claim of these models."""
    return next((one for one in PLAN if claim.key in one.claims and one.holds(group)), None)


def _of_rows(claim: ClaimRow, sources: Sources) -> Iterator[TestedClaim]:
    return _of_groups(claim, sources, lambda cells: claim.effects)


def _of_groups(
    claim: ClaimRow, sources: Sources, list_effects: Callable[[Cells], Sequence[Contrast]]
) -> Iterator[TestedClaim]:
    """Yield the claim on each group that has rows for all its effects.

    It is of the best budget of `low` by the holdout part under which all of them have results, or
    of the budget that a plan names.
    """
    for group in sources.board.groups:
        if group.measure != BITS_PER_DIM and claim.key in OF_BITS_PER_DIM:
            continue
        part = find_part(claim, group)
        ordered = order_cells(group, sources.holdout.get(name_group(group)))
        if part is not None:
            ordered = [select_cells(group, part.budget)]
        usable = [
            (cells, effects)
            for cells in ordered
            if (effects := list_effects(cells))
            and all(cells.find(rule) for one in effects for rule in one.weights)
        ]
        if not usable:
            continue
        made = [
            (cells, [make_comparison(cells, one, part) for one in effects])
            for cells, effects in usable
        ]
        cells, comparisons = made[0]
        rules = dict.fromkeys(rule for one in usable[0][1] for rule in one.weights)
        rows = [row for rule in rules if (row := cells.find(rule)) is not None]
        ahead = max(made, key=lambda one: min(c.look for c in one[1]))
        is_behind = min(c.look for c in ahead[1]) > min(c.look for c in comparisons)
        behind = ahead[0].budget if is_behind else None
        yield make_tested(
            claim, cells, rows, comparisons, part=part, behind=behind, **_texts(claim, cells)
        )


def make_comparison(cells: Cells, effect: Contrast, part: Part | None = None) -> SeededContrast:
    """Return an effect by seed, below its limit where the first rows are better."""
    weights, name = dict(effect.weights), effect.name
    if cells.group.direction == "higher":
        weights = {rule: -weight for rule, weight in weights.items()}
        name = " - ".join(reversed(name.split(" - "))) if len(weights) == 2 else f"-({name})"
    rows = {rule: row for rule in weights if (row := cells.find(rule)) is not None}
    values = {rule: _fill(row, cells.group) for rule, row in rows.items()}
    seeds = sorted(set.intersection(*(set(found) for found in values.values())))
    if part is not None:
        seeds = [seed for seed in seeds if seed >= part.first]
    by_seed = {
        seed: sum(weight * values[rule][seed] for rule, weight in weights.items()) for seed in seeds
    }
    first = 0 if part is None else part.first
    return SeededContrast(name, by_seed, effect.limit, first, tuple(rows.values()))


def _fill(row: BoardRow, group: Group) -> dict[int, float]:
    """Return a row's values, of a seed that diverged the worst of them."""
    worst = (min if group.direction == "higher" else max)(row.values)
    return dict(row.by_seed) | dict.fromkeys(row.diverged_seeds, worst)


def make_tested(
    claim: ClaimRow,
    cells: Cells,
    rows: Sequence[BoardRow],
    comparisons: Iterable[SeededContrast],
    **more: Any,
) -> TestedClaim:
    """Return a claim on these rows of a group."""
    cleared = {row.cleared for row in rows}
    return TestedClaim(
        claim=claim,
        cells=cells,
        comparisons=tuple(comparisons),
        cleared=False if False in cleared else None if None in cleared else True,
        lost=sum(row.diverged + row.failed for row in rows),
        worst=tuple((row.label, seed) for row in rows for seed in row.diverged_seeds),
        rules=tuple(dict.fromkeys(map(name_rule, rows))),
        rows=tuple(rows),
        **(
            {"members": (cells,), "unit": name_unit(cells.group.unit), "source": claim.source}
            | {"text": claim.text}
            | more
        ),
    )


def _texts(claim: ClaimRow, cells: Cells) -> dict[str, Any]:
    """Return text and source of a claim on some cells, and what the paper prints."""
    group = cells.group
    text = format_text(claim, group.measure, group.direction)
    if group.measure != BITS_PER_DIM:
        return {"text": text, "source": "ours"}
    if not claim.source.startswith("LCMA"):
        return {"text": text}
    own = published.find(group.flow, group.set_name, ["low"])
    transfer = not (group.whole and own)
    source = f"our transfer of {claim.source}" if transfer else claim.source
    found: dict[str, Any] = {"text": text, "source": source, "transfer": transfer}
    if claim.key == "low-conventional":
        found["printed"] = find_printed(group)
    return found


def format_text(claim: ClaimRow, measure: str, direction: str | None) -> str:
    """Return what a claim says by a measure."""
    better = describe_better(measure, direction)
    rises = "bits/dim rise"
    if measure != BITS_PER_DIM:
        rises = f"{printable(measure)} {'falls' if direction == 'higher' else 'rises'}"
    return claim.text.format(better=better, rises=rises)


def find_printed(group: Group) -> float | None:
    """Return what the paper prints as low less conventional for the flow and the whole set."""
    facts = known_sets.known()
    whole = (facts.get(group.set_name) and facts[group.set_name].filtered_from) or group.set_name
    family = facts[whole].dataset if whole in facts else whole
    for name in (whole, *(key for key, one in facts.items() if one.dataset == family)):
        found = [published.find(group.flow, name, [rule]) for rule in ("low", "conventional")]
        for low, own in itertools.product(*found):
            if low.where == own.where:
                return round(low.bits_per_dim - own.bits_per_dim, 4)
    return None


def is_form_of(group: Group, set_name: str) -> bool:
    """Return whether a group's images are those of a set, in whatever variant and size."""
    facts = known_sets.known()
    own = facts.get(group.set_name)
    whole = facts.get((own and own.filtered_from) or group.set_name)
    return whole is not None and whole.dataset == set_name


# The makers: effects that depend on what a table has


def _of_table3(claim: ClaimRow, sources: Sources) -> Iterator[TestedClaim]:
    def effects(cells: Cells) -> Sequence[Contrast]:
        if not cells.group.splits:
            return ()
        if cells.group.measure in OF_SAMPLES:  # its samples, as the paper describes them
            return _steps("low", "conventional", "high", "random")
        return _steps("low", "conventional", "random", "high")

    return _of_groups(claim, sources, effects)


def _of_table4(claim: ClaimRow, sources: Sources) -> Iterator[TestedClaim]:
    return _of_groups(
        claim, sources, lambda cells: _steps(*cells.words) if cells.group.splits > 1 else ()
    )


def _of_letters(claim: ClaimRow, sources: Sources) -> Iterator[TestedClaim]:
    """Yield the claim by the main effects of the letters of words."""

    def effects(cells: Cells) -> Sequence[Contrast]:
        words, splits = cells.words, cells.group.splits
        if splits < 2:
            return ()
        main = [
            {word: (1 if word[k] == "L" else -1) * 2 / len(words) for word in words}
            for k in range(splits)
        ]
        more = [
            Contrast(
                f"effect at split 1 - at split {k}",
                {word: main[0][word] - one[word] for word in words if main[0][word] != one[word]},
            )
            for k, one in enumerate(main[1:], start=2)
        ]
        return [Contrast("effect of L at split 1", main[0]), *more]

    return _of_groups(claim, sources, effects)


def _of_patterns(claim: ClaimRow, sources: Sources) -> Iterator[TestedClaim]:
    """Yield the claim on all patterns that are there, so that none is chosen by its own result."""
    rule = claim.key.removesuffix("-patterns")

    def effects(cells: Cells) -> Sequence[Contrast]:
        if not any(factorizations.is_pattern(name) for name in cells.rows):
            return ()
        own = cells.find(rule)
        return [
            less(rule, name, EQUAL)
            for name, row in cells.rows.items()
            if factorizations.pattern_pair(name, 0) is not None and row is not own
        ]

    return _of_groups(claim, sources, effects)


def _of_budgets(claim: ClaimRow, sources: Sources) -> Iterator[TestedClaim]:
    """Yield the claim that `low` is better by its longest budget than by its shortest."""
    for group in sources.board.groups:
        budgets = list_budgets(group)
        if len(budgets) < 2:
            continue
        short, long = (select_cells(group, budget) for budget in (budgets[0], budgets[-1]))
        rows = [row for one in (long, short) if (row := one.low) is not None]
        if len(rows) < 2:
            continue
        signs = (-1, 1) if group.direction == "higher" else (1, -1)
        values = [_fill(row, group) for row in rows]
        seeds = sorted(values[0].keys() & values[1].keys())
        by_seed = {s: signs[0] * values[0][s] + signs[1] * values[1][s] for s in seeds}
        name = f"low after {budgets[-1]} - after {budgets[0]} pretraining steps"
        texts = _texts(claim, long) | {
            "text": f"low gives {describe_better(group.measure, group.direction)} after "
            f"{budgets[-1]} pretraining steps than after {budgets[0]}"
        }
        comparison = SeededContrast(name, by_seed, rows=tuple(rows))
        sets = ("--budget", f"{budgets[0]},{budgets[-1]}")
        yield make_tested(claim, long, rows, [comparison], sets=sets, **texts)


def _of_faces(claim: ClaimRow, sources: Sources) -> Iterator[TestedClaim]:
    """Yield the claim that an effect is smaller on faces than on CIFAR-10, by the same recipe."""
    (effect,) = claim.effects
    faces, others = (
        [group for group in sources.board.groups if is_form_of(group, name)]
        for name in ("celeba64", "cifar10")
    )
    for pair in itertools.product(faces, others):
        alike = ("flow", "recipe_id", "profile", "protocol", "precision")
        if len({tuple(getattr(group, name) for name in alike) for group in pair}) > 1:
            continue
        ordered = [order_cells(one, sources.holdout.get(name_group(one))) for one in pair]
        members = next(
            (
                both
                for both in itertools.product(*ordered)
                if both[0].budget == both[1].budget
                and all(cells.find(rule) for rule in effect.weights for cells in both)
            ),
            None,
        )
        if members is None:
            continue
        first, second = (make_comparison(cells, effect) for cells in members)
        seeds = sorted(first.by_seed.keys() & second.by_seed.keys())
        by_seed = {seed: first.by_seed[seed] - second.by_seed[seed] for seed in seeds}
        names = [printable(cells.group.set_name) for cells in members]
        comparison = SeededContrast(f"{first.name} on {names[0]} minus on {names[1]}", by_seed)
        rows = [row for cells in members for rule in effect.weights if (row := cells.find(rule))]
        sets = ("--dataset", ",".join(cells.group.set_name for cells in members))
        texts = _texts(claim, members[0])
        yield make_tested(
            claim, members[0], rows, [comparison], members=members, sets=sets, **texts
        )


SLOWER = 2.0
"""Percent of a training step that are no cost: timings of equal code differ by as much."""


def _of_time(claim: ClaimRow, sources: Sources) -> Iterator[TestedClaim]:
    """Yield the claim on each group with steps that were timed, of the longest such budget."""
    by_models = {_name_models(select_cells(one, None)): one for one in sources.timed}
    for group in sources.board.groups:
        if (same := by_models.get(_name_models(select_cells(group, None)))) is None:
            continue
        for cells in list_cells(group):
            timed = select_cells(same, cells.budget)
            pair = [row for row in (timed.low, timed.conventional) if row is not None]
            if len(pair) < 2 or cells.low is None or cells.conventional is None:
                continue
            low, own = (row.by_seed for row in pair)
            by_seed = {s: 100 * (low[s] / own[s] - 1) for s in sorted(low.keys() & own.keys())}
            if not by_seed:
                continue
            comparison = SeededContrast("low / own rule - 1", by_seed, SLOWER)
            rows = (cells.low, cells.conventional)
            yield make_tested(claim, cells, rows, [comparison], unit="% of a step")
            break


def _of_maps(claim: ClaimRow, sources: Sources) -> Iterator[TestedClaim]:
    """Yield the claim on each pretraining from which `low` has tables with their statistics.

    Of the trainings that read its maps it is of the shortest under the longest budget.
    """
    readers: dict[tuple[str, str], list[Cells]] = {}
    for group in sources.board.groups:
        for cells in list_cells(group):
            key = (group.recipe_id, group.data_digest, cells.budget)
            if cells.low is not None and sources.shares.get(key):
                pretraining = (group.recipe_of_pretraining, group.data_digest)
                readers.setdefault(pretraining, []).append(cells)
    for found in readers.values():
        cells = min(found, key=lambda one: (-(one.budget or 0), one.group.steps))
        group, low = cells.group, cells.low
        shares = sources.shares[group.recipe_id, group.data_digest, cells.budget]
        by_seed = {seed: 1 - share for seed, share in sorted(shares.items())}
        comparison = SeededContrast("share that differs between windows", by_seed, 0.5)
        rows = () if low is None else (low,)
        yield make_tested(claim, cells, rows, [comparison], unit="of the variance")


_MAKERS: dict[str, Callable[[ClaimRow, Sources], Iterator[TestedClaim]]] = {
    "rows": _of_rows,
    "table3": _of_table3,
    "table4": _of_table4,
    "letters": _of_letters,
    "patterns": _of_patterns,
    "budgets": _of_budgets,
    "faces": _of_faces,
    "time": _of_time,
    "maps": _of_maps,
}


def _name_models(cells: Cells) -> str:
    """Return what tells cells from others, but for the budget."""
    return str(tuple(value for name, value in cells.facts.items() if name != "budget"))


def name_group(group: Group) -> str:
    """Return what tells a group from others, by whatever measure."""
    return str(tuple(getattr(group, name) for name in COMPARABLE))
