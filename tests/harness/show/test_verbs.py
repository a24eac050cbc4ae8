"""The verbs that read, as typed."""

import dataclasses
import importlib
import json
import time
from pathlib import Path

import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from lcma import db
from lcma.sweeps.errors import UserError
from tests.harness.show import svg
from tests.harness.show.conftest import RECIPE
from tests.stores import beat

VERBS = ("board", "verdicts", "budgets", "curves", "maps", "samples", "sql", "export", "status")


@pytest.fixture(scope="session")
def app():
    found = typer.Typer()
    for verb in VERBS:
        found.command(name=verb)(getattr(importlib.import_module(f"lcma.harness.cli.{verb}"), verb))
    return found


@pytest.fixture
def lcma(app):
    """Run a verb; what it printed."""

    def run(*arguments: str) -> str:
        done = CliRunner().invoke(app, arguments)
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        assert done.exit_code == 0, done.output
        run.stderr = done.stderr
        return done.stdout

    return run


def test_board(lcma, filled):
    text = lcma("board")
    assert text.index("checkerboard-even *") < text.index("channel") < text.index("random ")
    assert "random" not in lcma("board", "--factorization", "channel")
    group = json.loads(lcma("board", "--json"))["groups"][0]
    assert group["rows"][0]["mean"] == pytest.approx(4.085)


def test_board_says_when_it_is_not_complete(lcma, filled):
    filled.plan("rows", 0)
    assert "Not complete: 1 trial is not done; `lcma status` shows it." in lcma("board")


def test_board_draws_its_differences(lcma, filled):
    assert "\nforest.svg\n" in lcma("board", "--picture", "forest.svg")
    assert "channel" in svg.texts(Path("forest.svg"))
    with pytest.raises(UserError, match=r"forest\.txt is no picture"):
        lcma("board", "--picture", "forest.txt", "--db", "nowhere.db")


def test_board_without_results(lcma, filler):
    text = lcma("board", "--flow", "realnvp")
    assert "No results yet." in text
    assert "lcma launch demo" in text
    assert json.loads(lcma("board", "--json"))["groups"] == []


def test_maps_have_pictures_and_every_instrument(lcma, filler):
    for seed, budget in ((0, 100), (0, 500), (1, 100)):
        filler.maps(seed, budget)
    found = json.loads(lcma("maps", "--json", "--out", "pics", "--seed", "0"))
    assert [(one["id"], one["seed"], one["budget"]) for one in found] == [
        ("p0@100", 0, 100),
        ("p0@500", 0, 500),
    ]
    for one in found:
        for kind in ("maps", "tables"):
            with Image.open(one["pictures"][kind]) as image:
                assert image.format == "PNG"
    assert len(list(Path("pics").iterdir())) == 3, "two budgets share a picture of maps"
    text = lcma("maps", "--budget", "500", "--flow", "realnvp", "--dataset", "photos16")
    assert "p0@500" in text
    assert "p0@100" not in text
    assert text.count("lcma-pictures/") == 2
    split = found[0]["splits"][1]
    assert split["split"] == 2
    (item,) = filler.store.maps(pretraining_id="p0", budget=100, split=2)
    for field in dataclasses.fields(item.statistics):
        assert split[field.name] == getattr(item.statistics, field.name)
    for word in ("low", "high"):
        named = {field.name for field in dataclasses.fields(db.TableStatistics)}
        assert set(split[word]) == named | {"iou_other_seeds", "iou_other_budgets", "iou_first"}
        assert split[word]["iou_other_budgets"] == 1.0, "the maps of both budgets are the same"
        assert 0 < split[word]["iou_other_seeds"] < 0.5, "of a seed that is not shown too"
        assert 0 < split[word]["agreement"] < 1


