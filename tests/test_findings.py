"""Numbers in the documentation are those of the reference database."""

import re
import statistics
from pathlib import Path

import numpy as np
import pytest

from docs import findings
from lcma import connect, db
from lcma.harness.report.meanings import MEANINGS
from lcma.harness.report.verdicts import list_decisions, next_command
from lcma.harness.results.verdicts import read_verdicts
from lcma.sweeps.errors import UserError
from tests.db.conftest import fill

ROOT = Path(__file__).parents[1]

PAGE = """# Title

The mean is <!-- mean of=low flow=realnvp -->9<!-- end -->
of <!-- sql SELECT count(*) FROM trial_results -->0<!-- end --> results, against
a number: <!-- n of=conventional --><!-- end -->, rank <!-- n of=HHH -->x<!-- end -->,
of <!-- pairs of=low from=conventional -->x<!-- end --> pair,
and <!-- difference of=low from=conventional places=2 -->0<!-- end --> bits/dim. 3.25 is typed.

<!-- sql SELECT factorization, bits_per_dim FROM trial_results ORDER BY 1 -->
what was there
<!-- end -->

<!-- board dataset=photos16 --><!-- end -->

<!-- picture board flow=realnvp -->

![The board](images/board.svg)

<!-- end -->
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> db.Store:
    """Three results of three factorizations, one seed each."""
    return fill(db.connect(str(tmp_path_factory.mktemp("found") / "small.db"))).store


def test_what_is_marked_is_made_and_the_rest_stays(store: db.Store, tmp_path: Path) -> None:
    made = findings.make_page(PAGE, tmp_path, store)
    plain = re.sub("<!--[^\n]*?-->", "", made)
    assert "The mean is 3.250\nof 3 results" in plain
    assert "a number: 1, rank 1,\nof 1 pair," in plain
    assert "and -0.25 bits/dim. 3.25 is typed." in plain
    assert "| HHH | 3.75 |\n| LLL | 3.25 |\n| channel | 3.5 |" in plain
    assert "| low (LLL)" in plain
    recipe = store.sql("SELECT recipe_id FROM trial_results").recipe_id[0][:8]
    text = f"at <!-- mean of=low recipe={recipe} -->9<!-- end -->"
    assert "3.250" in findings.make_page(text, tmp_path, store)
    assert "what was there" not in made
    assert findings.make_page(made, tmp_path, store) == made
    picture = (tmp_path / "images" / "board.svg").read_text()
    assert picture.startswith("<svg")
    assert "3.2500" in picture
    findings.make_page(PAGE, tmp_path, store)
    assert (tmp_path / "images" / "board.svg").read_text() == picture


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("mean of=low flow=glow", "no row of low"),
        ("mean of=low recipe=0123abcd", "no row of low"),
        ("mean of=nonsense", "nonsense"),
        ("mean flow=realnvp", "give one of="),
        ("mean of=low color=red", "no such column"),
        ("mean low", "'low' is not KEY=VALUE"),
        ("deviation of=low", "no such number of one seed"),
        ("sql DELETE FROM results", "only SELECT"),
        ("picture board", "name its file"),
    ],
)
def test_what_cannot_be_made_is_named(
    store: db.Store, tmp_path: Path, asked: str, said: str
) -> None:
    with pytest.raises(UserError, match=re.escape(f"<!-- {asked}")) as refused:
        findings.make_page(f"a <!-- {asked} -->1<!-- end -->", tmp_path, store)
    assert said in str(refused.value)


def test_a_claim_without_any_results_is_a_decision_not_measured(
    store: db.Store, tmp_path: Path
) -> None:
    made = findings.make_page("\n<!-- decisions --><!-- end -->", tmp_path, store)
    time = "| low costs no training time (section 3.4) | time | - | - | not measured |"
    assert [line for line in made.splitlines() if "| time |" in line] == [time]


@pytest.mark.parametrize(
    ("other", "alike"),
    [
        ("low: 3.250 ± 0.012, n = 6", True),
        ("low: 3.251 ± 0.012, n = 6", True),  # another order of summation rounds otherwise
        ("low: 3.253 ± 0.012, n = 6", False),
        ("low: -3.250 ± 0.012, n = 6", False),
        ("high: 3.250 ± 0.012, n = 6", False),
        ("low: 3.250 ± 0.012, n = 6, 7", False),
    ],
)
def test_pages_are_alike_where_their_numbers_are(other: str, alike: bool) -> None:
    page = "low: 3.250 ± 0.012, n = 6"
    assert findings.is_alike(page, other, exact=False) is alike
    assert findings.is_alike(page, other, exact=True) is (page == other)


@pytest.mark.integration
def test_what_low_keeps_by_its_maps_is_what_its_tables_kept() -> None:
    query = (
        "SELECT kept FROM index_tables JOIN trial_results USING (trial_id) "
        "WHERE split = 1 AND protocol = 'plain' AND factorization = 'LLL' AND budget = 1000 "
        "AND map_options IS NULL AND recipe_id LIKE 'aef05e23%' AND dataset = 'cifar10-16'"
    )
    with connect("reference") as store:
        asked = "lattices flow=realnvp dataset=cifar10-16"
        made = findings.make_page(f"\n<!-- {asked} --><!-- end -->", ROOT, store)
        tables = store.sql(query)["kept"]
    kept = np.array([np.unpackbits(np.frombuffer(table, np.uint8)) for table in tables])
    rows = kept.reshape(-1, 3, 8, 2, 8, 2).all(axis=5).mean(axis=(2, 4))  # seed, colour, row
    red, blue = (rows[:, 0, 0] > 0.5).sum(), (rows[:, 2, 1] > 0.5).sum()
    (row,) = [line for line in made.splitlines() if line.startswith("| realnvp | cifar10-16")]
    assert f"| {len(tables)} | top row {red}, " in row
    assert f"| bottom row {blue} |" in row


def test_a_page_with_other_numbers_is_named(store: db.Store, tmp_path: Path) -> None:
    for number, name in enumerate(findings.PAGES):
        page = tmp_path / name
        page.parent.mkdir(exist_ok=True)
        found = "3.250" if number else "3.350"
        page.write_text(f"at <!-- mean of=low flow=realnvp -->{found}<!-- end -->")
    assert findings.find_differences(tmp_path, store, exact=False) == [findings.PAGES[0]]


def test_what_no_training_takes_is_measured_after_the_launch_that_would_decide() -> None:
    with connect("reference") as store:
        found = read_verdicts(store, measure="kid", flow="resflow").apart
    (one,) = [one for one in found if one.claim.key == "low-random-local"]
    where = ["--db", "own results.db"]
    launch, measure = next_command(one, where).split(" && ")
    assert launch.startswith("lcma launch flows --seeds ")
    first, last = map(int, launch.split()[4].split("-"))
    assert one.n + last - first + 1 == one.seeds
    with connect("reference") as store:
        there = store.results(flow="resflow")["seed"]
    assert first == there.max() + 1, "what is there and lacks the measure has no weights"
    assert launch.endswith(" --db 'own results.db'")
    assert measure == "lcma measure kid --samples 500 --db 'own results.db'", "as all of its kind"


def test_what_is_said_of_pairs_is_so_in_the_reference() -> None:
    """Results of `low` and of the conventional rule hardly go together over seeds."""
    with connect("reference") as store:
        claims = [one for one in read_verdicts(store).verdicts if one.n >= 6]
    pairs = [one.comparison.rows for one in claims if one.claim.key == "low-conventional"]
    found = []
    for low, own in pairs:
        seeds = sorted(low.by_seed.keys() & own.by_seed.keys())
        values = [[row.by_seed[seed] for seed in seeds] for row in (low, own)]
        found.append(statistics.correlation(*values))
    assert len(found) > 9
    assert max(map(abs, found)) < 0.65
    assert abs(statistics.median(found)) < 0.2
    assert "hardly do" in MEANINGS["difference"][1]
    assert "between -0.6 and +0.6" in (ROOT / "docs" / "verdicts.md").read_text()


def test_a_claim_whose_words_differ_between_models_is_named_in_short() -> None:
    with connect("reference") as store:
        found = list_decisions(read_verdicts(store))
    texts = {row[1]: row[0] for row in found.rows}
    pattern = "no regular pattern that was tried beats {} by more than 0.024 bits/dim"
    assert texts["low-patterns"] == pattern.format("low")
    assert texts["conventional-patterns"] == pattern.format("conventional")
    assert texts["first-split"] == "the first letter of a word matters, and more than any other"
    assert texts["low-conventional"] == "low gives fewer bits/dim than conventional"
