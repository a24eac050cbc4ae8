"""Claims as data: what the paper says of a choice of dimensions, and what we say of it.

A claim says of one or more effects that each is below a limit. An effect is a weighted sum, by
seed, of rows of one table of the board. `verdicts` judges claims, as docs/verdicts.md states.
"""

import itertools
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from lcma.harness.results.board import COMPARABLE_FACTS, MIN_SEEDS, BoardRow, Group, Holdout
from lcma.harness.text import printable
from lcma.sweeps import factorizations, known_sets, published
from lcma.sweeps.measures import BITS_PER_DIM, SAMPLE_MEASURES

LOOKS = (6, 12, 24, 48)
"""Numbers of seeds at which claims are judged."""

PLAN_TIME = 1_795_976_789.0
"""When the claims of the plan were written (commit bb1fc166), in Unix seconds."""

CLAIMS_TIME = 1_796_000_400.0
"""When all other claims, and the rows that the paper's claims use, were fixed: 30 November 2026,
01:00 UTC."""

SCALE_FACTS = (
    *COMPARABLE_FACTS,
    *("profile", "size", "splits", "steps", "settings", "budget", "whole"),
)
"""Facts that identify the models of a claim."""

BUDGETS = ("longest", "shortest")
"""The value of `ClaimRow.between` for claims that compare budgets of `low`."""

Contrasts = Mapping[str, Mapping[str, float]]
"""Effects by name, each the weights by rule of a sum."""


@dataclass(frozen=True)
class ClaimRow:
    """A statement that all its effects are below a limit."""

    key: str
    text: str  # with the placeholders of `format_text`
    launch: str  # arguments of `lcma launch` that train what the claim needs
    source: str = "ours"  # or the paper's table
    family: str = ""  # claims of one family share Holm's correction
    effects: Contrasts = field(default_factory=dict, hash=False)
    effects_of_samples: Contrasts = field(default_factory=dict, hash=False)  # instead, where given
    between: tuple[str, ...] = ()  # two sets or `BUDGETS`: an effect on the first minus the second
    limit: float = 0.0  # or a margin in bits/dim
    equal: bool = False  # the effects are one difference in both directions

    def list_effects(self, cells: "Cells") -> Contrasts:
        """Return its effects on some cells."""
        if self.key in _EXPANSIONS:
            return _EXPANSIONS[self.key](cells)
        is_of_samples = cells.group.measure in SAMPLE_MEASURES
        return (is_of_samples and self.effects_of_samples) or self.effects


@dataclass(frozen=True)
class Part:
    """A part of a plan that was written before it was trained: claims on given models and seeds."""

    name: str
    recipe: str
    sets: Sequence[str]
    claims: Sequence[str]
    first: int
    seeds: int
    budget: int = 1000

    @property
    def size(self) -> int:
        """Number of its claims, trained or not: one for each set, or for both that it compares."""
        return sum(1 if CLAIMS[key].between else len(self.sets) for key in self.claims)

    def covers(self, claim: ClaimRow, groups: Sequence[Group]) -> bool:
        """Return whether the part has this claim on the models of these groups."""
        return claim.key in self.claims and all(
            group.recipe_id.startswith(self.recipe) and group.set_name in self.sets
            for group in groups
        )


def chain(*rules: str) -> Contrasts:
    """Return each rule minus the next."""
    pairs = itertools.pairwise(rules)
    return {f"{first} - {second}": {first: 1.0, second: -1.0} for first, second in pairs}


def _read_claim(key: str, row: Mapping[str, Any]) -> ClaimRow:
    fields = {name: value for name, value in row.items() if name != "margin"}
    for name in {"effects", "effects_of_samples"} & row.keys():
        if isinstance(row[name], list):
            fields[name] = {}
            for rules in row[name]:
                fields[name] |= chain(*rules.split(" - "))
    fields["between"] = tuple(row.get("between", ()))
    return ClaimRow(key, limit=EQUAL_MARGIN if row.get("margin") else 0.0, **fields)


_FILE = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text("utf-8"))

EQUAL_MARGIN: float = _FILE["equal"]
"""Bits/dim within which two rules count as equal."""

CLAIMS = {key: _read_claim(key, row) for key, row in _FILE["claims"].items()}
"""Every claim by key, the paper's first."""

PLAN = tuple(Part(name, **row) for name, row in _FILE["plan"].items())
"""The parts of the plan."""


# The rows of a table that claims are about


@dataclass(frozen=True)
class Cells:
    """A group's rows at one budget, including those that need no map, by factorization.

    Rows with options of the map are left out: they are experiments of their own.
    """

    group: Group
    budget: int | None
    rows: Mapping[str, BoardRow] = field(repr=False, hash=False)

    @property
    def facts(self) -> dict[str, Any]:
        """The facts `SCALE_FACTS`, which identify the models of these rows."""
        facts = {name: getattr(self.group, name, None) for name in SCALE_FACTS}
        return facts | {"budget": self.budget}

    def find(self, rule: str) -> BoardRow | None:
        """Return the row of a rule by its name in a spec, None where it has no results.

        Returns None for `low` or `high` where that is the conventional rule.
        """
        if rule == "conventional":
            return next((row for row in self.rows.values() if row.conventional), None)
        words = {"low": "L" * self.group.splits, "high": "H" * self.group.splits}
        row = self.rows.get(words.get(rule, rule))
        return None if rule in words and row is not None and row.conventional else row


