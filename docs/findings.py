"""Numbers, words of verdicts and pictures of the documentation, made from the reference database.

    python docs/findings.py            # write them (`make findings`)
    python docs/findings.py --check    # only report differences (`make check-findings`)

`findings.yaml` lists pieces of each page's sentences, with `{}` in place of a number or word, and
for each piece the request that makes it (a list for several):

- `difference of=RULE from=RULE KEY=VALUE ...`: a difference paired by seed, ± 95 %; with
  `step=STEP` in bits/dim of training batches, over the twentieth of the training that ends there
- `pairs of=RULE from=RULE KEY=VALUE ...`: the number of seeds of that difference
- `verdict CLAIM KEY=VALUE ...`: the word of a verdict; `effect` in place of `verdict` is its
  difference, ± 98.5 %
- `count CLAIM WORD KEY=VALUE ...`: how many of the verdicts have a word, such as
  `smaller-than-printed`
- `lattice of=COLOUR:PAIR KEY=VALUE ...`: for how many seeds `low` keeps this pair of window
  positions, a b over c d, in most windows at the first split
- `sql SELECT ...`: the value of a query

RULE is a name in a sweep file, NAME@BUDGET, or several joined by +, whose mean is taken by seed.
KEY is a fact of a table of the board, such as `flow`, `dataset`, `variant` or `steps`; `recipe`,
the first characters of its id; `by`, the measure; or `places`, decimal places.

The section `pictures` says what is drawn: `settings`, `layout-ranking KEY=VALUE ...` or
`maps seed=SEED KEY=VALUE ...`, the map at the first split.

The answers below the queries of docs/database.md are written too.
"""

import argparse
import math
import os
import re
import statistics
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from operator import attrgetter
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np

from lcma import connect
from lcma.db import ContributionMap, Store
from lcma.db.store import run_query
from lcma.harness.results.board import BoardRow, Group, read_board, read_holdout
from lcma.harness.results.claims import find_low, find_printed
from lcma.harness.results.maps import DEFAULT_SCORE, MapReader, filter_map_sets, list_map_sets
from lcma.harness.results.statistics import Summary, compare_by_seed
from lcma.harness.results.verdicts import DECISIONS, Verdict, read_verdicts
from lcma.harness.show import charts
from lcma.harness.show.board import FEW_IMAGES, format_chosen_budget, short_settings
from lcma.harness.show.maps import draw_map_grid
from lcma.harness.show.site.page import NAMES
from lcma.harness.show.targets import GREY
from lcma.harness.terminal import print_error, print_line
from lcma.harness.text import format_number
from lcma.models.factorization import windows
from lcma.sweeps import factorizations, strict_yaml
from lcma.sweeps.errors import UserError
from lcma.sweeps.measures import BITS_PER_DIM

ROOT = Path(__file__).parents[1]
LIST = "docs/findings.yaml"
ANSWERED = "docs/database.md"
QUERY = re.compile(r"```sql\n(.*?)```\n\n((?:\|[^\n]*\n)*)", re.DOTALL)
"""A query of that page, and the table of its answer."""

NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?")
VALUE = r"[-+]?\d+(?:\.\d+)?(?:\s+(?:±|of)\s+\d+(?:\.\d+)?)?"
WORD = "|".join(sorted(DECISIONS, key=len, reverse=True))

USUAL_BUDGET = 1000
"""The budget of a rule with results at several budgets, if none is named."""

PARTS = 20
"""Parts of a training over each of which its curves are averaged."""

OPTIONS = frozenset({"", "of", "from", "by", "places", "step"})
"""Words of a request that are no facts of a table."""

CURVES = """
SELECT factorization, budget, seed, step, value FROM curves
WHERE map_options IS NULL AND curve = 'train_bits_per_dim' AND recipe_id = '{0.recipe_id}'
AND data_digest = '{0.data_digest}' AND trial_id IN (SELECT trial_id FROM results)
"""

