"""Tables of the leaderboard as what pairs of their rows and trials are compared by.

A table has a page with its curves and its pairs, and a script from which the page of any two rows
or trials reads them. The tests are computed here, for every pair; the page only shows them.
"""

import json
import math
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from itertools import combinations
from typing import Any

from lcma.harness.files import file_name
from lcma.harness.results.board import ENOUGH, BoardRow, Group, name_measure
from lcma.harness.results.curves import CurveChart, LineKey, choose_lines
from lcma.harness.results.lookup import parse_object
from lcma.harness.results.statistics import PairedTest, compare_all_by_seed, subtract_by_seed
from lcma.harness.show.board import format_titles
from lcma.harness.show.site.trials import TrialFacts
from lcma.harness.text import printable
from lcma.sweeps import settings
from lcma.sweeps.measures import BITS_PER_DIM

LISTED = 10
"""Rows of a table whose pairs stand on its page, the best first."""

TESTED = 120
"""Rows of a table of which every pair is tested, the best first."""

UNIT = 1e5
"""Differences by seed are whole numbers in the script of a table, of this share of the measure."""


@dataclass(frozen=True)
class Pair:
    """Two rows of a table with their test, the first minus the second."""

    first: BoardRow
    second: BoardRow
    test: PairedTest
    by_seed: Mapping[int, float]
    link: str


@dataclass(frozen=True)
class TrialPlace:
    """One trial on the page of two: its own page, and its maps and samples where there are any."""

    facts: TrialFacts
    charted: bool
    maps: str | None
    samples: str | None


@dataclass(frozen=True)
class ComparedTable:
    """A group of the leaderboard under the name of its page.

    ``board`` is where the leaderboard has it. ``find_trials`` returns those that have a page.
    """

    name: str
    group: Group
    board: str
    find_trials: Callable[[], Sequence[TrialPlace]] = field(repr=False)

    @property
    def page(self) -> str:
        """Path of its page."""
        return f"compare/{self.name}.html"

    @property
    def script(self) -> str:
        """Path of its script."""
        return f"data/compare/{self.name}.js"

    @property
    def title(self) -> str:
        """What the table is of."""
        return format_titles(self.group)[0]

    @cached_property
    def rows(self) -> tuple[BoardRow, ...]:
        """Rows with results, best first."""
        return tuple(row for row in self.group.rows if row.n)

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """A name for each row that stays when others come in."""
        return unique_names(
            file_name(row.factorization, *_unless_none(row.budget), *_unless_none(row.map_options))
            for row in self.rows
        )

    @cached_property
    def tests(self) -> Mapping[tuple[int, int], PairedTest]:
        """The test of each pair of rows, the first minus the second."""
        return compare_all_by_seed([row.by_seed for row in self.rows[:TESTED]], ENOUGH)

    def list_pairs(self) -> list[Pair]:
        """Return the pairs of the first rows that have a common seed."""
        return [
            Pair(
                self.rows[i],
                self.rows[j],
                test,
                subtract_by_seed(self.rows[i].by_seed, self.rows[j].by_seed),
                self.link(i, j),
            )
            for i, j in combinations(range(min(LISTED, len(self.rows))), 2)
            if (test := self.tests.get((i, j))) is not None
        ]

    def link(self, first: int, second: int) -> str:
        """Return the address of the page of two rows."""
        a, b = (f"{self.name}/{self.keys[k]}" for k in (first, second))
        return f"compare.html#a={a}&b={b}"

    def link_rows(self, one: BoardRow, other: BoardRow) -> str | None:
        """Return the address of the page of two rows, None where one has no result here."""
        cells = [_row_cell(row) for row in self.rows]
        if _row_cell(one) not in cells or _row_cell(other) not in cells:
            return None
        return self.link(cells.index(_row_cell(one)), cells.index(_row_cell(other)))

    def link_cell(self, cell: tuple[str, int | None, str | None]) -> str | None:
        """Return where a row stands beside the one that differences are from, or the leaderboard.

        None where it has no result.
        """
        own = next((row for row in self.rows if _row_cell(row) == cell), None)
        usual = next((row for row in self.rows if row.reference), None)
        if own is None or usual is None or own is usual:
            return None if own is None else self.board
        return self.link_rows(own, usual)

    def link_trial(self, one: TrialFacts) -> str | None:
        """Return the address of the page of a trial and another, None where its row has no result.

        One of another seed stands beside it at first, else the row before it, or the last.
        """
        cells = [_row_cell(row) for row in self.rows]
        if _cell(one) not in cells:
            return None
        own = cells.index(_cell(one))
        a = f"{self.name}/{self.keys[own]}/{one['seed']}"
        other = next((seed for seed in self.rows[own].seeds if seed != one["seed"]), None)
        if other is not None:
            return f"compare.html#a={a}&b={self.name}/{self.keys[own]}/{other}"
        return f"compare.html#a={a}&b={self.name}/{self.keys[own - 1]}"


def name_tables(
    groups: Sequence[Group],
    boards: Sequence[str],
    find_trials: Callable[[Group], Sequence[TrialPlace]],
) -> dict[str, ComparedTable]:
    """Return the tables of groups with at least a result, by page."""
    names = unique_names(
        file_name(g.flow, g.dataset, g.recipe_id[:8], g.data_digest[:8], g.protocol) for g in groups
    )
    tables = [
        ComparedTable(name, group, board, partial(find_trials, group))
        for name, group, board in zip(names, groups, boards, strict=True)
    ]
    return {table.page: table for table in tables if table.rows}


