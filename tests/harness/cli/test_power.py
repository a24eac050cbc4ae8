"""What the seeds of a plan could show, from earlier results whose spread is known."""

import dataclasses
import itertools
import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from scipy import stats

import lcma
from lcma import db
from lcma.harness import shards
from lcma.harness.cli import main as cli
from lcma.harness.place import Place
from lcma.harness.report.power import summarize_power
from lcma.harness.results.power import compute_power
from lcma.harness.results.verdicts import PairedComparison, decide_claims, make_verdicts
from lcma.harness.run.plan import list_histories, make_nodes, make_plan, register_plan
from lcma.harness.run.prediction import name_cpu, predict_hours, predict_power
from lcma.sweeps import plugins
from lcma.sweeps import spec as specs
from tests.db.conftest import ENVIRONMENT, contribution_map, result
from tests.harness.conftest import SMALL, merged
from tests.harness.report.synthetic import DEMO, board, noisy, rows

SWEEP = merged(
    SMALL,
    {
        "matrix": {
            "factorization": ["conventional", "checkerboard-odd", "random-local", "words"],
            "budget": [10, 20],
        },
        "recipe": {"model": {"splits": 2}},
        "seeds": 8,
    },
)
"""Three factorizations without maps, and four words at two budgets each."""

Bits = Callable[[str, int | None, int], float]


def spread_bits(factorization: str, budget: int | None, seed: int) -> float:
    """Bits/dim with noise of the seed, and other noise of each row of its own."""
    name = [*factorization.encode(), budget or 0]
    shared = np.random.default_rng(seed).normal(scale=0.3)
    return float(4 + shared + np.random.default_rng([seed, *name]).normal(scale=0.02))


class Earlier:
    """A database with results, and the plan of the sweep against it."""

    def __init__(self, place: Place, capsys: Any, folder: Path) -> None:
        self.place, self.store, self._capsys = place, db.connect(place.db), capsys
        self.file = folder / "small.yaml"
        self.file.write_text(yaml.safe_dump(SWEEP))
        self.store.add_environment(ENVIRONMENT)

    def add(
        self,
        seeds: int,
        bits: Bits = spread_bits,
        *,
        only: str = "",
        seconds: float = 0.0,
        segments: float | None = None,
        environment: db.Environment = ENVIRONMENT,
        sweep: dict[str, Any] = SWEEP,
    ) -> None:
        """Add results of the sweep at so many seeds, each after so many seconds of training, and
        maybe pretrainings, of which each segment takes so many."""
        spec = specs.check(merged(sweep, {"seeds": seeds}), "test")
        plan = make_plan(spec, self.place, self.store)
        register_plan(plan, self.place, self.store)
        for node in make_nodes(plan, self.place, owner="o", device="cpu"):
            trial, job = node.work.trial, node.work.job
            if (segments is None) if trial is None else (only not in trial.factorization):
                continue
            claim = self.store.claim(
                job.id,
                owner="o",
                host="h",
                pid=1,
                environment_id=self.store.add_environment(environment),
                device="cpu",
                threads=1,
                lease_seconds=600.0,
            )
            if not isinstance(claim, db.Claim):  # it is done
                continue
            if trial is None:
                cost = db.Cost(seconds=segments or 0.0, cpu_seconds=1.0, images_per_second=1e9)
                made = dataclasses.replace(
                    contribution_map(1, job.steps),
                    pretraining_id=job.pretraining_id,
                    data_digest=job.data_digest,
                )
                assert self.store.finish(claim, "done", last_step=job.steps, cost=cost, maps=[made])
                continue
            value = bits(trial.factorization, trial.budget, trial.seed) * job.steps / 20
            found = dataclasses.replace(result(trial.id, value), data_digest=job.data_digest)
            cost = db.Cost(seconds=seconds, cpu_seconds=1.0, images_per_second=8.0)
            assert self.store.finish(claim, "done", last_step=job.steps, cost=cost, result=found)

    def run(self, *command: str) -> str:
        with pytest.raises(SystemExit) as ended:
            cli.main(list(command))
        assert not ended.value.code
        return str(self._capsys.readouterr().out)

    def text(self, *options: str) -> str:
        return self.run("plan", str(self.file), *options)

    def plan(self, *options: str) -> dict[str, dict[str, Any]]:
        """What `lcma plan --json` says of each comparison, by its name."""
        found = json.loads(self.text("--json", *options))["power"]["comparisons"]
        names = [one["comparison"] for one in found]
        assert len(set(names)) == len(names), "each comparison once"
        return dict(zip(names, found, strict=True))


