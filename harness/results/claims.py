"""Claims as data: what the paper says of a choice, and what we say of it.

A claim consists of effects: weighted sums of rows of one table of the board, by seed, each of which
it says to be below a limit. `verdicts` judges it, as docs/verdicts.md states.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from lcma.harness.results.board import COMPARABLE, ENOUGH, BoardRow, Group
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

BUDGETS = ("longest", "shortest")
"""What a claim is between that compares budgets of `low`."""

Contrasts = Mapping[str, Mapping[str, float]]
"""Weighted sums of rules by name: the weights by rule."""


@dataclass(frozen=True)
class ClaimRow:
    """A statement that all its effects are below a limit.

    ``text`` may have places for what `format_text` knows. ``source`` is the paper's table, or
    "ours". ``launch`` trains what it needs. Claims of a ``family`` share Holm's correction.
    ``effects`` are those that depend on no table, and ``effects_of_samples`` those by measures of
    samples where they are others. ``between`` are two data sets or `BUDGETS`: each effect is then
    that on the first minus that on the second. ``limit`` is zero, or a margin in bits/dim, and
    ``equal`` says that the effects are one difference in both directions.
    """

    key: str
    text: str
    launch: str
    source: str = "ours"
    family: str = ""
    effects: Contrasts = field(default_factory=dict, hash=False)
    effects_of_samples: Contrasts = field(default_factory=dict, hash=False)
    between: tuple[str, ...] = ()
    limit: float = 0.0
    equal: bool = False

    def list_effects(self, cells: "Cells") -> Contrasts:
        """Return its effects on some cells."""
        if self.key in _EXPANSIONS:
            return _EXPANSIONS[self.key](cells)
        of_samples = self.effects_of_samples if cells.group.measure in OF_SAMPLES else {}
        return of_samples or self.effects


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

    @property
    def size(self) -> int:
        """Number of its claims, each on each set, trained or not."""
        return len(self.claims) * len(self.sets)

    def holds(self, claim: ClaimRow, groups: Sequence[Group]) -> bool:
        """Return whether it has a claim of the models of some groups."""
        return claim.key in self.claims and all(
            group.recipe_id.startswith(self.recipe) and group.set_name in self.sets
            for group in groups
        )


def chain(*rules: str) -> Contrasts:
    """Return the difference of each rule from the next."""
    pairs = itertools.pairwise(rules)
    return {f"{one} - {other}": {one: 1.0, other: -1.0} for one, other in pairs}


def _read_claim(key: str, row: Mapping[str, Any]) -> ClaimRow:
    found = {name: value for name, value in row.items() if name != "margin"}
    for name in {"effects", "effects_of_samples"} & row.keys():
        if isinstance(row[name], list):
            chains = (chain(*one.split(" - ")) for one in row[name])
            found[name] = {effect: weights for one in chains for effect, weights in one.items()}
    found["between"] = tuple(row.get("between", ()))
    return ClaimRow(key, limit=EQUAL if row.get("margin") else 0.0, **found)


_WRITTEN_DOWN = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text("utf-8"))

EQUAL: float = _WRITTEN_DOWN["equal"]
"""Bits/dim within which two rules count as equal."""

CLAIMS = {key: _read_claim(key, row) for key, row in _WRITTEN_DOWN["claims"].items()}
"""Every claim by key, the paper's first."""

PLAN = tuple(Part(name, **row) for name, row in _WRITTEN_DOWN["plan"].items())
"""The parts of the plan whose data sets are there."""


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
        of = {"budget": self.budget}
        return {name: of.get(name, getattr(self.group, name, None)) for name in SCALE}

    def find(self, rule: str) -> BoardRow | None:
        """Return the row of a rule by its name in a spec, where it has results.

        That is none for `low` or `high` where it is the conventional one.
        """
        if rule == "conventional":
            return next((row for row in self.rows.values() if row.conventional), None)
        words = {"low": "L" * self.group.splits, "high": "H" * self.group.splits}
        row = self.rows.get(words.get(rule, rule))
        return None if rule in words and row is not None and row.conventional else row


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


