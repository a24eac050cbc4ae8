"""Numbers, verdicts and pictures in the documentation are those of the reference."""

import re
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from docs import findings
from lcma import connect, db
from lcma.harness.results.verdicts import read_verdicts
from lcma.harness.show.meanings import MEANINGS
from lcma.harness.show.verdicts import describe_verdict, next_command
from lcma.sweeps import strict_yaml
from lcma.sweeps.errors import UserError
from tests.db.conftest import fill

ROOT = Path(__file__).parents[1]

LISTED = strict_yaml.parse((ROOT / findings.LIST).read_text(), findings.LIST)

PAGE = """# Title

By `low` there are -0.20
bits/dim (a tie: *supported*), of 7
results. So 7 is typed, -0.20 too.
"""

PIECES: dict[str, Any] = {
    "`low` there are {} bits/dim (a tie: *{}*), of": [
        "difference of=low from=conventional flow=realnvp places=2",
        "verdict low-conventional dataset=photos16",
    ],
    "of {} results.": "sql SELECT count(*) FROM results",
}

MADE = """# Title

By `low` there are -0.25
bits/dim (a tie: *undecided*), of 3
results. So 7 is typed, -0.20 too.
"""


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> findings.Results:
    """Three results of three factorizations, one seed each."""
    filled = fill(db.connect(str(tmp_path_factory.mktemp("found") / "small.db")))
    return findings.Results(filled.store)


def find_places(text: str, pieces: dict[str, Any], results: findings.Results) -> Any:
    """Return the places of a page whose values are made from results."""
    return findings.find_places("a.md", text, pieces, results)


def test_listed_values_are_made_and_the_rest_stays(results: findings.Results) -> None:
    assert findings.make_page(PAGE, find_places(PAGE, PIECES, results)) == MADE
    assert findings.make_page(MADE, find_places(MADE, PIECES, results)) == MADE
    broken = MADE.replace("there are -0.25\nbits/dim", "there\nare -0.25 bits/dim")
    assert findings.make_page(broken, find_places(broken, PIECES, results)) == broken


def test_a_wrong_number_and_a_wrong_word_are_found(results: findings.Results) -> None:
    places = find_places(PAGE, PIECES, results)
    number, word, count = findings.list_differences(PAGE, places, exact=False)
    assert "`low` there are {}" in number
    assert number.endswith(" has -0.20, and it is -0.25")
    assert word.endswith(" has supported, and it is undecided")
    assert count == "'of {} results.' has 7, and it is 3"
    assert not findings.list_differences(MADE, find_places(MADE, PIECES, results), exact=True)


def test_an_answer_stands_below_its_query(results: findings.Results) -> None:
    page = (
        "How many?\n\n```sql\nSELECT count(*) AS n, NULL AS none, 0.25 AS x\nFROM results;\n```\n\n"
    )
    made = "| n | none | x |\n| --- | --- | --- |\n| 3 |  | 0.2500 |\n"
    text = f"{page}| n |\n| --- |\n| 7 |\n\nMore.\n"
    answers = findings.find_answers(text, results)
    assert findings.make_page(text, answers) == f"{page}{made}\nMore.\n"
    (wrong,) = findings.list_differences(text, answers, exact=False)
    assert "SELECT count(*)" in wrong
    right = f"{page}{made}\nMore.\n"
    answers = findings.find_answers(right, results)
    assert not findings.list_differences(right, answers, exact=True)


@pytest.mark.parametrize(
    ("page", "message"),
    [
        ("there are none of these results.", "a.md: 'of {} results.' is there 0 times"),
        ("of seven results.", "a.md: 'of {} results.' is there 0 times"),
        ("of 3 results. And of 3 results.", "a.md: 'of {} results.' is there 2 times"),
    ],
)
def test_a_piece_that_is_not_there_once_is_named(
    results: findings.Results, page: str, message: str
) -> None:
    pieces = {"of {} results.": PIECES["of {} results."]}
    with pytest.raises(UserError, match=re.escape(message)):
        find_places(page, pieces, results)
    with pytest.raises(UserError, match=re.escape("'of {} or {}' has 2 {}, not 1")):
        find_places("of 3 or 4", {"of {} or {}": ["sql SELECT 3"]}, results)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("difference of=low from=conventional flow=glow", "0 tables with low"),
        ("difference of=low from=conventional recipe=0123abcd", "0 tables with low"),
        ("difference of=nonsense from=low", "nonsense"),
        ("difference of=low", "from"),
        ("difference of=low from=conventional color=red", "tables have no color"),
        ("difference of=low from=high step=7", "no seed has both"),
        ("verdict nonsense", "0 verdicts"),
        ("sql DELETE FROM attempts", "only SELECT"),
        ("nonsense of=low", "there are difference"),
    ],
)
def test_what_cannot_be_made_is_named(results: findings.Results, query: str, message: str) -> None:
    with pytest.raises(UserError, match=re.escape(query)) as refused:
        findings.make_value(query, results)
    assert message in str(refused.value)


def test_verdicts_with_a_word_are_counted(results: findings.Results) -> None:
    query = "count low-conventional undecided flow=realnvp"
    assert findings.make_value(query, results) == "1 of 1"
    other = query.replace("undecided", "smaller-than-printed")
    assert findings.make_value(other, results) == "0 of 1"


