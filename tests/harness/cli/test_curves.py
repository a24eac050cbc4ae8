"""`lcma curves` on a database of each engine whose curves are known."""

import json
import math
import re
import resource
from pathlib import Path

import pytest

from lcma import db
from tests.db.conftest import COST
from tests.harness.cli.conftest import Lcma, output_of, refused, words_of
from tests.harness.show import svg
from tests.harness.show.conftest import STEPS, Filler
from tests.harness.show.site import HOSTILE
from tests.stores import add_metrics

EVERY = STEPS // 20
LAST = 20 * EVERY
TRAIN, HOLDOUT = "train_bits_per_dim", "holdout_bits_per_dim"
SEEDS = range(3)
RATES = {"checkerboard-even": 4.0, "random": 4.4, "LL": 4.2}


def value(end: float, seed: float, step: int) -> float:
    """Return a point of a curve that falls to ``end``, and 0.1 more for each seed."""
    return end + 0.1 * seed + 4 * math.exp(-8 * step / STEPS)


def metrics(end: float, seed: int, until: int = LAST) -> list[db.Metric]:
    """Return twenty points of train, and ten of holdout a little above them."""
    steps = range(EVERY, until + 1, EVERY)
    train = [db.Metric(TRAIN, step, value(end, seed, step)) for step in steps]
    return train + [
        db.Metric(HOLDOUT, step, value(end + 0.05, seed, step))
        for step in range(2 * EVERY, until + 1, 2 * EVERY)
    ]


def make_filler(folder: Path, url: str | None = None) -> Filler:
    filler = Filler(folder, url)
    filler.data()
    return filler