@pytest.mark.parametrize("verb", ["maps", "samples"])
def test_pictures_can_be_svg(lcma, filler, verb):
    if verb == "samples":
        filler.weights("rows", 0, sweep="s1")
    else:
        filler.maps(0, 100)
    asked = [verb] if verb == "maps" else ["samples", "--runs", "runs", "--count", "2"]
    for folder in ("a", "b"):
        assert ".svg" in lcma(*asked, "--format", "svg", "--out", folder)
    drawn = sorted(Path("a").iterdir())
    assert {path.suffix for path in drawn} == {".svg"}
    for path in drawn:
        assert path.read_bytes() == (Path("b") / path.name).read_bytes()
        title, about = svg.words(path)
        assert title
        assert about
        assert svg.images(path)
    with pytest.raises(UserError, match=r"c.svg is no folder: give --out DIR, and --format"):
        lcma(*asked, "--out", "c.svg")
    Path("d.svg").mkdir()
    lcma(*asked, "--out", "d.svg")
    assert {path.suffix for path in Path("d.svg").iterdir()} == {".png"}, "a folder"


def test_maps_in_a_terminal(lcma, filler):
    filler.maps(0, 100)
    filler.maps(1, 1000, nms="flat")
    lines = lcma("maps").splitlines()
    shown = [line for line in lines if "lcma-pictures" not in line]
    assert max(map(len, shown)) <= 80
    of_map, of_table = [k for k, line in enumerate(lines) if line.startswith("p0@100 ")]
    first = filler.store.maps(pretraining_id="p0", budget=100)[0].statistics
    assert "p0@100: realnvp on photos16, seed 0" in lines
    assert "p1-flat@1000: realnvp on photos16, seed 1; flat NMS" in lines
    row = lines[of_map].split()
    assert row[1:4] == ["1", f"{first.mask_share:.3f}", f"{first.mask_share_by_chance:.3f}"]
    assert row[-2:] == [f"{first.unresolved:.1%}", "0.0%"]
    assert lines[of_table + 1].split()[0] == "2"


def test_curves_and_maps_are_of_the_last_sweep_by_default(lcma, filler, monkeypatch):
    monkeypatch.setattr("lcma.harness.cli.maps.MAX_PRETRAININGS", 1)
    note = "lcma: of the sweep launched last, demo: --sweep NAME chooses another\n"
    for seed in (0, 1):
        filler.maps(seed)
        points = [db.Metric("holdout_bits_per_dim", 10, 4.0)]
        job = filler.plan("low", seed, budget=100, sweep=f"s{seed}")
        filler.finish(job, 4.0, metrics=points)
    assert "seed 1" in lcma("maps")
    assert "seed 0" not in lcma("maps")
    assert note in lcma.stderr
    lcma("curves")
    assert note in lcma.stderr
    assert "seed 0" in lcma("maps", "--seed", "0")
    for asked in (("curves", "--flow", "glow"), ("maps", "--flow", "glow", "--sweep", "s1")):
        other = "no .* with --flow glow in the sweep demo: there are realnvp; --sweep NAME searches"
        with pytest.raises(UserError, match=other):
            lcma(*asked)
    filler.plan("rows", 0, sweep="s2")
    with pytest.raises(UserError, match="no such trial of the sweep demo reads a map: --sweep"):
        lcma("maps")


def test_missing_maps(lcma, filler):
    with pytest.raises(UserError, match="no contribution maps yet"):
        lcma("maps")
    filler.maps(0)
    filler.plan("rows", 0, sweep="s1")
    for option, value in (("sweep", "s1"), ("factorization", "low")):
        with pytest.raises(UserError, match="no such trial reads a map"):
            lcma("maps", f"--{option}", value)
    assert not Path("lcma-pictures").exists()


def test_maps_are_compared_with_the_first_set(lcma, filler):
    filler.maps(0, scores=("cumulative", "total"))
    filler.maps(1)
    asked = "maps", "--score", "cumulative", "--score", "total", "--json"
    first, total, other = json.loads(lcma(*asked))
    ious = [[split["low"]["iou_first"] for split in one["splits"]] for one in (first, total, other)]
    assert ious[0] == [None, None]
    assert all(0 < iou < 1 for iou in ious[1] + ious[2])
    assert len(json.loads(lcma("maps", "--budget", "100", "--budget", "500", "--json"))) == 2