def unique_names(names: Iterator[str] | Collection[str]) -> tuple[str, ...]:
    """Return names with a number after those that were there before."""
    seen: defaultdict[str, int] = defaultdict(int)
    found = []
    for name in names:
        seen[name] += 1
        found.append(name if seen[name] == 1 else f"{name}--{seen[name]}")
    return tuple(found)


def _unless_none(value: object) -> tuple[object, ...]:
    return () if value is None else (value,)


# What the page of any two reads


def index_script(tables: Collection[ComparedTable], spec: Mapping[str, Any]) -> bytes:
    """Return the script with the names of all tables, and the chart of two curves."""
    named = [(table.name, table.title) for table in tables]
    return f"window.lcmaCompare = {_json({'tables': named, 'spec': spec})};\n".encode()


def table_script(table: ComparedTable, chart: CurveChart | None) -> bytes:
    """Return the script of a table: facts, rows with trials, curves, and the test of each pair."""
    group, rows = table.group, table.rows
    trials: defaultdict[tuple[Any, ...], dict[int, TrialPlace]] = defaultdict(dict)
    for one in table.find_trials():
        trials[_cell(one.facts)][one.facts["seed"]] = one
    curves = _curves(chart)
    body = parse_object(group.recipe or "")
    model = body.get("model")
    channels = model.get("channels", 3) if isinstance(model, dict) else 3
    found = {
        "title": table.title,
        "page": table.page,
        "board": table.board,
        "measure": name_measure(group.measure),
        "direction": group.direction,
        "enough": ENOUGH,
        "splits": group.splits,
        "channels": channels,
        "facts": {
            "flow": printable(group.flow),
            "data set": printable(f"{group.dataset} ({group.variant})"),
            "data": printable(group.data_digest),
            "profile": printable(group.profile),
            "recipe": printable(group.recipe_id),
            "protocol": printable(group.protocol),
            "precision": printable(group.precision),
        },
        "settings": {printable(k): printable(v) for k, v in sorted(settings.flat(body).items())},
        "rows": [
            {
                "key": key,
                "name": printable(row.label),
                "factorization": printable(row.factorization),
                "budget": row.budget,
                "options": row.options_label and printable(row.options_label),
                "mean": _round(row.mean),
                "half": None
                if row.high is None or row.mean is None
                else _round(row.high - row.mean),
                "seeds": [[seed, _round(value)] for seed, value in row.by_seed.items()],
                "trials": [
                    _trial(one, group, row)
                    for _, one in sorted(
                        trials[row.factorization, row.budget, row.map_options].items()
                    )
                ],
                "curves": curves.get((row.factorization, row.budget, row.map_options), {}),
            }
            for key, row in zip(table.keys, rows, strict=True)
        ],
        "usual": next(
            (key for key, row in zip(table.keys, rows, strict=True) if row.reference), None
        ),
        "tested": min(TESTED, len(rows)),
        "tests": [
            None if (test := table.tests.get((i, j))) is None else _test(test, rows[i], rows[j])
            for i, j in combinations(range(min(TESTED, len(rows))), 2)
        ],
    }
    # As text, since in a literal a setting called __proto__ would be no key.
    text = (
        f"(window.lcmaTables ??= {{}})[{_json(table.name)}] = JSON.parse({_json(_json(found))});\n"
    )
    return text.encode()


def list_lines(chart: CurveChart) -> list[LineKey]:
    """Return the lines of a chart that are drawn together."""
    return choose_lines(dict.fromkeys(line.key for panel in chart.panels for line in panel.lines))


def _cell(facts: TrialFacts) -> tuple[Any, ...]:
    return facts["factorization"], facts["budget"], facts["map_options"]


def _row_cell(row: BoardRow) -> tuple[str, int | None, str | None]:
    return row.factorization, row.budget, row.map_options


def _trial(one: TrialPlace, group: Group, row: BoardRow) -> dict[str, Any]:
    facts = one.facts
    plain = group.measure == BITS_PER_DIM and group.protocol == "plain"
    return {
        "seed": facts["seed"],
        "page": facts["page"],
        "state": printable(facts["state"]),
        "value": _round(row.by_seed.get(facts["seed"])),
        "error": _round(facts["standard_error"]) if plain else None,
        "charted": one.charted,
        "maps": one.maps,
        "samples": one.samples,
    }


def _curves(chart: CurveChart | None) -> dict[tuple[Any, ...], dict[str, list[list[Any]]]]:
    """Return by cell and metric the mean over seeds, and the lowest and the highest seed."""
    found: defaultdict[tuple[Any, ...], dict[str, list[list[Any]]]] = defaultdict(dict)
    for panel in () if chart is None else chart.panels:
        for line in panel.lines:
            key = line.key.factorization, line.key.budget, line.key.map_options
            found[key][printable(panel.name)] = [
                [step, _round(mean), _round(low), _round(high)]
                for (step, mean), (_, low, high) in zip(line.mean, line.band, strict=True)
            ]
    return found


def _test(test: PairedTest, first: BoardRow, second: BoardRow) -> list[Any]:
    differences = subtract_by_seed(first.by_seed, second.by_seed).values()
    numbers = (test.mean, test.half_width, test.sign_flip_p, test.holm_p, test.detectable)
    return [test.n, *map(_round, numbers), [round(UNIT * one) for one in differences]]


def _round(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else round(value, 5)


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))