def fill(filler: Filler) -> str:
    """Add three factorizations of three seeds, and a pretraining to step 50 and from there to 100.

    Of `channel`, one seed is done, one diverged, one runs and one has not started.
    """
    facts = {"data_digest": "d" * 64, "standard_error": 0.1, "images": 100, "detail": ""}
    bars = (("png", 4.5), ("gaussian", 7.9))
    rows = tuple(db.Bar(name=name, bits_per_dim=bits, **facts) for name, bits in bars)
    filler.store.register(db.Registration(bars=rows), now=1.0)
    for name, end in RATES.items():
        for seed in SEEDS:
            budget = 100 if name == "LL" else None
            job = filler.plan(name, seed, budget=budget, sweep="s1")
            filler.finish(job, end, metrics=metrics(end, seed))
    filler.finish(filler.plan("channel", 0, sweep="s1"), 4.1, metrics=metrics(4.1, 0))
    points = [*metrics(4.1, 1, 5 * EVERY), db.Metric(TRAIN, 6 * EVERY, math.nan)]
    points.append(db.Metric(TRAIN, 7 * EVERY, 1e9))
    job = filler.plan("channel", 1, sweep="s1")
    filler.fail(job, "diverged", "no number", step=7 * EVERY, metrics=points)
    claim = filler.claim(filler.plan("channel", 2, sweep="s1"), now=3.0)
    assert add_metrics(filler.store, claim, metrics(4.1, 2, 8 * EVERY))
    filler.plan("channel", 3, sweep="s1")
    name = filler.pretraining(0)
    for first, last in ((0, 50), (50, 100)):
        job = db.PlannedJob.of_pretraining(name, "d" * 64, budget=last)
        filler.store.register(db.Registration(jobs=(job,)), now=1.0)
        points = [db.Metric(TRAIN, step, 9.0 - step / 100) for step in range(first + 10, last + 1)]
        claim = filler.claim(job, now=3.0)
        finish = {"metrics": points, "now": 4.0}
        assert filler.store.finish(claim, "done", last_step=last, cost=COST, **finish)
    filler.store.close()
    return filler.url


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A database that is only read."""
    return fill(make_filler(tmp_path_factory.mktemp("curves")))


@pytest.mark.usefixtures("by_default")
def test_curves_are_tabulated_and_drawn(lcma: Lcma, in_tmp: Path) -> None:
    out = output_of(lcma("curves"))
    end = value(4.05, 1, LAST)  # seed 1 is the mean of seeds 0, 1 and 2
    row = re.search("^checkerboard-even, conventional +3 +3 +- +(.*)", out, re.MULTILINE)
    assert row is not None
    assert f"{end:.4f}" in row[1].split()
    note = f"Lost: channel, seed 1 diverged at step {7 * EVERY} of {STEPS}."
    assert note in " ".join(out.split())
    (picture,) = (in_tmp / "lcma-pictures").iterdir()
    assert picture.name in out
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.usefixtures("by_default")
def test_without_room_for_its_addresses_no_picture_is_begun(lcma: Lcma, in_tmp: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (60 * 2**30, limits[1]))
    try:
        refused(lcma("curves"), "66 GiB of addresses", "allows 60: raise it with `ulimit -v")
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)
    assert list(in_tmp.iterdir()) == []


@pytest.mark.usefixtures("by_default")
def test_an_svg_has_the_lines_and_their_names(lcma: Lcma) -> None:
    for name in ("a", "b"):
        assert lcma("curves", "--format", "svg", "--out", name)[0] == 0
    picture, copy = (next(Path(name).iterdir()) for name in ("a", "b"))
    assert picture.read_bytes() == copy.read_bytes()
    assert svg.curves(picture) == 2 * 4 + 3, "two panels of four lines, and three differences"
    title, description = svg.words(picture)
    assert title == "Curves over training: photos16 (u8), realnvp, tiny"
    assert f"random {value(4.45, 1, LAST):.4f} at step {LAST} (n = 3)" in description
    gap = RATES["random"] - RATES["checkerboard-even"]
    assert f"random {gap:+.4f} ± 0.0000 at step {LAST} (n = 3)" in description
    words = " ".join(svg.texts(picture))
    for text in (
        *("checkerboard-even, conventional, n = 3", "low (LL), budget 100, n = 3"),
        *("random, n = 3", "channel, n = 1", "diverged or failed", "not done yet"),
        *("training step", "bits/dim, holdout", "bits/dim, train", "png 4.500"),
        "Lost: channel, seed 1 diverged",
    ):
        assert text in words, text
    assert "gaussian" not in words, "beyond the axis"
    explained = {mark for mark in MARKS if f"{mark}: " in words}
    assert explained == {*MARKS} - {"Bands"}, "three seeds are drawn one by one"


MARKS = ("Bands", "Bands of differences, which are paired by seed", "Thin lines", "Crosses")
MARKS += ("Rings", "Dotted")


@pytest.mark.slow_on("postgresql")
@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_programs_get_the_numbers_that_are_drawn(
    request: pytest.FixtureRequest, engine: str, lcma: Lcma, url: str, in_tmp: Path
) -> None:
    if engine == "postgresql":
        url = fill(make_filler(in_tmp, request.getfixturevalue("current_postgres_url")))
    code, out, _ = lcma("curves", "--json", "--db", url)
    assert code == 0
    (chart,) = json.loads(out)
    assert Path(chart["picture"]).is_file()
    assert [panel["name"] for panel in chart["panels"]] == [HOLDOUT, TRAIN]
    holdout, train = chart["panels"]
    lines = {line["factorization"]: line for line in train["lines"]}
    assert list(lines) == ["checkerboard-even", "LL", "random", "channel"]
    assert [line["conventional"] for line in train["lines"]] == [True, False, False, False]
    for name, end in RATES.items():
        assert lines[name]["mean"] == [
            [step, pytest.approx(value(end, 1, step))] for step in range(EVERY, LAST + 1, EVERY)
        ]
        assert [seed["seed"] for seed in lines[name]["seeds"]] == list(SEEDS)
    done, diverged, running = lines["channel"]["seeds"]
    assert lines["channel"]["mean"] == done["points"], "only of the seed that is done"
    assert [seed["in_mean"] for seed in (done, diverged, running)] == [True, False, False]
    assert (diverged["state"], diverged["step"]) == ("diverged", 7 * EVERY)
    steps = [step for step, _ in diverged["points"]]
    assert steps == [*range(EVERY, 6 * EVERY, EVERY), 7 * EVERY], "without the NaN"
    assert running["points"][-1] == [8 * EVERY, pytest.approx(value(4.1, 2, 8 * EVERY))]
    assert len(holdout["lines"][0]["mean"]) == 10
    assert chart["bars"] == {"png": 4.5, "gaussian": 7.9}


@pytest.mark.usefixtures("by_default", "no_pictures")
def test_lines_and_panels_can_be_chosen(lcma: Lcma) -> None:
    def names(*arguments: str) -> tuple[set[str], list[str]]:
        code, out, err = lcma("curves", "--json", *arguments)
        assert code == 0, err
        (chart,) = json.loads(out)
        lines = [line for panel in chart["panels"] for line in panel["lines"]]
        rules = {line["name"].split(",")[0] for line in lines}
        return rules, [panel["name"] for panel in chart["panels"]]

    rules, panels = {"checkerboard-even", "low (LL)", "random", "channel"}, [HOLDOUT, TRAIN]
    assert names() == names("s1") == names("demo") == names("--sweep", "s1") == (rules, panels)
    assert names("--name", HOLDOUT) == (rules, [HOLDOUT])
    for low in ("low", "LL"):
        assert names("--factorization", low)[0] == {"checkerboard-even", "low (LL)"}
    assert names("--budget", "100", "--flow", "realnvp", "--dataset", "photos16")[0] == rules
    assert names("--pretraining")[0] == rules | {"pretraining"}
    (chart,) = json.loads(lcma("curves", "p0", "--json")[1])
    (line,) = chart["panels"][0]["lines"]
    (seed,) = line["seeds"]
    assert [step for step, _ in seed["points"]] == list(range(10, 51)) + list(range(60, 101))
    trials = json.loads(lcma("sql", "SELECT id FROM flow_trials WHERE seed = 2", "--json")[1])
    ids = [row[0][:9] for row in trials["rows"]][:2]
    (chart,) = json.loads(lcma("curves", *ids, "--json")[1])
    seeds = [s for line in chart["panels"][0]["lines"] for s in line["seeds"]]
    assert [(s["subject"][:9] in ids, s["seed"]) for s in seeds] == [(True, 2)] * 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--budget 7", "no curves with --budget 7: there are 100"),
        ("--factorization rows", "there are LL, channel, checkerboard-even, random"),
        ("--name loss", f"no curve is called loss: there are {HOLDOUT}, {TRAIN}"),
        ("nothing", "no sweep 'nothing' in the database: it has demo"),
        ("demo --sweep s1", "exclude each other"),
        ("--out x.png", "x.png is not a folder"),
        ("--out /proc/nowhere", "choose another place with --out"),
    ],
)
@pytest.mark.usefixtures("by_default")
def test_mistakes_are_one_line(lcma: Lcma, in_tmp: Path, arguments: str, message: str) -> None:
    refused(lcma("curves", *arguments.split()), message)
    assert list(in_tmp.iterdir()) == []


def test_without_such_curves_the_next_command_is_named(lcma: Lcma, in_tmp: Path) -> None:
    filler = make_filler(in_tmp)
    refused(lcma("curves"), "lcma launch demo")
    job = filler.plan("rows", 0, sweep="s1")
    filler.fail(job, "code_error", "it broke")
    refused(lcma("curves"), "no curve yet: `lcma status` shows how far trainings are")
    refused(lcma("curves", "s1"), "no curve yet of the sweep demo")
    trial = str(job.trial_id)[:8]
    refused(lcma("curves", trial), f"`lcma logs {trial}`")
    filler.finish(filler.plan("rows", 1, sweep="s1"), 4.0, metrics=metrics(4.0, 1))
    refused(lcma("curves", "--flow", "glow"), "no curves with --flow glow: there are realnvp")
    assert not (in_tmp / "lcma-pictures").exists()


def test_all_sweeps_are_drawn_unless_one_is_named(
    lcma: Lcma, in_tmp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filler = make_filler(in_tmp)
    for sweep, rule in (("s1", "random"), ("s2", "channel")):
        job = filler.plan(rule, 0, sweep=sweep)
        filler.finish(job, 4.0, metrics=metrics(4.0, 0))
    (chart,) = json.loads(output_of(lcma("curves", "--dataset", "photos16", "--json")))
    names = [line["name"] for line in chart["panels"][0]["lines"]]
    assert names == ["random", "channel"]
    for sweep in ("s1", "s2"):
        output_of(lcma("curves", "--format", "svg", sweep))
    output_of(lcma("curves", "--format", "svg", "--sweep", "s2"))
    pictures = sorted(
        path.name.split("-realnvp-")[0] for path in Path("lcma-pictures").glob("*.svg")
    )
    assert pictures == ["curves-s1", "curves-s2"]
    (words,) = [" ".join(svg.texts(path)) for path in Path("lcma-pictures").glob("curves-s1*.svg")]
    assert not [mark for mark in MARKS if f"{mark}: " in words], "it has one line of one seed"
    monkeypatch.setattr("lcma.harness.cli.curves.MAX_PICTURES", 0)
    _, drawn, note = lcma("curves", "--json")
    (chart,) = json.loads(drawn)
    assert [line["name"] for line in chart["panels"][0]["lines"]] == ["channel"]
    assert "of the sweep launched last, demo: --sweep NAME chooses another" in note


@pytest.mark.integration
def test_of_many_lines_those_without_a_budget_or_with_the_longest_are_shown(
    lcma: Lcma, in_tmp: Path
) -> None:
    filler = make_filler(in_tmp)
    short = [db.Metric(TRAIN, step, 5.0 - step / STEPS) for step in range(1, 4)]
    long = [db.Metric(TRAIN, step, 5.0 - step / 2000) for step in range(1, 1501)]
    for budget in (10, 20, 30, 40):
        filler.finish(filler.plan("LL", 0, budget=budget, sweep="s1"), 4.0, metrics=short)
    for rule in range(9):
        filler.finish(filler.plan(f"mine{rule:02d}", 0, sweep="s1"), 4.0, metrics=short)
    for seed in range(13):
        filler.finish(filler.plan("channel", seed, sweep="s1"), 4.0, metrics=long)
    out = words_of(lcma("curves", "--format", "svg"))
    assert "12 of 14 lines are shown: choose others with --factorization or --budget" in out
    assert [f"budget {budget}" in out for budget in (40, 30, 20, 10)] == [True, True, False, False]
    (chart,) = json.loads(lcma("curves", "--json", "--factorization", "channel")[1])
    (line,) = chart["panels"][0]["lines"]
    assert line["n"] == 13
    thinned = [step for step, _ in line["seeds"][0]["points"]]
    assert thinned == [*range(1, 1501, 3), 1500]


@pytest.mark.filterwarnings("error")
def test_hostile_names_are_harmless(lcma: Lcma, in_tmp: Path) -> None:
    filler = Filler(in_tmp)
    names = (HOSTILE, "_$x_1$\x1b[31m\u202e", "]]>&amp;<!--")
    for name in names:
        digest = filler.data(f"{names.index(name):064d}", name)
        for rule in names:
            job = filler.plan(rule, 0, dataset=name, digest=digest, sweep="s1")
            filler.finish(job, 4.0, metrics=[db.Metric("<b>&_loss$", 3, 4.0)])
    out = output_of(lcma("curves", "--format", "svg"))
    assert "\x1b" not in out
    pictures = sorted((in_tmp / "lcma-pictures").iterdir())
    assert len(pictures) == len(names)
    for picture in pictures:
        words = "".join(svg.texts(picture))
        assert "_$x_1$\\x1b[31m\\u202e, n = 1" in words
        assert "<b>&" in words


def test_a_trial_to_be_rerun_and_one_whose_rerun_is_lost_keep_their_curves(
    lcma: Lcma, in_tmp: Path
) -> None:
    filler = make_filler(in_tmp)
    jobs = [filler.plan("rows", seed, sweep="s1") for seed in SEEDS]
    for seed, job in enumerate(jobs):
        filler.finish(job, 4.0, metrics=metrics(4.0, seed))
    filler.store.rerun([job.id for job in jobs[1:]], by="me", why="", now=10.0)
    filler.fail(jobs[2], "code_error", "it broke", step=3)
    (chart,) = json.loads(lcma("curves", "--json", "--name", TRAIN)[1])
    (line,) = chart["panels"][0]["lines"]
    assert line["n"] == len(SEEDS)
    assert line["mean"][-1] == [LAST, pytest.approx(value(4.0, 1, LAST))]
    assert {(seed["state"], seed["step"], seed["in_mean"]) for seed in line["seeds"]} == {
        ("done", STEPS, True)
    }


@pytest.mark.filterwarnings("error")
def test_while_no_trial_is_done_the_mean_ends_where_the_shortest_curve_does(
    lcma: Lcma, in_tmp: Path
) -> None:
    filler = make_filler(in_tmp)
    for seed, until in ((0, 4), (1, 7)):
        claim = filler.claim(filler.plan("rows", seed, sweep="s1"), now=3.0)
        assert add_metrics(filler.store, claim, metrics(4.0, seed, until * EVERY))
    huge = [db.Metric(TRAIN, step, 1e308 if step > 2 else -1e99) for step in range(1, 6)]
    filler.fail(filler.plan("rows", 2, sweep="s1"), "diverged", "too large", metrics=huge)
    not_finite = [db.Metric(TRAIN, 1, math.inf), db.Metric(TRAIN, 2, math.nan)]
    filler.fail(filler.plan("random", 0, sweep="s1"), "code_error", "it broke", metrics=not_finite)
    (chart,) = json.loads(lcma("curves", "--json", "--name", TRAIN)[1])
    empty, line = sorted(chart["panels"][0]["lines"], key=lambda line: line["n"])
    assert (empty["name"], empty["mean"], empty["seeds"][0]["points"]) == ("random", [], [])
    assert [step for step, _ in line["mean"]] == [k * EVERY for k in range(1, 5)]
    assert line["mean"][0][1] == pytest.approx(value(4.0, 0.5, EVERY))
    assert [seed["in_mean"] for seed in line["seeds"]] == [True, True, False]
    text = words_of(lcma("curves", "--format", "svg"))
    assert "random, seed 0 failed at step 7" in text
