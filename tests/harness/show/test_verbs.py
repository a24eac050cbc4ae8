"""The verbs that read, as typed."""

import dataclasses
import json
from pathlib import Path

import pytest
from PIL import Image

from lcma import db
from tests.harness.cli.conftest import refused
from tests.harness.show import svg
from tests.harness.show.conftest import RECIPE


@pytest.fixture
def read(lcma):
    """Run a verb that succeeds; return what it prints. `read.notes` is what it says on stderr."""

    def read(*arguments: str) -> str:
        code, out, read.notes = lcma(*arguments)
        assert code == 0, read.notes
        return out

    return read


def test_board_says_when_it_is_not_complete(read, filled):
    filled.plan("rows", 0)
    assert "Not complete: 1 trial is not done; `lcma status` shows it." in read("board")
    assert "Not complete" not in read("board", "--where", "seed=0")


def test_board_draws_its_differences(lcma, read, filled):
    assert "\nforest.svg\n" in read("board", "--picture", "forest.svg")
    assert "channel" in svg.texts(Path("forest.svg"))
    refused(lcma("board", "--picture", "forest.txt", "--db", "nowhere.db"), "forest.txt is not")


def test_board_without_results(read, filler):
    text = read("board", "--flow", "realnvp")
    assert "No results yet." in text
    assert "lcma launch demo" in text
    assert json.loads(read("board", "--json"))["groups"] == []


def test_maps_have_pictures_and_every_instrument(read, filler):
    for seed, budget in ((0, 100), (0, 500), (1, 100)):
        filler.maps(seed, budget)
    sets = json.loads(read("maps", "--json", "--out", "pics", "--seed", "0"))
    assert [(item["seed"], item["budget"]) for item in sets] == [(0, 100), (0, 500)]
    assert [item["id"] for item in sets] == ["p0@100", "p0@500"]
    for item in sets:
        for kind in ("maps", "tables"):
            with Image.open(item["pictures"][kind]) as image:
                assert image.format == "PNG"
    assert len(list(Path("pics").iterdir())) == 3, "two budgets share a picture of maps"
    text = read("maps", "--budget", "500", "--flow", "realnvp", "--dataset", "photos16")
    assert "p0@500" in text
    assert "p0@100" not in text
    assert text.count("lcma-pictures/") == 2
    split = sets[0]["splits"][1]
    assert split["split"] == 2
    (item,) = filler.store.maps(pretraining_id="p0", budget=100, split=2)
    statistics = dataclasses.asdict(item.statistics)
    assert {name: split[name] for name in statistics} == statistics
    names = {field.name for field in dataclasses.fields(db.TableStatistics)}
    for word in ("low", "high"):
        assert set(split[word]) == names | {"iou_other_seeds", "iou_other_budgets"}
        assert split[word]["iou_other_budgets"] == 1.0, "the maps of both budgets are the same"
        assert 0 < split[word]["iou_other_seeds"] < 0.5, "of a seed that is not shown too"
        assert 0 < split[word]["agreement"] < 1


@pytest.mark.parametrize("command", [["maps"], ["samples", "--runs", "runs", "--count", "2"]])
def test_pictures_can_be_svg(lcma, read, filler, command):
    filler.maps(0, 100)
    filler.weights("LL", 0, budget=100, sweep="s1")
    for folder in ("a", "b"):
        assert ".svg" in read(*command, "--format", "svg", "--out", folder)
    paths = sorted(Path("a").iterdir())
    assert {path.suffix for path in paths} == {".svg"}
    for path in paths:
        assert path.read_bytes() == (Path("b") / path.name).read_bytes()
        assert all(svg.words(path))
        assert svg.images(path)
    refused(lcma(*command, "--out", "c.svg"), "c.svg is not a folder: give --out DIR, and --format")
    Path("d.svg").mkdir()
    read(*command, "--out", "d.svg")
    assert {path.suffix for path in Path("d.svg").iterdir()} == {".png"}, "a folder"