Words = Mapping[str, str]
BySeed = Mapping[int, float]


class Results:
    """A database, with its boards and verdicts read once."""

    def __init__(self, store: Store) -> None:
        """Wrap a database."""
        self.store = store
        self._groups: dict[str, tuple[Group, ...]] = {}

    def groups(self, measure: str = BITS_PER_DIM) -> tuple[Group, ...]:
        """Return the tables of the board by a measure."""
        if measure not in self._groups:
            self._groups[measure] = read_board(self.store, measure=measure).groups
        return self._groups[measure]

    @cached_property
    def verdicts(self) -> Sequence[Verdict]:
        """All verdicts."""
        return read_verdicts(self.store).all


def find_rows(group: Group, rules: str) -> list[BoardRow]:
    """Return the rows of rules, empty unless all have results."""
    rows_of_rules = []
    for rule in rules.split("+"):
        name, _, budget = rule.partition("@")
        names = {name, factorizations.normalize(name)}
        rows = [
            row
            for row in group.rows
            if row.map_options is None and row.seeds
            if names
            & {row.factorization, row.label.split(" ")[0], "conventional" * row.conventional}
        ]
        if budget or len(rows) > 1:
            rows = [row for row in rows if row.budget == int(budget or USUAL_BUDGET)]
        if len(rows) != 1:
            return []
        rows_of_rules += rows
    return rows_of_rules


def compare(
    group: Group, of: str, other: str, values: Callable[[BoardRow], BySeed] = attrgetter("by_seed")
) -> Summary | None:
    """Return the difference of two rules, or of means of several, paired by seed."""
    sides = [[values(row) for row in find_rows(group, rules)] for rules in (of, other)]
    return compare_by_seed(*map(average_by_seed, sides)) if all(sides) else None