def select_cells(group: Group, budget: int | None) -> Cells:
    """Return the rows at one budget, and those that need none: fixed rules and data rules."""
    rows = {
        row.factorization: row
        for row in _list_plain_rows(group)
        if row.seeds
        and (row.budget in (None, budget) or row.factorization in factorizations.DATA_RULES)
    }
    return Cells(group, budget, rows)


def list_budgets(group: Group) -> list[int]:
    """Return the budgets of `low`, shortest first; without results of it those of all rules."""
    rows = [
        row
        for row in _list_plain_rows(group)
        if row.seeds
        and row.budget is not None
        and row.factorization not in factorizations.DATA_RULES
    ]
    low = [row for row in rows if row.factorization == "L" * group.splits]
    return sorted({row.budget for row in low or rows if row.budget is not None})


def order_cells(group: Group, holdout: Holdout) -> list[Cells]:
    """Return the rows at each budget of `low`, the best budget by the holdout part first.

    Budgets are ordered by the mean of `low` over the first six seeds. Budgets without these seeds
    follow, the longest first. ``holdout`` is as `read_holdout` returns it.
    """
    means: dict[int | None, float] = {}
    same = holdout.get(group.trainings)
    for row in () if same is None else _list_plain_rows(same):
        first = [row.by_seed[seed] for seed in range(MIN_SEEDS) if seed in row.by_seed]
        if row.factorization == "L" * group.splits and len(first) == MIN_SEEDS:
            means[row.budget] = sum(first) / MIN_SEEDS
    budgets: list[int | None] = [*reversed(list_budgets(group))] or [None]
    budgets.sort(key=lambda budget: (budget not in means, means.get(budget, 0.0)))
    return [select_cells(group, budget) for budget in budgets]


def find_low(group: Group, holdout: Holdout) -> BoardRow | None:
    """Return `low` at the budget that `order_cells` puts first, where it has results."""
    return order_cells(group, holdout)[0].find("low")


def _list_plain_rows(group: Group) -> list[BoardRow]:
    """Return the rows without options of maps; of a plug-in's rule, if it has one version."""
    plain = [row for row in group.rows if row.map_options is None or _is_version(row.map_options)]
    versions = Counter((row.factorization, row.budget) for row in plain)
    return [row for row in plain if versions[row.factorization, row.budget] == 1]


def _is_version(map_options: str) -> bool:
    return map_options.startswith('{"rule":') and "," not in map_options


def name_rule(row: BoardRow) -> str:
    """Return a row's factorization by a name that does not depend on the number of splits."""
    return "conventional" if row.conventional else str(factorizations.name_rule(row.factorization))


def is_form_of(group: Group, set_name: str) -> bool:
    """Return whether a group's images are those of a set, in any variant or size."""
    return set_name in (group.set_name, known_sets.find_family(group.set_name))


# A claim in words, and what the paper prints of it


def format_text(claim: ClaimRow, measure: str, direction: str | None) -> str:
    """Return what a claim says by a measure; a claim with a margin is always in bits/dim."""
    better, rises = "fewer bits/dim", "bits/dim rise"
    if measure != BITS_PER_DIM and not claim.limit:
        better = f"{direction} {printable(measure)}"
        rises = f"{printable(measure)} {'falls' if direction == 'higher' else 'rises'}"
    return claim.text.format(better=better, rises=rises, equal=EQUAL_MARGIN)


def find_printed(group: Group) -> float | None:
    """Return what the paper prints as low minus conventional for the flow and the whole set."""
    family = known_sets.find_family(group.set_name)
    variants = (name for name, facts in known_sets.known().items() if facts.dataset == family)
    for name in (known_sets.find_source(group.set_name), *variants):
        numbers = [
            published.find_numbers(group.flow, name, [rule]) for rule in ("low", "conventional")
        ]
        for low, conventional in itertools.product(*numbers):
            if low.where == conventional.where:
                return round(low.bits_per_dim - conventional.bits_per_dim, 4)
    return None


# Effects that depend on the rules of a table


def _order_words(cells: Cells) -> Contrasts:
    """Return each word minus the next in the order of Table 4, from the best to the worst."""
    splits = cells.group.splits
    return chain(*factorizations.words(splits)[::-1]) if splits > 1 else {}


def _compare_letters(cells: Cells) -> Contrasts:
    """Return the main effect of the first letter of words, and that minus each other letter's."""
    splits = cells.group.splits
    if splits < 2:
        return {}
    words = factorizations.words(splits)[::-1]
    first, *others = (
        {word: (1 if word[k] == "L" else -1) * 2 / len(words) for word in words}
        for k in range(splits)
    )
    return {"effect of L at split 1": first} | {
        f"effect at split 1 - at split {k}": {word: first[word] - other[word] for word in words}
        for k, other in enumerate(others, start=2)
    }


def _compare_with_patterns(rule: str, cells: Cells) -> Contrasts:
    """Return a rule minus each pattern with results, so that no pattern is chosen by its result."""
    names = [name for name in cells.rows if factorizations.pattern_pair(name, 0) is not None]
    if not any(map(factorizations.is_pattern, names)):
        return {}
    row = cells.find(rule)
    effects: dict[str, Mapping[str, float]] = {}
    for name in names:
        if cells.rows[name] is not row:
            effects |= chain(rule, name)
    return effects


_EXPANSIONS: Mapping[str, Callable[[Cells], Contrasts]] = {
    "table4-order": _order_words,
    "first-split": _compare_letters,
    "low-patterns": partial(_compare_with_patterns, "low"),
    "conventional-patterns": partial(_compare_with_patterns, "conventional"),
}