def test_samples(lcma, filler):
    filler.weights("rows", 0, sweep="s1")
    filler.weights("rows", 1, sweep="s1")
    path = filler.weights("channel", 0, sweep="s1")
    found = json.loads(lcma("samples", "--runs", "runs", "--count", "3", "--json"))
    assert [(one["factorization"], one["seed"]) for one in found] == [("channel", 0), ("rows", 0)]
    filler.weights("random", 0, sweep="s2")
    (of_sweep,) = json.loads(lcma("samples", "--runs", "runs", "--sweep", "s2", "--json"))
    assert of_sweep["factorization"] == "random"
    text = lcma(
        "samples", path.parent.name[:10], "--runs", "runs", "--out", "x", "--noise-seed", "4"
    )
    (drawn,) = Path("x").iterdir()
    assert str(drawn) in text
    assert drawn.read_bytes().startswith(b"\x89PNG")


def test_samples_are_of_every_cell_at_its_first_seed(lcma, filler):
    training = RECIPE.training.model_copy(update={"steps": 30})
    other = RECIPE.model_copy(update={"training": training})
    filler.finish(filler.plan("rows", 0, sweep="s1"), 4.0)
    for seed in (1, 2):
        filler.weights("rows", seed, sweep="s1")
    filler.weights("LL", 0, budget=100, sweep="s1")
    filler.weights("LL", 0, budget=100, sweep="s1", map_options='{"score":"normalized"}')
    filler.weights("LL", 0, budget=100, sweep="s1", recipe=other)
    filler.finish(filler.plan("channel", 0, sweep="s1"), 4.0)
    text = lcma("samples", "--runs", "runs", "--count", "1")
    assert "rows, seed 1" in text
    assert text.count("low (LL) at budget 100, seed 0") == 2
    assert text.count("low (LL) at budget 100, score normalized, seed 0") == 1
    assert len(text.splitlines()) == 4
    assert lcma.stderr == "lcma: 1 of 5 cells left no weights and are not drawn\n"


def test_samples_without_weights(lcma, filler):
    with pytest.raises(UserError, match="no sweep yet"):
        lcma("samples")
    job = filler.plan("rows", 0, sweep="s1")
    for what in ((), ("--between", "0", "1")):
        with pytest.raises(UserError, match="last launched sweep demo has weights yet"):
            lcma("samples", *what)
        with pytest.raises(UserError, match="is pending and left no weights"):
            lcma("samples", job.trial_id, *what)
    with pytest.raises(UserError, match="of the sweep demo has weights yet"):
        lcma("samples", "--sweep", "s1")
    with pytest.raises(UserError, match="exclude each other"):
        lcma("samples", "abc", "--sweep", "s1")
    filler.finish(job, 4.0)
    with pytest.raises(UserError, match="has weights, and all have ended: a published"):
        lcma("samples")


def test_sql_says_when_there_is_more(lcma, filled):
    query = "SELECT seed FROM results"
    assert len(lcma("sql", query, "--format", "csv", "--limit", "2").splitlines()) == 3
    assert "--limit 0" in lcma.stderr
    assert len(lcma("sql", query, "--format", "csv", "--limit", "0").splitlines()) == 11
    assert lcma.stderr == ""


def test_status(lcma, filler):
    filler.maps()
    filler.fail(filler.plan("rows", 0), "code_error", "Traceback\n  File x\nValueError: bad\n")
    filler.fail(filler.plan("rows", 1), "diverged", "loss is NaN")
    running = filler.plan("LL", 0, budget=100)
    claimed = filler.claim(running, host="node7", now=time.time())
    assert beat(filler.store, claimed, step=40, lease_seconds=60.0)
    text = lcma("status")
    assert text.startswith("jobs   1/4 jobs  ###------------  2 lost, ")
    assert "40/" in text
    assert "node7" in text
    assert "rows seed 0: ValueError: bad" in text
    assert "diverged (diverged) at step 7/" in text
    found = json.loads(lcma("status", "--json"))
    assert found["jobs"]["trial"]["failed"] == 1
    assert (found["running"][0]["step"], found["running"][0]["host"]) == (40, "node7")
    assert 0 < found["running"][0]["lease_seconds_left"] <= 60
    assert {f["message"].splitlines()[-1] for f in found["failures"]} == {
        "ValueError: bad",
        "loss is NaN",
    }