def test_maps_in_a_terminal(read, filler):
    filler.maps(0, 100)
    filler.maps(1, 1000, nms="flat")
    lines = read("maps").splitlines()
    assert max(len(line) for line in lines if "lcma-pictures" not in line) <= 80
    of_map, of_table = [k for k, line in enumerate(lines) if line.startswith("p0@100 ")]
    first = filler.store.maps(pretraining_id="p0", budget=100)[0].statistics
    assert "p0@100: realnvp on photos16, seed 0" in lines
    assert "p1-flat@1000: realnvp on photos16, seed 1; flat NMS" in lines
    row = lines[of_map].split()
    assert row[1:4] == ["1", f"{first.mask_share:.3f}", f"{first.mask_share_by_chance:.3f}"]
    assert row[-2:] == [f"{first.unresolved:.1%}", "0.0%"]
    assert lines[of_table + 1].split()[0] == "2"


def test_maps_are_of_the_last_sweep_by_default(lcma, read, filler, monkeypatch):
    monkeypatch.setattr("lcma.harness.cli.maps.MAX_PRETRAININGS", 1)
    note = "lcma: of the sweep launched last, demo: --sweep NAME chooses another\n"
    for seed in (0, 1):
        filler.maps(seed)
        filler.finish(filler.plan("low", seed, budget=100, sweep=f"s{seed}"), 4.0)
    assert "seed 1" in read("maps")
    assert "seed 0" not in read("maps")
    assert note in read.notes
    assert "seed 0" in read("maps", "--where", "seed=0", "--where", "factorization=low")
    glow = "with --flow glow in the sweep demo: there are realnvp; --sweep NAME searches"
    refused(lcma("maps", "--flow", "glow", "--sweep", "s1"), glow)
    filler.plan("rows", 0, sweep="s2")
    refused(lcma("maps"), "no such trial of the sweep demo reads a map: --sweep")


def test_missing_maps(lcma, filler):
    refused(lcma("maps"), "no contribution maps yet")
    filler.maps(0)
    filler.plan("rows", 0, sweep="s1")
    refused(lcma("maps", "--sweep", "s1"), "no such trial reads a map")
    refused(lcma("maps", "--factorization", "low"), "no such trial reads a map")
    assert not Path("lcma-pictures").exists()


def test_maps_of_several_scores_and_budgets_are_chosen(read, filler):
    filler.maps(0, scores=("cumulative", "total"))
    filler.maps(1)
    sets = json.loads(read("maps", "--score", "cumulative", "--score", "total", "--json"))
    assert len(sets) == 3
    assert len(json.loads(read("maps", "--budget", "100", "--budget", "500", "--json"))) == 2


def test_samples(read, filler):
    filler.weights("rows", 0, sweep="s1")
    filler.weights("rows", 1, sweep="s1")
    path = filler.weights("channel", 0, sweep="s1")
    drawn = json.loads(read("samples", "--runs", "runs", "--count", "3", "--json"))
    assert [(row["factorization"], row["seed"]) for row in drawn] == [("channel", 0), ("rows", 0)]
    filler.weights("random", 0, sweep="s2")
    (of_sweep,) = json.loads(read("samples", "--runs", "runs", "--sweep", "s2", "--json"))
    assert of_sweep["factorization"] == "random"
    trial = path.parent.name[:10]
    text = read("samples", trial, "--runs", "runs", "--out", "x", "--noise-seed", "4")
    (picture,) = Path("x").iterdir()
    assert str(picture) in text
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_samples_are_of_every_cell_at_its_first_seed(read, filler):
    training = RECIPE.training.model_copy(update={"steps": 30})
    other = RECIPE.model_copy(update={"training": training})
    filler.finish(filler.plan("rows", 0, sweep="s1"), 4.0)
    for seed in (1, 2):
        filler.weights("rows", seed, sweep="s1")
    filler.weights("LL", 0, budget=100, sweep="s1")
    filler.weights("LL", 0, budget=100, sweep="s1", map_options='{"score":"normalized"}')
    filler.weights("LL", 0, budget=100, sweep="s1", recipe=other)
    filler.finish(filler.plan("channel", 0, sweep="s1"), 4.0)
    text = read("samples", "--runs", "runs", "--count", "1")
    assert "rows, seed 1" in text
    assert text.count("low (LL) at budget 100, seed 0") == 2
    assert text.count("low (LL) at budget 100, score normalized, seed 0") == 1
    assert len(text.splitlines()) == 4
    assert read.notes == "lcma: 1 of 5 cells left no weights and are not drawn\n"