def compare_along(store: Store, group: Group, of: str, other: str) -> dict[int, Summary]:
    """Return the differences of training curves, by the last step of each part of the training."""
    points: dict[tuple[Any, ...], dict[int, list[float]]] = {}
    curves = run_query(store.database, CURVES.format(group), limit=None, timeout=60.0)
    for rule, budget, seed, step, value in curves.rows:
        key = (math.ceil(step * PARTS / group.steps), rule, budget)
        points.setdefault(key, {}).setdefault(seed, []).append(value)

    def average(part: int, row: BoardRow) -> BySeed:
        by_seed = points.get((part, row.factorization, row.budget), {})
        return {seed: statistics.fmean(values) for seed, values in by_seed.items()}

    tests = {k: compare(group, of, other, partial(average, k)) for k in range(1, PARTS + 1)}
    return {k * group.steps // PARTS: test for k, test in tests.items() if test is not None}


def average_by_seed(rows: Sequence[BySeed]) -> dict[int, float]:
    """Return the mean over rows at each seed that all rows have."""
    seeds = sorted(set.intersection(*map(set, rows)))
    return {seed: statistics.fmean(row[seed] for row in rows) for seed in seeds}


# Numbers and words of pages


def make_value(request: str, results: Results) -> str:
    """Return a number or word as a page has it.

    Raises:
        UserError: The request is unknown, or matches nothing or several things.
    """
    kind, _, rest = request.partition(" ")
    try:
        if kind == "sql":
            ((value,),) = run_query(results.store.database, rest, limit=2, timeout=30.0).rows
            return str(value)
        if kind not in KINDS:
            raise UserError(f"there are {', '.join(KINDS)}, sql")
        return KINDS[kind](_split(rest), results)
    except (UserError, KeyError, ValueError) as error:
        raise UserError(f"{request}: {error}") from None


def _make_difference(words: Words, results: Results) -> str:
    return _format(_compare(words, results), words)


def _count_pairs(words: Words, results: Results) -> str:
    return str(_compare(words, results).n)


def _compare(words: Words, results: Results) -> Summary:
    group, rules = _choose(words, results), (words["of"], words["from"])
    if "step" in words:
        test = compare_along(results.store, group, *rules).get(int(words["step"]))
    else:
        test = compare(group, *rules)
    if test is None:
        raise UserError("no seed has both")
    return test


def _format(test: Summary, words: Words) -> str:
    places = int(words.get("places", "3"))
    mean, half = format_number(test.mean, places, sign=True), test.half_width
    return mean if half is None else f"{mean} ± {format_number(half, places)}"


def _choose_verdict(words: Words, results: Results) -> Verdict:
    verdicts = _list_verdicts(words[""], words, results)
    if len(verdicts) != 1:
        raise UserError(f"{len(verdicts)} verdicts: give flow=, dataset=, recipe= that choose one")
    return verdicts[0]


def _make_verdict(words: Words, results: Results) -> str:
    return _choose_verdict(words, results).decision


def _make_effect(words: Words, results: Results) -> str:
    return _format(_choose_verdict(words, results).test, words)


def _count_verdicts(words: Words, results: Results) -> str:
    claim, word = words[""].split(" ")
    decisions = [verdict.decision for verdict in _list_verdicts(claim, words, results)]
    return f"{decisions.count(word.replace('-', ' '))} of {len(decisions)}"


def _list_verdicts(claim: str, words: Words, results: Results) -> list[Verdict]:
    verdicts = [verdict for verdict in results.verdicts if verdict.claim.key == claim]
    return [verdict for verdict in verdicts if _is_meant(verdict.cells.facts, words)]


def _make_lattice(words: Words, results: Results) -> str:
    colour, _, pair = words["of"].partition(":")
    channel = ("red", "green", "blue").index(colour)
    maps = _list_maps(words, results.store)
    kept = [_find_kept_pairs(contributions)[channel] for _, contributions in maps]
    return f"{kept.count(pair)} of {len(kept)}"


def _list_maps(words: Words, store: Store) -> list[tuple[int, ContributionMap]]:
    """Return each seed with its map at the first split."""
    named = {name: (words[name],) for name in words.keys() - {"of", "recipe", "seed"}}
    usual: dict[str, Any] = {"budget": (USUAL_BUDGET,), "score": (DEFAULT_SCORE,)}
    map_sets = filter_map_sets(list_map_sets(store), usual | named)
    map_sets = [
        maps
        for maps in map_sets
        if maps.nms == "squeezed" and maps.recipe_id.startswith(words["recipe"])
    ]
    reader = MapReader(store, map_sets)
    return [(maps.seed, reader.maps(maps)[0]) for maps in map_sets]


def _find_kept_pairs(contributions: ContributionMap) -> list[str]:
    """Return for each channel the pair that `low` keeps in most windows."""
    order = np.argsort(-windows(contributions.values), axis=-1, kind="stable")
    kept = np.sort(order[..., :2], axis=-1)
    names = np.array([*"abcd"])[kept].reshape(len(kept), -1, 2)
    return [Counter(map("".join, pairs)).most_common(1)[0][0] for pairs in names]


KINDS: Mapping[str, Callable[[Words, Results], str]] = {
    "difference": _make_difference,
    "pairs": _count_pairs,
    "verdict": _make_verdict,
    "effect": _make_effect,
    "count": _count_verdicts,
    "lattice": _make_lattice,
}


def _split(rest: str) -> dict[str, str]:
    """Return values by key; words without a key are at ''."""
    named = dict(word.split("=", 1) for word in rest.split() if "=" in word)
    plain = " ".join(word for word in rest.split() if "=" not in word)
    return named | ({"": plain} if plain else {})


def _is_meant(facts: Mapping[str, Any], words: Words) -> bool:
    for name in words.keys() - OPTIONS - {"recipe", *facts}:
        raise UserError(f"tables have no {name}")
    named = {name: value for name, value in words.items() if name in facts and name != "recipe"}
    recipe = str(facts["recipe_id"]).startswith(words.get("recipe", ""))
    return recipe and all(str(facts[name]) == value for name, value in named.items())


def _choose(words: Words, results: Results) -> Group:
    """Return the only table of the board that is meant and has rows for all rules."""
    rules = f"{words['of']}+{words['from']}"
    groups = results.groups(words.get("by", BITS_PER_DIM))
    tables = [group for group in groups if _is_meant(vars(group), words)]
    tables = [group for group in tables if find_rows(group, rules)]
    if len(tables) != 1:
        raise UserError(
            f"{len(tables)} tables with {rules}: give flow=, dataset=, recipe= that choose one"
        )
    return tables[0]


# Pages


Place = tuple[str, slice, str]
"""A piece, where its number or word is in a page, and the right number or word."""


def find_places(name: str, text: str, pieces: Mapping[str, Any], results: Results) -> list[Place]:
    """Return the places of all listed numbers and words of a page, the last first.

    Raises:
        UserError: A piece is not in the page exactly once, or cannot be made.
    """
    places = []
    for piece, listed in pieces.items():
        requests = [listed] if isinstance(listed, str) else listed
        parts = [re.sub(r"(?:\\\s)+", r"\\s+", re.escape(part)) for part in piece.split("{}")]
        values = [f"({WORD if text.startswith('verdict ') else VALUE})" for text in requests]
        if len(parts) != len(values) + 1:
            raise UserError(f"{name}: '{piece}' has {len(parts) - 1} {{}}, not {len(values)}")
        pattern = "".join(part + value for part, value in zip(parts, [*values, ""], strict=True))
        matches = list(re.finditer(pattern, text))
        if len(matches) != 1:
            raise UserError(f"{name}: '{piece}' is there {len(matches)} times, not once")
        for k, request in enumerate(requests, start=1):
            places.append((piece, slice(*matches[0].span(k)), make_value(request, results)))
    return sorted(places, key=lambda place: -place[1].start)


def find_answers(text: str, results: Results) -> list[Place]:
    """Return the answers below the queries of a page, the last first."""
    return [
        (match[1].partition("\n")[0], slice(*match.span(2)), make_answer(match[1], results))
        for match in reversed(list(QUERY.finditer(text)))
    ]


def make_answer(query: str, results: Results) -> str:
    """Return the answer of a query as a table in Markdown."""
    answer = run_query(results.store.database, query, limit=None, timeout=30.0)
    rows = [[_show(value) for value in row] for row in answer.rows]
    lines = [answer.columns, ["---"] * len(answer.columns), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _show(value: Any) -> str:
    return format_number(value) if isinstance(value, float) else str("" if value is None else value)


def make_page(text: str, places: Sequence[Place]) -> str:
    """Return a page with the right numbers and words; a line break within a number stays."""
    for _, where, made in places:
        if text[where].split() != made.split():
            text = text[: where.start] + made + text[where.stop :]
    return text


def list_differences(text: str, places: Sequence[Place], *, exact: bool) -> list[str]:
    """Return a line for each place where a page differs from the database."""
    differences = []
    for piece, where, made in reversed(places):
        written, right = (" ".join(value.split()) for value in (text[where], made))
        if not is_alike(written, right, exact=exact):
            differences.append(f"'{piece}' has {written}, and it is {right}")
    return differences


def is_alike(written: str, right: str, *, exact: bool) -> bool:
    """Return whether a page has the right text, to the byte if `exact`."""
    if exact or NUMBER.split(written) != NUMBER.split(right):
        return written == right
    # Sums in another order may change the last digit of a number by one. Counts are exact.
    last = 10.0 ** -len(right.rpartition(".")[2]) if "." in right else 0.0
    pairs = zip(NUMBER.findall(written), NUMBER.findall(right), strict=True)
    return all(
        math.isclose(float(a), float(b), rel_tol=1e-9, abs_tol=1.01 * last) for a, b in pairs
    )


# Pictures

SETS = {
    "cifar10": "CIFAR-10",
    "cifar10-16": "CIFAR-10",
    "cifar10-45000": "CIFAR-10",
    "cifar10-12800": "12,800 of CIFAR-10",
    "cifar10-3200": "3,200 of CIFAR-10",
    "cifar10-800": "800 of CIFAR-10",
    "celeba64-16": "faces",
}

PHASES = "checkerboard-even+checkerboard-odd"
LINES = {"layout": ("low+high", PHASES), "ranking": ("low", "high")}


def draw(request: str, results: Results, path: Path) -> None:
    """Draw a picture into a file."""
    kind, _, rest = request.partition(" ")
    PICTURES[kind](_split(rest), results, path)


def _draw_layout_ranking(words: Words, results: Results, path: Path) -> None:
    """Draw layout and ranking along the trainings of one table, and at the end of all."""
    group = _choose({**words, "of": "low+high", "from": PHASES}, results)
    ends = [end for end in results.groups() if find_rows(end, "low+high")]
    datasets: dict[str, list[dict[str, Any]]] = {"lines": [], "rows": []}
    for name, rules in LINES.items():
        for step, test in compare_along(results.store, group, *rules).items():
            point = {"name": name, "step": step, "value": test.mean}
            datasets["lines"].append(point | {"low": test.low, "high": test.high})
    for end in ends:
        label = f"{_name_models(end)}, {end.size}x{end.size}, {end.steps} steps"
        for name, rules in LINES.items():
            if (test := compare(end, *rules)) is not None:
                row = {"name": name, "label": label, "mean": test.mean}
                datasets["rows"].append(row | {"low": test.low, "high": test.high})
    colours = alt.Color("name:N", sort=None, legend=None).scale(domain=[*LINES])
    y = alt.Y("label:N", sort=None, title=None).axis(labelLimit=0, domain=False, ticks=False)
    base = alt.Chart(alt.NamedData("rows")).encode(y=y, yOffset="name:N", color=colours)
    x = alt.X("low:Q", title="difference in bits/dim")
    at_end = alt.layer(
        alt.Chart(alt.NamedData("rows")).mark_rule(color=GREY).encode(x=alt.datum(0)),
        base.mark_rule(size=2).encode(x=x, x2="high:Q"),
        base.mark_point(filled=True, size=45, opacity=1).encode(x="mean:Q"),
    )
    along = charts.curves("difference in bits/dim", [*LINES], zero=True)
    height, title = max(230, 36 * len(ends)), _name_models(group)
    as_it_trains = f"{title}, {group.size}x{group.size}: as it trains"
    beside = alt.hconcat(
        along.properties(title=as_it_trains, width=270, height=height),
        at_end.properties(title="At the end, on test images", width=150, height=height),
    ).resolve_scale(color="independent", strokeDash="independent")
    below = (
        "Layout: (low + high)/2 - (even + odd)/2; above zero it costs.",
        "Ranking: low - high; below zero it gains. Means over seeds, 95 % intervals.",
        "Left: on training batches, each point over a twentieth of the training.",
    )
    picture = charts.stack([beside], below)
    charts.write_chart(picture, datasets, path, "Layout and ranking", " ".join(below))


def _draw_settings(_: Words, results: Results, path: Path) -> None:
    """Draw `low` minus the own rule in every setting, as `lcma board` lists them."""
    holdout = read_holdout(results.store)
    lows = [(group, find_low(group, holdout)) for group in results.groups()]
    datasets: dict[str, list[dict[str, Any]]] = {"rows": [], "seeds": [], "printed": []}
    for group, low in lows:
        if low is None or (test := low.difference) is None:
            continue
        masks = ", masks even-first" if "even-first" in short_settings(group) else ""
        few = " †" if (group.images or FEW_IMAGES) < FEW_IMAGES else ""
        size = f"{group.size}x{group.size}, {group.steps} steps"
        budget = f" {chosen}" if (chosen := format_chosen_budget(group, low)) else ""
        row: dict[str, Any] = {"label": f"{_name_models(group)}, {size}{masks}{budget}{few}"}
        row |= {"mean": test.mean, "low": test.low, "high": test.high, "n": test.n}
        datasets["rows"].append(row | {"than": low.than_reference})
        if (printed := find_printed(group)) is not None:
            datasets["printed"].append({"label": row["label"], "value": printed})
    title = "low minus the flow's own rule, in every setting"
    below = (
        "Dot and line: mean over n seeds and its 95 % interval; left of zero low is better.",
        "Diamond: the gain that the paper prints for the flow and the set, of its own models.",
        "@: budget of low, chosen from several by the holdout part. "
        f"†: on fewer than {FEW_IMAGES:,} test images.",
    )
    diamonds = alt.Chart(alt.NamedData("printed")).mark_point(
        shape="diamond", color=GREY, size=60, opacity=1
    )
    chart = charts.forest("difference in bits/dim") + diamonds.encode(
        x="value:Q", y=alt.Y("label:N", sort=None)
    )
    head = alt.Title(title, frame="bounds")
    picture = charts.stack([chart.properties(width=245, height=alt.Step(24), title=head)], below)
    charts.write_chart(picture, datasets, path, title, " ".join(below))


def _name_models(group: Group) -> str:
    flow, images = NAMES.get(group.flow, group.flow), SETS.get(group.dataset, group.dataset)
    floats = ", floats" if group.variant == "float" else ""
    stopped = ", early stopping" if '"select":"best"' in (group.recipe or "") else ""
    return f"{flow}, {images}{floats}{stopped}"


def _draw_maps(words: Words, results: Results, path: Path) -> None:
    """Draw the map of a seed, and say how many seeds are like it."""
    maps = dict(_list_maps(words, results.store))
    kept = {seed: _find_kept_pairs(contributions) for seed, contributions in maps.items()}
    seed = int(words["seed"])
    alike = list(kept.values()).count(kept[seed])
    models = f"{NAMES[words['flow']]} on {SETS[words['dataset']]}"
    title = f"{models}: contribution of each pixel to the log-determinant"
    below = [
        f"Seed {seed}, after {USUAL_BUDGET} steps of pretraining; "
        f"low keeps these rows of most windows of 2x2 in {alike} of {len(kept)} seeds",
    ]
    draw_map_grid({"contribution": [maps[seed]]}, title, below, path)


PICTURES: Mapping[str, Callable[[Words, Results, Path], None]] = {
    "layout-ranking": _draw_layout_ranking,
    "settings": _draw_settings,
    "maps": _draw_maps,
}


def main(arguments: list[str] | None = None) -> int:
    """Write pages and pictures or check pages; return the exit code."""
    parser = argparse.ArgumentParser(prog="docs/findings.py", description=__doc__.split("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing, report differences")
    options = parser.parse_args(arguments)
    try:
        listed = strict_yaml.parse((ROOT / LIST).read_text(), LIST)
        pictures, differs = listed.pop("pictures"), False
        results = Results(connect("reference"))
        for name, pieces in {**listed, ANSWERED: {}}.items():
            text = (ROOT / name).read_text()
            places = find_places(name, text, pieces, results)
            places += find_answers(text, results) if name == ANSWERED else []
            if not options.check:
                (ROOT / name).write_text(make_page(text, places))
                continue
            for line in list_differences(text, places, exact="CI" in os.environ):
                print_line(f"{name}: {line}: run `make findings`, or change the sentence")
                differs = True
        for name, request in {} if options.check else pictures.items():
            draw(request, results, ROOT / name)
    except UserError as error:
        print_error(error)
        return 2
    return int(differs)


if __name__ == "__main__":
    sys.exit(main())