def order_cells(group: Group, holdout: Mapping[str, Group]) -> list[Cells]:
    """Return the rows under each budget of `low`, the best by the holdout part first.

    The best has the least mean of `low` over the first six seeds; budgets without them follow, the
    longest first. ``holdout`` is as `read_holdout` has it.
    """
    means: dict[int | None, float] = {}
    same = holdout.get(group.key)
    for row in () if same is None else _usual_rows(same):
        first = [row.by_seed[seed] for seed in range(ENOUGH) if seed in row.by_seed]
        if row.factorization == "L" * group.splits and len(first) == ENOUGH:
            means[row.budget] = sum(first) / ENOUGH
    budgets: list[int | None] = [*reversed(list_budgets(group))] or [None]
    budgets.sort(key=lambda one: (one not in means, means.get(one, 0.0)))
    return [select_cells(group, budget) for budget in budgets]


def find_low(group: Group, holdout: Mapping[str, Group]) -> BoardRow | None:
    """Return `low` at the budget that `order_cells` puts first, where it has results."""
    return order_cells(group, holdout)[0].find("low")


def _usual_rows(group: Group) -> list[BoardRow]:
    return [row for row in group.rows if row.map_options is None]


def name_rule(row: BoardRow) -> str:
    """Return a row's factorization by a name that a spec has for flows of any number of splits."""
    if row.conventional:
        return "conventional"
    return {"L": "low", "H": "high"}.get("".join(set(row.factorization)), row.factorization)


def is_form_of(group: Group, set_name: str) -> bool:
    """Return whether a group's images are those of a set, in whatever variant and size."""
    return set_name in (group.set_name, known_sets.find_family(group.set_name))


# A claim in words, and what the paper prints of it


def format_text(claim: ClaimRow, measure: str, direction: str | None) -> str:
    """Return what a claim says by a measure; one with a margin is of bits/dim."""
    better, rises = "fewer bits/dim", "bits/dim rise"
    if measure != BITS_PER_DIM and not claim.limit:
        better = f"{direction} {printable(measure)}"
        rises = f"{printable(measure)} {'falls' if direction == 'higher' else 'rises'}"
    return claim.text.format(better=better, rises=rises, equal=EQUAL)


def find_printed(group: Group) -> float | None:
    """Return what the paper prints as low minus conventional for the flow and the whole set."""
    family = known_sets.find_family(group.set_name)
    variants = (name for name, one in known_sets.known().items() if one.dataset == family)
    for name in (known_sets.find_whole(group.set_name), *variants):
        found = [published.find(group.flow, name, [rule]) for rule in ("low", "conventional")]
        for low, own in itertools.product(*found):
            if low.where == own.where:
                return round(low.bits_per_dim - own.bits_per_dim, 4)
    return None


# Effects that depend on the rules of a table


def _order_words(cells: Cells) -> Contrasts:
    """Return each word minus the next in the order of Table 4, from the best to the worst."""
    splits = cells.group.splits
    return chain(*factorizations.words(splits)[::-1]) if splits > 1 else {}


def _compare_letters(cells: Cells) -> Contrasts:
    """Return the main effect of the first letter of words, and it minus that of every other."""
    splits = cells.group.splits
    if splits < 2:
        return {}
    words = factorizations.words(splits)[::-1]
    first, *others = (
        {word: (1 if word[k] == "L" else -1) * 2 / len(words) for word in words}
        for k in range(splits)
    )
    return {"effect of L at split 1": first} | {
        f"effect at split 1 - at split {k}": {word: first[word] - one[word] for word in words}
        for k, one in enumerate(others, start=2)
    }


def _compare_with_patterns(rule: str, cells: Cells) -> Contrasts:
    """Return a rule minus each pattern that is there, so that none is chosen by its own result."""
    names = [name for name in cells.rows if factorizations.pattern_pair(name, 0) is not None]
    if not any(map(factorizations.is_pattern, names)):
        return {}
    own = cells.find(rule)
    pairs = [chain(rule, name) for name in names if cells.rows[name] is not own]
    return {name: weights for one in pairs for name, weights in one.items()}


_EXPANSIONS: Mapping[str, Callable[[Cells], Contrasts]] = {
    "table4-order": _order_words,
    "first-split": _compare_letters,
    "low-patterns": partial(_compare_with_patterns, "low"),
    "conventional-patterns": partial(_compare_with_patterns, "conventional"),
}