def test_a_verdict_has_its_own_effect_and_seeds(results: findings.Results) -> None:
    cell = "flow=realnvp dataset=photos16"
    assert findings.make_value(f"pairs of=low from=conventional {cell}", results) == "1"
    assert findings.make_value(f"effect low-conventional {cell}", results) == "-0.250"
    assert findings.make_value(f"look low-conventional {cell}", results) == "1"


@pytest.mark.parametrize(
    ("other", "alike"),
    [
        ("3.250 ± 0.012", True),
        ("3.251 ± 0.012", True),  # another order of summation may round differently
        ("3.253 ± 0.012", False),
        ("-3.250 ± 0.012", False),
        ("undecided", False),
        ("3.250", False),
    ],
)
def test_values_are_alike_where_their_numbers_are(other: str, alike: bool) -> None:
    value = "3.250 ± 0.012"
    assert findings.is_alike(other, value, exact=False) is alike
    assert findings.is_alike(other, value, exact=True) is (value == other)
    assert not findings.is_alike("27 of 28", "28 of 28", exact=False)


@pytest.mark.integration
def test_what_low_keeps_by_its_maps_is_what_its_tables_kept() -> None:
    query = (
        "SELECT DISTINCT seed, kept FROM index_tables JOIN results USING (trial_id) "
        "WHERE split = 1 AND protocol = 'plain' AND factorization = 'LLL' AND budget = 1000 "
        "AND map_options IS NULL AND substr(recipe_id, 1, 8) IN ('aef05e23', 'bc9da9f8') "
        "AND dataset = 'cifar10-16'"
    )
    subject = "flow=realnvp dataset=cifar10-16 recipe=18dc53af"
    with connect("reference") as store:
        values = [
            findings.make_value(f"lattice of={pair} {subject}", findings.Results(store))
            for pair in ("red:ab", "blue:cd")
        ]
        tables = store.sql(query)["kept"]
    kept = np.array([np.unpackbits(np.frombuffer(table, np.uint8)) for table in tables])
    rows = kept.reshape(-1, 3, 8, 2, 8, 2).all(axis=5).mean(axis=(2, 4))  # seed, colour, row
    counts = [int((rows[:, 0, 0] > 0.5).sum()), int((rows[:, 2, 1] > 0.5).sum())]
    assert values == [f"{count} of {len(tables)}" for count in counts]


@pytest.mark.integration
def test_curves_end_near_what_was_evaluated_on_the_training_part() -> None:
    rows = "of=low from=high flow=realnvp dataset=cifar10-16 recipe=aef05e23"
    with connect("reference") as store:
        results = findings.Results(store)
        queries = (f"difference {rows} step=1200", f"difference {rows} by=train_bits_per_dim")
        ends = [findings.make_value(query, results).split() for query in queries]
    assert [float(end[0]) for end in ends] == pytest.approx([float(ends[1][0])] * 2, abs=0.004)


@pytest.mark.integration
def test_pictures_of_the_reference_are_the_same_bytes_again(tmp_path: Path) -> None:
    with connect("reference") as store:
        results = findings.Results(store)
        for name in ("layout-ranking", "settings"):
            (drawn,) = [text for text in LISTED["pictures"].values() if text.startswith(name)]
            paths = [tmp_path / f"{name}-{k}.svg" for k in range(2)]
            for path in paths:
                findings.draw(drawn, results, path)
            assert paths[0].read_bytes() == paths[1].read_bytes()
            assert "Residual Flow, CIFAR-10" in paths[0].read_text()


def test_pages_show_existing_pictures_and_all_of_them() -> None:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
    shown = set()
    for page in pages:
        text = page.read_text()
        for name in re.findall(r"!\[[^\]]*\]\(([^)]+)\)|```\{image\} (\S+)", text):
            shown.add((page.parent / "".join(name)).resolve())
    images = {path.resolve() for path in (ROOT / "docs" / "images").iterdir()}
    assert {path for path in shown if path.parent.name == "images"} == images
    assert {(ROOT / name).resolve() for name in LISTED["pictures"]} <= images


def test_what_no_training_takes_is_measured_after_the_launch_that_would_decide() -> None:
    with connect("reference") as store:
        found = read_verdicts(store, measure="kid", flow="resflow").apart
    (one,) = [one for one in found if one.claim.key == "low-random-local"]
    command = next_command(one, ["--db", "own results.db"])
    assert command.startswith(f"lcma launch rules --seeds {one.next.seeds} --flow resflow ")
    assert command.endswith(" --db 'own results.db'")
    assert ", then `lcma measure`." in describe_verdict(one)


def test_pairs_of_seeds_are_as_the_notes_say() -> None:
    """Results of `low` and of the conventional rule hardly correlate over seeds."""
    with connect("reference") as store:
        claims = [one for one in read_verdicts(store).verdicts if one.n >= 6]
    pairs = [one.rows for one in claims if one.claim.key == "low-conventional"]
    correlations = []
    for (_, low), (_, own) in pairs:
        seeds = sorted(low.by_seed.keys() & own.by_seed.keys())
        values = [[row.by_seed[seed] for seed in seeds] for row in (low, own)]
        correlations.append(statistics.correlation(*values))
    assert len(correlations) > 9
    assert max(map(abs, correlations)) < 0.65
    assert abs(statistics.median(correlations)) < 0.2
    assert "hardly do" in MEANINGS["difference"][1]