def test_status_of_a_sweep_separates_contents_of_a_data_set(lcma, filler):
    filler.plan("rows", 0, sweep="s1")
    assert "data" not in lcma("status", "--sweep", "s1")
    filler.data("e" * 64)
    filler.plan("rows", 0, digest="e" * 64, sweep="s1")
    text = lcma("status", "--sweep", "s1")
    assert "rows (data dddddd)" in text
    assert "rows (data eeeeee)" in text
    found = json.loads(lcma("status", "--sweep", "s1", "--json"))
    assert [cell["data_digest"][0] for cell in found["cells"]] == ["d", "e"]


def test_verdicts(lcma, filled):
    text = " ".join(lcma("verdicts").split())
    assert "No results for any claim yet" in text
    bits = {seed: 4.0 + 0.01 * seed for seed in range(6)}
    filled.results({"LL": {seed: b - 0.2 for seed, b in bits.items()}}, budget=100)
    lines = lcma("verdicts", "--flow", "realnvp").splitlines()
    said = "low gives fewer bits/dim than the flow's own rule (low-conventional)"
    assert lines[lines.index(said) + 1] == "  undecided 1 (100 test images)"
    typed = lcma("verdicts", "low-conventional", "--flow", "realnvp", "--db", "lcma.db")
    launches = [line for line in typed.splitlines() if line.startswith("  lcma launch")]
    assert launches
    assert all(line.endswith(f" --db {Path('lcma.db').absolute()}") for line in launches)
    with pytest.raises(UserError, match=r"no claim 'low-own'.*low-"):
        lcma("verdicts", "low-own")
    found = json.loads(lcma("verdicts", "--json", "--where", "profile=tiny"))
    assert found["verdicts"] == [], "no bars are known"
    (one,) = [v for v in found["apart"] if v["claim"] == "low-conventional"]
    assert (one["decision"], one["n"]) == ("undecided", 4)


def test_a_board_of_several_settings_is_a_line_for_each(lcma, filled):
    for number in range(20):
        digest = f"{number:064x}"
        filled.data(digest, f"set{number}")
        filled.results(
            {"channel": {0: 3.0}, "rows": {0: 3.5}}, digest=digest, dataset=f"set{number}"
        )
    bits = {seed: 4.0 + 0.1 * seed for seed in range(6)}
    more = {"digest": "e" * 64, "dataset": "faces"}
    filled.data("e" * 64, "faces")
    filled.results({"checkerboard-even": bits}, **more)
    filled.results({"LL": bits}, budget=20, **more)
    filled.results({"LL": {s: b - 0.2 + s % 2 / 50 for s, b in bits.items()}}, budget=100, **more)
    lines = lcma("board").splitlines()
    (faces,) = [line.split() for line in lines if " faces realnvp" in line]
    assert faces[3:9] == ["1200", "4.250", "6", "-0.190", "±", "0.011"]
    assert faces[-3:] == ["better", "@100", "†"]
    assert "neither" not in " ".join(lines)
    assert sum(" realnvp " in line for line in lines) == 22
    table = lcma("board", faces[0])
    assert "low (LL)" in table
    assert table.count("factorization") == 1
    with pytest.raises(UserError, match="there is no table 23: this board has 22"):
        lcma("board", "23")
    assert "+0.5000" in lcma("board", "--against", "channel"), "of rows"


@pytest.mark.parametrize("option", ["--picture=x.svg", "--against=low", "--factorization=low"])
def test_effects_refuse_options_without_use(lcma, filled, option):
    with pytest.raises(UserError, match=f"^--effects .*: leave {option.partition('=')[0]} out$"):
        lcma("board", "--effects", option)
    assert not Path("x.svg").exists()
