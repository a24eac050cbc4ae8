"""Numbers, verdicts and pictures in the documentation are those of the reference."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from docs import findings
from lcma import connect, db
from lcma.harness.results.verdicts import read_verdicts
from lcma.harness.show.verdicts import describe_verdict, next_command
from lcma.sweeps import strict_yaml
from lcma.sweeps.errors import UserError
from tests.db.conftest import fill
from tests.harness.show import svg
from tests.processes import ROOT

LIST = strict_yaml.parse((ROOT / findings.LIST).read_text(), findings.LIST)

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
    path = tmp_path_factory.mktemp("findings") / "small.db"
    return findings.Results(fill(db.connect(str(path))).store)


def find_places(text: str, pieces: dict[str, Any], results: findings.Results) -> Any:
    """Return the places of a page whose values are made from results."""
    return findings.find_places("a.md", text, pieces, results)


def test_only_listed_values_are_made(results: findings.Results) -> None:
    other_lines = MADE.replace("there are -0.25\nbits/dim", "there\nare -0.25 bits/dim")
    for page, made in ((PAGE, MADE), (MADE, MADE), (other_lines, other_lines)):
        assert findings.make_page(page, find_places(page, PIECES, results)) == made


def test_wrong_numbers_and_words_are_found(results: findings.Results) -> None:
    places = find_places(PAGE, PIECES, results)
    number, word, count = findings.list_differences(PAGE, places, exact=False)
    assert "`low` there are {}" in number
    assert number.endswith(" has -0.20, and it is -0.25")
    assert word.endswith(" has supported, and it is undecided")
    assert count == "'of {} results.' has 7, and it is 3"
    assert not findings.list_differences(MADE, find_places(MADE, PIECES, results), exact=True)


def test_an_answer_stands_below_its_query(results: findings.Results) -> None:
    query = "```sql\nSELECT count(*) AS n, NULL AS none, 0.25 AS x\nFROM results;\n```\n\n"
    table = "| n | none | x |\n| --- | --- | --- |\n| 3 |  | 0.2500 |\n"
    wrong = f"How many?\n\n{query}| n |\n| --- |\n| 7 |\n\nMore.\n"
    right = f"How many?\n\n{query}{table}\nMore.\n"
    answers = findings.find_answers(wrong, results)
    assert findings.make_page(wrong, answers) == right
    (difference,) = findings.list_differences(wrong, answers, exact=False)
    assert "SELECT count(*)" in difference
    answers = findings.find_answers(right, results)
    assert not findings.list_differences(right, answers, exact=True)


@pytest.mark.parametrize(
    ("page", "piece", "problem"),
    [
        ("there are none of these results.", "of {} results.", "is there 0 times"),
        ("of seven results.", "of {} results.", "is there 0 times"),
        ("of 3 results. And of 3 results.", "of {} results.", "is there 2 times"),
        ("of 3 or 4", "of {} or {}", "has 2 {}, not 1"),
    ],
)
def test_a_piece_that_is_not_on_the_page_once_is_named(
    results: findings.Results, page: str, piece: str, problem: str
) -> None:
    with pytest.raises(UserError, match=re.escape(f"a.md: '{piece}' {problem}")):
        find_places(page, {piece: ["sql SELECT 3"]}, results)


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
    with pytest.raises(UserError, match=re.escape(query)) as error:
        findings.make_value(query, results)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("query", "value"),
    [
        ("count low-conventional undecided", "1 of 1"),
        ("count low-conventional smaller-than-printed", "0 of 1"),
        ("pairs of=low from=conventional dataset=photos16", "1"),
        ("effect low-conventional dataset=photos16", "-0.250"),
    ],
)
def test_verdicts_are_counted_and_have_effects(
    results: findings.Results, query: str, value: str
) -> None:
    assert findings.make_value(f"{query} flow=realnvp", results) == value


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
def test_low_keeps_the_same_by_its_maps_and_by_its_tables() -> None:
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
def test_curves_end_near_the_evaluation_on_the_training_part() -> None:
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
            (query,) = [text for text in LIST["pictures"].values() if text.startswith(name)]
            paths = [tmp_path / f"{name}-{k}.svg" for k in range(2)]
            for path in paths:
                findings.draw(query, results, path)
            assert paths[0].read_bytes() == paths[1].read_bytes()
            assert "Residual Flow, CIFAR-10" in paths[0].read_text()
            assert name == "layout-ranking" or "0.0" in svg.texts(paths[0]), "zero has a label"


def test_pages_show_existing_pictures_and_all_of_them() -> None:
    paths = set()
    for page in (*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")):
        for name in re.findall(r"!\[[^\]]*\]\(([^)]+)\)|```\{image\} (\S+)", page.read_text()):
            paths.add((page.parent / "".join(name)).resolve())
    images = {path.resolve() for path in (ROOT / "docs" / "images").iterdir()}
    assert {path for path in paths if path.parent.name == "images"} == images
    assert {(ROOT / name).resolve() for name in LIST["pictures"]} <= images


def test_a_measure_of_samples_is_measured_after_the_launch_that_would_decide() -> None:
    with connect("reference") as store:
        verdicts = read_verdicts(store, measure="kid", flow="realnvp").apart
    (verdict,) = [v for v in verdicts if v.claim.key == "ranking" and v.next]
    command = next_command(verdict, ["--db", "own results.db"])
    assert command.startswith(f"lcma launch rules --seeds {verdict.next.seeds} --flow realnvp ")
    assert command.endswith(" --db 'own results.db'")
    assert ", then `lcma measure kid`." in describe_verdict(verdict)