def test_samples_without_weights(lcma, filler):
    refused(lcma("samples"), "no sweep yet")
    job = filler.plan("rows", 0, sweep="s1")
    for between in ((), ("--between", "0", "1")):
        refused(lcma("samples", *between), "last launched sweep demo has weights yet")
        refused(lcma("samples", job.trial_id, *between), "is pending and left no weights")
    refused(lcma("samples", "--sweep", "s1"), "of the sweep demo has weights yet")
    refused(lcma("samples", "abc", "--sweep", "s1"), "exclude each other")
    refused(lcma("measure", "swd"), "there is no result yet: `lcma status` shows how far")
    filler.finish(job, 4.0)
    refused(lcma("samples"), "has weights, and all have ended: a published")
    filler.plan("channel", 0, sweep="s2")
    refused(lcma("measure", "swd"), "no result yet: demo was launched last, and --sweep NAME")


def test_sql_says_when_there_is_more(read, filled):
    query = "SELECT seed FROM results"
    assert len(read("sql", query, "--format", "csv", "--limit", "2").splitlines()) == 3
    assert "--limit 0" in read.notes
    assert len(read("sql", query, "--format", "csv", "--limit", "0").splitlines()) == 11
    assert read.notes == ""


def test_status_of_a_sweep_separates_contents_of_a_data_set(read, filler):
    filler.plan("rows", 0, sweep="s1")
    assert "data" not in read("status", "--sweep", "s1")
    filler.data("e" * 64)
    filler.plan("rows", 0, digest="e" * 64, sweep="s1")
    text = read("status", "--sweep", "s1")
    assert "rows (data dddddd)" in text
    assert "rows (data eeeeee)" in text
    cells = json.loads(read("status", "--sweep", "s1", "--json"))["cells"]
    assert [cell["data_digest"][0] for cell in cells] == ["d", "e"]


def test_verdicts(lcma, read, filled):
    text = " ".join(read("verdicts").split())
    assert "No results for any claim yet" in text
    bits = {seed: 4.0 + 0.01 * seed for seed in range(6)}
    filled.results({"LL": {seed: b - 0.2 for seed, b in bits.items()}}, budget=100)
    lines = read("verdicts", "--flow", "realnvp").splitlines()
    claim = "low gives fewer bits/dim than the flow's own rule (low-conventional)"
    assert lines[lines.index(claim) + 1] == "  undecided 1 (100 test images)"
    lines = read(
        "verdicts", "low-conventional", "--flow", "realnvp", "--db", "lcma.db"
    ).splitlines()
    launches = [line for line in lines if line.startswith("  lcma launch")]
    assert launches
    assert all(line.endswith(f" --db {Path('lcma.db').absolute()}") for line in launches)
    refused(lcma("verdicts", "low-own"), "no claim 'low-own'", "low-conventional")
    verdicts = json.loads(read("verdicts", "--json", "--where", "profile=tiny"))
    assert verdicts["verdicts"] == [], "no bars are known"
    (verdict,) = [v for v in verdicts["apart"] if v["claim"] == "low-conventional"]
    assert (verdict["decision"], verdict["n"]) == ("undecided", 4)


def test_a_board_of_several_settings_has_a_line_for_each(lcma, read, filled):
    for number in range(20):
        name = f"set{number}"
        digest = filled.data(f"{number:064x}", name)
        filled.results({"channel": {0: 3.0}, "rows": {0: 3.5}}, digest=digest, dataset=name)
    bits = {seed: 4.0 + 0.1 * seed for seed in range(6)}
    low = {seed: value - 0.2 + seed % 2 / 50 for seed, value in bits.items()}
    of_faces = {"digest": filled.data("e" * 64, "faces"), "dataset": "faces"}
    filled.results({"checkerboard-even": bits}, **of_faces)
    filled.results({"LL": bits}, budget=20, **of_faces)
    filled.results({"LL": low}, budget=100, **of_faces)
    lines = read("board").splitlines()
    (faces,) = [line.split() for line in lines if " faces realnvp" in line]
    assert faces[3:9] == ["1200", "4.250", "6", "-0.190", "±", "0.011"]
    assert faces[-3:] == ["better", "@100", "†"]
    assert "neither" not in " ".join(lines)
    assert sum(" realnvp " in line for line in lines) == 22
    table = read("board", faces[0])
    assert "low (LL)" in table
    assert table.count("factorization") == 1
    refused(lcma("board", "23"), "there is no table 23: this board has 22")
    assert "+0.5000" in read("board", "--against", "channel"), "of rows"