@pytest.fixture(params=["sqlite", "postgresql"])
def earlier(
    request: pytest.FixtureRequest,
    place: Place,
    capsys: Any,
    in_tmp: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Earlier:
    url = place.db
    if request.param == "postgresql":
        url = str(request.getfixturevalue("current_postgres_url"))
    monkeypatch.setenv("LCMA_DB", url)
    monkeypatch.setenv("LCMA_DATA", str(place.data))
    monkeypatch.setenv("COLUMNS", "200")
    return Earlier(dataclasses.replace(place, db=url), capsys, in_tmp)


def differences(seeds: int, weights: Mapping[tuple[str, int | None], float]) -> list[float]:
    return [
        sum(weight * spread_bits(*row, seed) for row, weight in weights.items())
        for seed in range(seeds)
    ]


PAIR = "low (LL) - checkerboard-even"

PAIRED = {("LL", 20): 1.0, ("checkerboard-even", None): -1.0}


@pytest.mark.slow_on("postgresql")
def test_without_earlier_results_a_line_says_what_gives_them(earlier: Earlier) -> None:
    text = earlier.text("--seeds", "6")
    said = "How many seeds are enough for realnvp on photos8 is not known: no two rules of the"
    assert said in text
    assert f"`lcma launch {earlier.file} --seeds 3` gives a first spread." in text
    found = earlier.plan()
    assert {one["spread"] for one in found.values()} == {None}
    assert found[PAIR]["n"] == 8
    assert set(found[PAIR]["claims"]) == {"low-conventional", "low-better-phase"}


@pytest.mark.slow_on("postgresql")
def test_the_spread_of_a_comparison_is_that_of_its_own_pairs(earlier: Earlier) -> None:
    """All comparisons of verdicts are there, and the effects of letters."""
    earlier.add(7)
    found = earlier.plan("--seeds", "12")
    words = {(a + b, 20): 1.0 for a, b in itertools.product("LH", repeat=2)}
    expected = {
        PAIR: PAIRED,
        "low (LL) - checkerboard-odd": {("LL", 20): 1.0, ("checkerboard-odd", None): -1.0},
        "low (LL) - random-local": {("LL", 20): 1.0, ("random-local", None): -1.0},
        "low (LL) - LH": {("LL", 20): 1.0, ("LH", 20): -1.0},
        "LH - HL": {("LH", 20): 1.0, ("HL", 20): -1.0},
        "HL - high (HH)": {("HL", 20): 1.0, ("HH", 20): -1.0},
        "effect of L at split 1": {w: 0.5 if w[0][0] == "L" else -0.5 for w in words},
        "effect of L at split 2": {w: 0.5 if w[0][1] == "L" else -0.5 for w in words},
        "effect at split 1 - at split 2": {("LH", 20): 1.0, ("HL", 20): -1.0},
        "low after 20 - after 10 pretraining steps": {("LL", 20): 1.0, ("LL", 10): -1.0},
    }
    del expected["effect at split 1 - at split 2"]  # the same as LH - HL
    assert sorted(found) == sorted(expected)
    assert set(found["LH - HL"]["claims"]) == {"table4-order", "first-split"}
    for name, weights in expected.items():
        deviation = np.std(differences(7, weights), ddof=1)
        spread = found[name]["spread"]
        assert spread["deviation"] == pytest.approx(deviation), name
        assert (spread["seeds"], spread["rows"], spread["freedom"]) == (7, None, 6)
        upper = deviation * math.sqrt(6 / stats.chi2.ppf(0.2, 6))
        assert spread["upper"] == pytest.approx(upper)
        assert found[name]["n"] == 12


@pytest.mark.slow_on("postgresql")
def test_every_comparison_of_verdicts_is_planned_with_its_spread(earlier: Earlier) -> None:
    sweep = merged(SWEEP, {"seeds": 7})
    earlier.file.write_text(yaml.safe_dump(sweep))
    earlier.add(7, sweep=sweep)
    planned = json.loads(earlier.text("--json"))["power"]["comparisons"]
    judged = json.loads(earlier.run("verdicts", "--json"))
    claims = [one["claim"] for one in (*judged["verdicts"], *judged["apart"])]
    claims = [one for one in claims if one["unit"] == "bits/dim"]
    keys = {"low-conventional", "low-better-phase", "low-random-local", "budget"}
    assert {one["key"] for one in claims} == keys | {"table4-order", "first-split"}
    for claim in claims:
        own = [one["spread"]["deviation"] for one in planned if claim["key"] in one["claims"]]
        for one in claim["comparisons"]:
            deviation = np.std(one["differences"], ddof=1)
            assert any(deviation == pytest.approx(each) for each in own), one["name"]


def power(size: float, n: int, level: float) -> float:
    """Of the two-sided paired t-test, by scipy's non-central t."""
    edge, shift = stats.t.ppf(1 - level / 2, n - 1), size * math.sqrt(n)
    below = np.nan_to_num(stats.nct.cdf(-edge, n - 1, shift))  # far away it has no number
    return float(stats.nct.sf(edge, n - 1, shift) + below)


@pytest.mark.slow_on("postgresql")
def test_what_n_shows_and_how_many_seeds_a_difference_needs(earlier: Earlier) -> None:
    earlier.add(8)
    found = earlier.plan()
    assert {name: one["family_size"] for name, one in found.items() if one["family_size"] > 1} == {
        f"low (LL) - {other}": 3
        for other in ("checkerboard-even", "checkerboard-odd", "random-local")
    }
    for one in found.values():
        level = 0.05 / one["family_size"]
        assert one["level"] == pytest.approx(level)
        deviation = one["spread"]["deviation"]
        assert power(one["detectable"] / deviation, 8, level) == pytest.approx(0.8, abs=1e-6)
        assert [need["difference"] for need in one["needed"]] == [0.01, 0.02, 0.05]
        for need in one["needed"]:
            for seeds, spread in (
                (need["seeds"], deviation),
                (need["seeds_at_upper"], one["spread"]["upper"]),
            ):
                size = need["difference"] / spread
                assert power(size, seeds, level) >= 0.8
                assert seeds == 6 or power(size, seeds - 1, level) < 0.8
    verdicts = json.loads(earlier.run("verdicts", "--json"))
    judged = [*verdicts["verdicts"], *verdicts["apart"]]
    said = {one["comparison"]: one["test"]["detectable"] for one in judged}
    alone = [name for name in said if name in found and found[name]["family_size"] == 1]
    assert "low after 20 - after 10 pretraining steps" in alone
    for name in alone:
        assert found[name]["detectable"] == pytest.approx(said[name]), "the words of verdicts"


@pytest.mark.slow
def test_few_seeds_are_pooled_over_all_rows_of_the_recipe(earlier: Earlier) -> None:
    earlier.add(3)
    found = earlier.plan()
    names = [(one, None) for one in ("checkerboard-even", "checkerboard-odd", "random-local")]
    names += [(a + b, budget) for a, b in itertools.product("LH", repeat=2) for budget in (10, 20)]
    table = np.array([[spread_bits(*name, seed) for seed in range(3)] for name in names])
    rest = table - table.mean(0) - table.mean(1)[:, None] + table.mean()
    variance = (rest**2).sum() / (10 * 2)
    spread = found[PAIR]["spread"]
    assert (spread["rows"], spread["seeds"]) == (11, 3)
    assert spread["freedom"] == pytest.approx(20)
    assert spread["deviation"] == pytest.approx(math.sqrt(2 * variance))
    effect = found["effect of L at split 1"]["spread"]
    assert effect["deviation"] == pytest.approx(math.sqrt(variance)), "of four words, halves"
    assert "11 x 3" in earlier.text()


@pytest.mark.slow_on("postgresql")
def test_a_row_without_results_takes_the_spread_of_the_others(earlier: Earlier) -> None:
    earlier.add(8, only="checkerboard")
    found = earlier.plan()[PAIR]["spread"]
    of = differences(8, {("checkerboard-even", None): 1.0, ("checkerboard-odd", None): -1.0})
    assert (found["rows"], found["seeds"], found["freedom"]) == (2, 8, pytest.approx(7))
    assert found["deviation"] == pytest.approx(np.std(of, ddof=1))


@pytest.mark.slow_on("postgresql")
@pytest.mark.parametrize(
    "setting", ["training.steps=30", "model.architecture.width=8", "optimization.batch=4"]
)
def test_another_length_or_recipe_is_another_kind(earlier: Earlier, setting: str) -> None:
    earlier.add(8)
    assert {one["spread"] for one in earlier.plan("--set", setting).values()} == {None}


@pytest.mark.slow_on("postgresql")
def test_one_seed_has_no_spread(earlier: Earlier) -> None:
    earlier.add(1)
    assert {one["spread"] for one in earlier.plan().values()} == {None}


@pytest.mark.slow_on("postgresql")
def test_fewer_than_six_seeds_show_nothing(earlier: Earlier) -> None:
    earlier.add(8)
    found = earlier.plan("--seeds", "5")
    assert {one["detectable"] for one in found.values()} == {None}
    assert min(need["seeds"] for one in found.values() for need in one["needed"]) == 6
    assert "nothing" in earlier.text("--seeds", "5").split("What its seeds could show")[1]


@pytest.mark.slow_on("postgresql")
@pytest.mark.parametrize(
    ("spread", "seeds", "said"),
    [
        (3000.0, 2, "2 seeds decide nothing; the difference spreads by "),
        (3000.0, 6, "6 seeds show differences from "),
        (0.03, 3, "0.05 bits/dim 9 to 11, as far as the spread is known, would do"),
        (0.0001, 8, "8 seeds show differences from 9.7e-05 on."),
    ],
)
def test_a_launch_ends_with_what_its_seeds_can_show(
    earlier: Earlier, spread: float, seeds: int, said: str
) -> None:
    def bits(factorization: str, budget: int | None, seed: int) -> float:
        return 4 + spread * (spread_bits(factorization, budget, seed) - 4) / 0.02

    earlier.add(seeds, bits)
    spec = specs.check(merged(SWEEP, {"seeds": seeds}), "test")
    plan = make_plan(spec, earlier.place, earlier.store)
    predicted = predict_hours(plan, earlier.store, plan.spec.gpus)
    power = predict_power(plan, list_histories(earlier.store), predicted)
    sentence = summarize_power(power, lambda seeds: f"lcma launch --seeds {seeds}", None)
    assert said in str(sentence)


@pytest.mark.slow_on("postgresql")
def test_a_launch_says_how_long_more_seeds_take_on_its_own_device(earlier: Earlier) -> None:
    fast = dataclasses.replace(ENVIRONMENT, device="a faster one")
    earlier.add(2, seconds=36.0, segments=18.0)
    earlier.add(3, seconds=3.6, segments=1.8, environment=fast)
    plan = make_plan(specs.check(merged(SWEEP, {"seeds": 3}), "test"), earlier.place, earlier.store)
    power = predict_power(
        plan, list_histories(earlier.store), predict_hours(plan, earlier.store, 0.0)
    )

    def said(device: str | None) -> str:
        return str(summarize_power(power, str, device))

    own, other = (name_cpu(one.device, one.cpu_capability) for one in (ENVIRONMENT, fast))
    assert f"in about {3 * (36 * 11 + 18 * 2) / 60:.0f} min here" in said(own)
    assert f"in about {3 * (3.6 * 11 + 1.8 * 2):.0f} s here" in said(other)
    assert f"in about {3 * (3.6 * 11 + 1.8 * 2):.0f} s on {other}: `6`" in said(None)
    assert "in about" not in said("one without a history")


@pytest.mark.slow_on("postgresql")
def test_seeds_come_with_the_device_hours_of_the_sweep(earlier: Earlier) -> None:
    """Of all eleven trainings and two segments of a seed, where all have a history."""
    earlier.add(8, seconds=36.0)
    for need in earlier.plan()[PAIR]["needed"]:
        assert need["hours"] == {}, "no pretraining has a history"
    assert "Device hours of these trainings" not in earlier.text()
    earlier.add(9, seconds=36.0, segments=18.0)
    device = f"CPU ({ENVIRONMENT.device}, {ENVIRONMENT.cpu_capability})"
    of_a_seed = (11 * 36 + 2 * 18) / 3600
    needed = earlier.plan()[PAIR]["needed"]
    for need in needed:
        assert need["hours"] == {device: pytest.approx(need["seeds"] * of_a_seed)}
    text = earlier.text()
    assert f"Device hours of these trainings from the start on {device}: " in text
    most = max(one["needed"][2]["seeds"] for one in earlier.plan().values())
    assert f"{most} seeds for all at 0.05 {most * of_a_seed * 60:.0f} min." in text


@pytest.mark.slow_on("postgresql")
def test_hours_are_of_a_seed_of_which_nothing_is_left_out(earlier: Earlier) -> None:
    earlier.add(8, seconds=36.0, segments=18.0)
    left_out = {"seed": 0, "factorization": ["words", "random-local"]}
    earlier.file.write_text(yaml.safe_dump(merged(SWEEP, {"exclude": [left_out]})))
    of_a_seed = (11 * 36 + 2 * 18) / 3600
    for need in earlier.plan()[PAIR]["needed"]:
        assert list(need["hours"].values()) == [pytest.approx(need["seeds"] * of_a_seed)]


@pytest.mark.slow_on("postgresql")
def test_nothing_is_said_where_nothing_is_compared(earlier: Earlier) -> None:
    matrix = {"factorization": ["conventional", "checkerboard-odd", "random-local"]}
    earlier.file.write_text(yaml.safe_dump(merged(SWEEP, {"matrix": matrix})))
    assert earlier.plan() == {}
    assert "seeds are enough" not in earlier.text()


@pytest.mark.slow_on("postgresql")
def test_the_first_database_with_a_spread_is_taken(earlier: Earlier, tmp_path: Path) -> None:
    other = db.connect(f"sqlite:///{tmp_path / 'other.db'}")
    plan = make_plan(specs.check(SWEEP, "test"), earlier.place, earlier.store)

    def sources() -> set[str | None]:
        found = compute_power(plan.expansion.trials, plan.digests, (other, earlier.store))
        return {None if one.spread is None else one.spread.source for one in found.comparisons}

    assert sources() == {None}
    earlier.add(8)
    assert sources() == {earlier.store.name}
    first = Earlier.__new__(Earlier)
    first.place = dataclasses.replace(earlier.place, db=other.url)
    first.store = other
    other.add_environment(ENVIRONMENT)
    first.add(2, only="checkerboard")
    assert sources() == {other.name}


@pytest.mark.integration
@pytest.mark.slow_on("postgresql")
def test_the_reference_says_what_the_own_database_does_not(
    earlier: Earlier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    earlier.add(8)
    shown = earlier.plan()[PAIR]["spread"]
    evidence = tmp_path / "evidence"
    evidence.mkdir()
    earlier.run("db", "publish", str(evidence / "001.sqlite.xz"))
    monkeypatch.setattr(shards, "FOLDER", evidence)
    monkeypatch.setenv("LCMA_CACHE", str(tmp_path / "cache"))
    assert earlier.plan()[PAIR]["spread"] == shown, "the own database comes first"
    own = tmp_path / "own.db"
    spread = earlier.plan("--db", str(own))[PAIR]["spread"]
    assert Path(spread["source"]) in (tmp_path / "cache" / "reference").iterdir()
    assert spread | {"source": shown["source"]} == shown
    assert not own.exists()


@pytest.mark.slow_on("postgresql")
def test_a_plan_in_python_has_the_same(earlier: Earlier) -> None:
    earlier.add(8)
    plan = lcma.plan(SWEEP, earlier.store, data=earlier.place.data)
    assert plan.power is not None
    frame = plan.power.to_pandas().set_index("comparison")
    shown = earlier.plan()
    assert list(frame.index) == list(shown)
    assert frame.loc[PAIR, "spread"] == shown[PAIR]["spread"]["deviation"]
    assert frame.loc[PAIR, "seeds_for_0.02"] == shown[PAIR]["needed"][1]["seeds"]
    assert repr(plan.power) == "<power of 9 comparisons, 9 with a spread>"


def of_deviation(deviation: float) -> Bits:
    """Bits/dim of which each difference to `low` has exactly this spread over eight seeds."""
    noise = np.array([0.3, -1.1, 0.8, 0.1, -0.6, 1.2, -0.4, -0.3])
    noise *= deviation / noise.std(ddof=1)
    return lambda name, budget, seed: 4.0 + (0.0 if set(name) == {"L"} else float(noise[seed]))


@pytest.mark.slow_on("postgresql", "None-of1-3", "6-of1-3")
@pytest.mark.parametrize(("of", "size"), [(("checkerboard-even", "LL"), 1), (DEMO, 3)])
@pytest.mark.parametrize("seeds", [6, None])
def test_a_verdict_has_the_stated_power_within_five_points(
    earlier: Earlier, of: tuple[str, ...], size: int, seeds: int | None
) -> None:
    """With what the plan says that its seeds show, and with as many as it says that 0.05 needs."""
    deviation = 0.06
    earlier.add(8, of_deviation(deviation))
    named = [name for name in of if set(name) - {"L", "H"}]
    matrix = {"factorization": [*named, "low"], "budget": 20}
    earlier.file.write_text(yaml.safe_dump(merged(SWEEP, {"matrix": matrix})))
    options = () if seeds is None else ("--seeds", str(seeds))
    planned = earlier.plan(*options)[PAIR]
    assert planned["family_size"] == size
    assert planned["spread"]["deviation"] == pytest.approx(deviation)
    true = planned["detectable"] if seeds else 0.05
    n = seeds or planned["needed"][2]["seeds"]
    rng = np.random.default_rng(0)
    bits = noisy(dict.fromkeys([*named, "LLL"], 4.0), n, deviation, rng)
    claims = [one.claim for one in make_verdicts(board(rows(bits))).verdicts]
    family = [one for one in claims if one.family == "choice"]
    assert len(family) == size

    def draw(key: str) -> PairedComparison:
        mean = -true if key == "low-conventional" else 0.0
        return PairedComparison(key, dict(enumerate(rng.normal(mean, deviation, n).tolist())))

    sets = 1000
    supported = 0
    for _ in range(sets):
        drawn = [dataclasses.replace(one, comparisons=(draw(one.key),)) for one in family]
        decided = {one.claim.key: one.decision for one in decide_claims(drawn)}
        supported += decided["low-conventional"] == "supported"
    assert supported / sets == pytest.approx(0.8, abs=0.05)


@pytest.mark.parametrize("earlier", ["sqlite"], indirect=True)
def test_without_the_images_nothing_is_said_of_what_is_stored(
    earlier: Earlier, in_tmp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither how many seeds are enough, nor the hours, nor that there is no history."""
    earlier.add(7, seconds=10.0)
    monkeypatch.setenv("LCMA_DATA", str(in_tmp / "elsewhere"))
    text = earlier.text()
    prepare = "lcma data prepare photos8"
    said = "Nothing stored can be matched to images that are not prepared here, so what is called "
    assert f"{said}new may be there. First `{prepare}`." in text
    assert "How many seeds" not in text
    assert "no history" not in text
    hidden = "realnvp on photos8 (88 trainings, 16 segments of pretrainings)"
    assert f"not known before the images are prepared: {hidden}" in text
    assert "Next: lcma launch" in text, "which prepares them"


OWN_RULE = """
import numpy as np
import lcma


@lcma.factorization("columns", reads="maps")
def columns(shape, split, seed, values):
    return np.broadcast_to(np.arange(shape[2]) % 2 == 0, shape).copy()
"""


@pytest.mark.parametrize("earlier", ["sqlite"], indirect=True)
def test_a_rule_of_ones_own_is_compared_with_the_conventional_one(
    earlier: Earlier, in_tmp: Path
) -> None:
    """At each budget, with the spread of the recipe's other rows."""
    earlier.add(7)
    (in_tmp / "own.py").write_text(OWN_RULE)
    matrix = {"factorization": ["conventional", "columns"]}
    sweep = merged(SWEEP, {"plugins": "own.py", "matrix": matrix})
    earlier.file.write_text(yaml.safe_dump(sweep))
    try:
        found = json.loads(earlier.text("--json"))["power"]["comparisons"]
    finally:
        plugins.unload()
    assert [(one["comparison"], one["claims"], one["budget"]) for one in found] == [
        ("columns - checkerboard-even", ["board"], budget) for budget in (10, 20)
    ]
    assert {(one["n"], one["spread"]["rows"], one["spread"]["seeds"]) for one in found} == {
        (8, 11, 7)
    }


@pytest.mark.parametrize("earlier", ["sqlite"], indirect=True)
def test_no_launch_into_a_published_database_is_offered(
    earlier: Earlier, in_tmp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = earlier.text("--db", "reference")
    assert f"Next: lcma db merge reference\n      lcma launch {earlier.file}\n" in text
    assert f"`lcma launch {earlier.file} --seeds 3` gives a first spread" in text
    monkeypatch.setenv("LCMA_DB", "reference")
    own = in_tmp / "lcma.db"
    text = earlier.text()
    assert (
        f"lcma db merge reference --db {own}\n      lcma launch {earlier.file} --db {own}" in text
    )
    monkeypatch.setenv("LCMA_DATA", str(in_tmp / "elsewhere"))
    again = f"Next: lcma data prepare photos8\n      lcma plan {earlier.file} --db reference\n"
    assert again in earlier.text("--db", "reference")
