"""`lcma budgets` on a database of each engine whose budget curve is known."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from tests.db.conftest import COST
from tests.harness.cli.conftest import Lcma, output_of, refused, words_of
from tests.harness.show import svg
from tests.harness.show.conftest import RECIPE, STEPS, Filler

pytestmark = pytest.mark.usefixtures("by_default")

BUDGETS = (0, 30, 100, 300, 1000)
SEEDS = range(6)
BATCH = RECIPE.optimization.batch


def compute_bits(budget: int, seed: int) -> float:
    """Return bits/dim that are 0.0094 above the longest budget at 100 steps, 0.03 at 30."""
    noise = np.random.default_rng([seed, budget]).normal() * 2e-4
    return 4.0 + 0.1 * seed + 0.05 * float(np.exp(-budget / 60)) + noise


def fill(folder: Path, url: str | None = None) -> str:
    """Make a database with a curve of LL, and one budget of HH; return its URL."""
    filler = Filler(folder, url)
    filler.data()
    for seed in SEEDS:
        for shorter, budget in pairwise((0, *BUDGETS)):
            filler.maps(seed, budget, first_step=shorter)
            filler.finish(filler.plan("LL", seed, budget=budget), compute_bits(budget, seed))
        filler.finish(filler.plan("HH", seed, budget=1000), 4.4)
        filler.finish(filler.plan("checkerboard-even", seed), 4.02 + 0.1 * seed)
    filler.finish(filler.plan("checkerboard-even", 9), 9.0)  # of no budget's seeds
    filler.store.close()
    return filler.url


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A database that is only read."""
    return fill(tmp_path_factory.mktemp("budgets"))


def test_a_curve_is_tabulated_and_drawn(lcma: Lcma, in_tmp: Path) -> None:
    out = output_of(lcma("budgets", "--factorization", "low", "--format", "png"))
    text = " ".join(out.split())
    assert "photos16 (u8), realnvp, tiny: low (LL)" in text
    assert "100 steps are enough: from there on no budget is worse than 1000 steps by more" in text
    (picture,) = (in_tmp / "lcma-pictures").iterdir()
    assert picture.name in text
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert max(len(line) for line in out.splitlines() if ".png" not in line) <= 80


@pytest.mark.slow_on("postgresql")
@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_programs_get_every_number(
    request: pytest.FixtureRequest, engine: str, lcma: Lcma, url: str, in_tmp: Path
) -> None:
    if engine == "postgresql":
        url = fill(in_tmp, request.getfixturevalue("current_postgres_url"))
    code, out, _ = lcma("budgets", "--json", "--db", url)
    assert code == 0
    curves = {record["key"]["factorization"]: record for record in json.loads(out)}
    assert set(curves) == {"LL", "HH"}
    low = curves["LL"]
    assert [row["budget"] for row in low["rows"]] == list(BUDGETS)
    smallest = low["smallest"]
    assert (smallest["budget"], smallest["failed"], smallest["longest"]) == (100, 30, 1000)
    assert (smallest["margin"], smallest["test"]["n"]) == (0.01, len(SEEDS))
    for k, row in enumerate(low["rows"]):
        assert len(row["by_seed"]) == row["n"] == len(SEEDS)
        bits = [compute_bits(row["budget"], seed) for seed in SEEDS]
        assert row["holdout"] == pytest.approx(np.mean(bits))
        # Each segment took as long. A pretraining counts all segments up to its budget; the map of
        # the fresh flow has none.
        segments = max(1, k)
        assert row["pretraining_seconds"] == pytest.approx(COST.cpu_seconds * segments)
        assert row["seconds"] == pytest.approx(COST.cpu_seconds * (segments + 1))
        assert row["images"] == BATCH * (STEPS + row["budget"])
    conventional = low["conventional"]
    assert conventional["holdout"] == pytest.approx(4.02 + 0.1 * np.mean(SEEDS))
    assert conventional["images"] == BATCH * STEPS
    assert conventional["on_front"]
    assert low["rows"][-1]["from_longest"] is conventional["from_conventional"] is None
    assert conventional["from_longest"]["mean"] == pytest.approx(0.02, abs=1e-3)
    assert [row["on_front"] for row in low["rows"]] == [False, False, True, True, True]
    # The maps of one seed are the same at all budgets here.
    assert {row["overlap"] for row in low["stability"]} == {1.0}
    assert {(row["budget"], row["split"]) for row in low["stability"]} == {
        (budget, split) for budget in BUDGETS for split in (1, 2)
    }
    assert curves["HH"]["smallest"]["budget"] is None
    assert not list(in_tmp.glob("lcma-pictures*")), "drawn only if asked for"
    assert "--budget" in curves["HH"]["answer"]


@pytest.mark.integration
def test_options_choose_margin_seeds_and_pictures(lcma: Lcma) -> None:
    low = ("budgets", "--factorization", "low")
    for margin, budget in (("0.002", 300), ("0.04", 30), ("0.06", 0)):
        (record,) = json.loads(lcma(*low, "--margin", margin, "--json")[1])
        assert record["smallest"]["budget"] == budget
        assert f"by more than {margin} bits/dim" in record["answer"]
    (record,) = json.loads(lcma(*low, "--seed", "1", "--json")[1])
    assert {row["n"] for row in record["rows"]} == {1}
    assert {row["seeds"] for row in record["stability"]} == {1}
    assert record["conventional"]["n"] == 1
    assert "Pareto front over" in words_of(lcma(*low, "--out", "own/new"))
    assert {path.suffix for path in Path("own/new").iterdir()} == {".png"}
    assert lcma(*low, "--format", "svg", "--out", "vector")[0] == 0
    (picture,) = Path("vector").iterdir()
    texts = svg.texts(picture)
    assert {"bits/dim on holdout", "budget: steps of pretraining", "margin, 0.01"} <= set(texts)
    assert svg.words(picture)[0].startswith("photos16 (u8), realnvp, tiny: low (LL)")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--margin 0", "--margin 0"),
        ("--margin nan", "--margin nan"),
        ("--out one.PNG", "one.PNG is not a folder"),
    ],
)
def test_mistakes_are_one_line(lcma: Lcma, in_tmp: Path, arguments: str, message: str) -> None:
    refused(lcma("budgets", *arguments.split()), message)
    assert list(in_tmp.iterdir()) == []


def test_curves_of_a_single_budget_are_shown_if_there_are_no_others(lcma: Lcma) -> None:
    out = output_of(lcma("budgets"))
    assert "Left out: 1 curve of a single budget." in out
    assert ("low (LL)" in out, "high (HH)" in out) == (True, False)
    assert "high (HH)" in lcma("budgets", "--factorization", "high")[1]
