"""The command line: light to start, documented to the last option, and clear about mistakes."""

import json
import os
import re
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, redirect_stdout
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import typer
from rich.text import Text

from lcma.harness import data
from lcma.harness.cli import main as cli
from lcma.harness.place import Place
from lcma.sweeps.options import parse_seeds
from tests.harness.cli.conftest import output_of, refused
from tests.harness.conftest import SMALL, merged
from tests.harness.show import svg


def run(capsys, *arguments: object) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a command, run in this process."""
    try:
        cli.main([str(a) for a in arguments])
        code = 0
    except SystemExit as end:
        code = int(end.code or 0)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_no_help_is_lost_to_markup() -> None:
    """A word in square brackets is a tag to Rich, so that --help would leave it out."""

    def walk(command) -> Iterator[str]:
        yield command.help or ""
        yield from (param.help or "" for param in command.params if hasattr(param, "help"))
        for sub in getattr(command, "commands", {}).values():
            yield from walk(sub)

    for text in walk(typer.main.get_command(cli.app)):
        assert Text.from_markup(text).plain == text


def test_the_version_is_the_installed_one(capsys) -> None:
    out = output_of(run(capsys, "--version"))
    commit = r"(\+[0-9a-f]{12})?"
    assert re.fullmatch(rf"lcma {re.escape(version('lcma'))}{commit}\n", out)


def planned(capsys, *arguments: object) -> dict:
    code, out, _ = run(capsys, "plan", *arguments, "--json")
    assert code == 0
    return json.loads(out)


def test_a_plan_takes_overrides_and_says_how_to_launch_them(capsys, in_tmp: Path) -> None:
    overrides = ["--dataset", "photos8", "--profile", "tiny", "--seeds", "1"]
    overrides += ["--budget", "10,20", "--set", "training.steps=5", "--set", "maps.score=total"]
    found = planned(capsys, "table2", *overrides)
    built = [c for c in found["cells"] if c["flow"] == "realnvp"]
    assert [(c["factorization"], c["budget"], c["seed"]) for c in built] == [
        ("conventional", None, 0),
        ("low", 10, 0),
        ("low", 20, 0),
    ]
    code, out, _ = run(capsys, "plan", "demo", *overrides)
    assert code == 0
    command = out.split("\nNext    ")[1]
    prepare = "lcma data prepare photos8 && "
    assert command == prepare + " ".join(["lcma launch demo", *overrides]) + "\n"


def test_a_plan_says_which_exclusions_leave_nothing_out(capsys, in_tmp: Path) -> None:
    left_out = [{"factorization": "low", "budget": 20}, {"seed": [7, 8]}, {"flow": "glow"}]
    spec = merged(SMALL, {"matrix": {"budget": [10, 20]}, "exclude": left_out})
    Path("some.yaml").write_text(json.dumps(spec))
    code, out, _ = run(capsys, "plan", "some.yaml")
    assert code == 0
    message = [line for line in out.splitlines() if "leaves nothing out" in line]
    assert message == [
        f"The exclusion {keys} leaves nothing out: no cell agrees with all of its keys."
        for keys in ('{"seed":[7,8]}', '{"flow":["glow"]}')
    ]


def test_a_plan_of_what_is_not_there_yet_says_why(capsys, in_tmp: Path) -> None:
    """A set that only a person can prepare is named, with the command."""
    out = output_of(run(capsys, "plan", "table3"))
    assert "Next    lcma data prepare celeba64-float --from PATH && lcma launch table3\n" in out
    assert list(in_tmp.iterdir()) == []


@pytest.mark.parametrize(
    ("factorizations", "message"),
    [
        ("[low]", "no cell can be run"),
        ("[LLLH]", "4 letters, the recipe has 2 splits"),
        ("[low, conventional]", "1 of 2 cells cannot be run"),
    ],
)
def test_a_plan_of_invalid_cells_ends_as_its_launch(
    capsys, in_tmp: Path, factorizations: str, message: str
) -> None:
    """Before that its table shows which cells they are, where others can be run."""
    matrix = f"{{flow: realnvp, dataset: photos8, factorization: {factorizations}}}"
    spec = in_tmp / "mine.yaml"
    spec.write_text(f"name: mine\nseeds: 1\nmatrix: {matrix}\n")
    launched = run(capsys, "launch", spec, "--local")
    refused(launched, message)
    code, out, err = run(capsys, "plan", spec)
    assert (code, err) == (2, launched[2])
    some = "conventional" in factorizations
    assert ("invalid: " in out) == ("--skip-invalid" in out) == some
    assert some or out == ""
    code, out, err = run(capsys, "plan", spec, "--json")
    assert (code, err) == (2, launched[2])
    assert (json.loads(out)["cells"][0]["status"] == "invalid") if some else out == ""
    assert list(in_tmp.iterdir()) == [spec]


def test_cells_of_the_papers_tables_have_its_numbers(capsys, in_tmp: Path) -> None:
    found = planned(capsys, "table4")["cells"]
    numbers = {
        c["factorization"]: [n["bits_per_dim"] for n in c["published"] if n["table"] == "4"]
        for c in found
    }
    assert (len(numbers), numbers["HHH"], numbers["LLL"]) == (8, [3.1], [2.71])
    lines = run(capsys, "plan", "full", "--flow", "realnvp", "--dataset", "cifar10")[1].splitlines()
    (own,) = (line for line in lines if line.startswith("conventional"))
    message = r"conventional \(checkerboard-even\) +- +0-5 +new +3\.49 \(LCMA, Table 1\) *"
    assert re.fullmatch(message, own), "nothing is broken in 80 columns"
    assert len(own) <= 80


@pytest.mark.parametrize(
    ("text", "expected"),
    [("6", 6), ("0,1,5", (0, 1, 5)), ("6-8", (6, 7, 8)), ("1,4-5", (1, 4, 5)), ("3-3", (3,))],
)
def test_seeds_are_a_number_a_list_or_a_range(text: str, expected: object) -> None:
    assert parse_seeds(text) == expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["launch", "no/such.yaml"], "there is no file no/such.yaml"),
        (["launch", "demo", "--seeds", "x"], "--seeds 'x'"),
        (["launch", "demo", "--seeds", "1-99999999999"], "of at most 10000"),
        (["launch", "demo", "--profile", "huge"], "unknown profile of glow 'huge'"),
        (["launch", "demo", "--local", "--ray", "x:1"], "exclude each other"),
        (["launch", "demo", "--gpus", "2"], "--gpus 2"),
        (["launch", "demo", "--max-hours", "0"], "--max-hours 0: give a number of hours above 0"),
        (["launch", "demo", "--budget", "11"], "use 10 or 15"),
        (["plan", "demo", "--set", "training.steps=0"], "greater than 0"),
        (["launch", "demo", "--set", "model.size=8"], "cannot be overridden"),
        (["launch", "table3", "--gpus", "0"], "lcma data prepare celeba64-float --from PATH"),
        (["launch", "demo", "--db", "postgresql://u@127.0.0.1:1/d"], "postgresql://u@127"),
        (["launch", "demo", "--db", "~nobody-of-that-name/x.db"], "leads nowhere"),
        (["launch", "demo", "--runs", "/proc/nowhere"], "give --runs DIR"),
        (["launch", "demo", "--pictures", "/proc/nowhere"], "give --pictures DIR"),
        (["plan", "x" * 300], "File name too long"),
        (["status"], "lcma launch demo"),
        (["launch", "demo", "--gpus", "1"], "this machine has none"),
        (["board"], "lcma launch demo"),
        (["measure"], "no measure is named: give swd, kid, fid, or --protocol published"),
        (["measure", "--draws", "3", "--protocol", "published"], "leave --protocol published out"),
        (["measure", "swd", "--draws", "3"], "--draws is of bits_per_dim: name one that has it"),
        (
            ["measure", "--draws", "3", "--samples", "30"],
            "--samples is of swd and kid",
        ),
        (["samples", "--steps", "3"], "give --between I J too"),
        (
            ["samples", "--between", "0", "1", "--count", "3"],
            "--count and --between exclude each other",
        ),
    ],
)
def test_mistakes_are_one_line_and_leave_no_trace(
    capsys, in_tmp: Path, monkeypatch, arguments: list[str], message: str
) -> None:
    if "--gpus" in arguments:
        monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    code, out, err = run(capsys, *arguments)
    refused((code, out, err), message)
    assert list(in_tmp.iterdir()) == []


def test_the_plan_of_the_demo(capsys, in_tmp: Path) -> None:
    code, out, _ = run(capsys, "plan", "demo", "--json")
    plan = json.loads(out)
    assert code == 0
    assert plan["left"] == {"pretrainings": 2, "trainings": 12}
    assert plan["unshared"] == {"pretrainings": 4, "trainings": 12}
    assert {c["status"] for c in plan["cells"]} == {"new"}
    assert list(in_tmp.iterdir()) == []
    code, out, _ = run(capsys, "plan", "rules", "--dataset", "photos8", "--json")
    assert json.loads(out)["left"] == {"pretrainings": 6, "trainings": 36}


LAUNCHED = pytest.mark.xdist_group("launched")
"""One worker has all tests of the sweep below, so that it runs once."""


@pytest.fixture(scope="module")
def launched(tmp_path_factory: pytest.TempPathFactory, photos_root: Path) -> Place:
    """A small sweep launched by the command line, with pictures."""
    folder = tmp_path_factory.mktemp("launched")
    (folder / "small.yaml").write_text(
        "name: small\n"
        "matrix: {flow: realnvp, dataset: photos8, budget: 10,\n"
        "         factorization: [conventional, checkerboard, low, random-local]}\n"
        "seeds: 2\n"
        "recipe:\n"
        "  model: {architecture: {width: 4, checkerboard_couplings: 1, channel_couplings: 1,\n"
        "          last_couplings: 1}}\n"
        "  training: {steps: 10}\n"
        f"resources: {{gpus: 0, cpus: {os.cpu_count()}}}\n"  # a second worker's start takes longer
    )
    with pytest.MonkeyPatch.context() as patch, (folder / "out.txt").open("w") as out:
        patch.chdir(folder)
        with redirect_stdout(out), pytest.raises(SystemExit) as end:
            cli.main(["launch", "small.yaml", "--local", "--data", str(photos_root)])
    assert end.value.code == 0
    return Place(f"sqlite:///{folder / 'lcma.db'}", folder / "lcma-runs", photos_root)


def folder_of(place: Place) -> Path:
    return place.runs.parent


@LAUNCHED
def test_a_launch_ends_with_board_pictures_and_next_commands(capsys, launched: Place) -> None:
    out = (folder_of(launched) / "out.txt").read_text()
    for message in ("low (LL)", "checkerboard-even", "lcma-pictures", "Next:", "lcma samples"):
        assert message in out
    assert "Made with" not in out, "notes are a command away"
    assert "lcma board --notes" in out
    assert "Made with" in run(capsys, "board", "--db", launched.db, "--notes")[1]
    pictures = list((folder_of(launched) / "lcma-pictures").rglob("*.png"))
    assert len(pictures) >= 3
    assert all(p.read_bytes().startswith(b"\x89PNG") for p in pictures)
    assert "\nPower: 2 seeds decide nothing; 6 show " in out
    assert "\n3 rows lose to a bar: train longer, or on more images, before more seeds.\n" in out


@LAUNCHED
def test_interpolations_are_drawn_from_and_to_test_images(
    capsys, launched: Place, in_tmp: Path
) -> None:
    where = ["--db", launched.db, "--runs", launched.runs, "--data", launched.data]
    command = "samples", "--between", 3, 9, "--steps", 4, "--out", "x", "--format", "svg"
    found = json.loads(output_of(run(capsys, *command, *where, "--json")))
    assert {f["factorization"] for f in found} == {"checkerboard-even", "LL", "random-local"}
    assert {(f["from"], f["to"], f["steps"], f["settled"]) for f in found} == {(3, 9, 4, True)}
    (picture,) = svg.images(Path(found[0]["row"]))
    assert picture.shape == (68, 4 * 66 + 2, 3)
    test = data.load("photos8", launched.data).part("test").images
    for left, index in ((2, 3), (2 + 3 * 66, 9)):
        pixels = picture[2:66:8, left : left + 64 : 8].transpose(2, 0, 1).astype(int)
        assert np.abs(pixels - test[index]).max() <= 1
    refused(run(capsys, "samples", "--where", "colour=red", *where), "colour")
    refused(run(capsys, "samples", "--between", 0, 9999, *where), "--between 9999: photos8 has")
    refused(run(capsys, "samples", "--between", 0, 1, "--steps", 1, *where), "--steps 1")


@LAUNCHED
def test_a_measure_that_not_all_trials_can_have_ends_with_code_1(
    capsys, launched: Place, in_tmp: Path
) -> None:
    shutil.copytree(launched.runs, "runs")
    assert run(capsys, "db", "backup", "--out", "copy.db", "--db", launched.db)[0] == 0
    where = ["--db", "copy.db", "--runs", "runs", "--data", launched.data]
    found = json.loads(run(capsys, "measure", "swd", "--samples", 20, "--json", *where)[1])
    query = (
        "select job_id, path from artifacts join attempts on attempts.id = attempt_id "
        "where artifacts.kind = 'weights'"
    )
    lost = [one["job_id"] for one in found[:3]]
    paths = dict(rows(capsys, Place("copy.db", "", ""), query))
    with closing(sqlite3.connect("copy.db")) as connection, connection:
        connection.execute(
            "delete from artifacts where attempt_id in (select id from attempts where job_id = ?)",
            lost[:1],
        )
    for job in lost[1:]:
        Path("runs", paths[job]).unlink()

    command = "measure", "swd", "--samples", 21, *where
    code, out, err = run(capsys, *command)
    assert code == 1, "part was done"
    assert out.count(": swd ") == len(found) - 3
    no_weights, no_file = err.splitlines()
    assert no_weights.startswith("lcma: 1 of 6 trials cannot be measured: ")
    assert "left no weights" in no_weights
    assert no_file.startswith("lcma: 2 of 6 trials cannot be measured, the first since cannot read")
    for once in ("cannot read", paths[lost[1]]):
        assert no_file.count(once) == 1
    refused(run(capsys, *command, "--where", f"trial_id={found[1]['trial_id']}"), "cannot read")
    left = json.loads(run(capsys, *command, "--json")[1])
    kept = [f"--where=trial_id={one['trial_id']}" for one in left]
    assert run(capsys, *command, *kept)[0::2] == (0, "")


def rows(capsys, place: Place, query: str) -> list[list[object]]:
    code, out, _ = run(capsys, "sql", query, "--db", place.db, "--json", "--limit", "0")
    assert code == 0
    return json.loads(out)["rows"]


def test_a_plan_of_a_study_says_what_tune_searches(capsys, in_tmp: Path) -> None:
    out = output_of(run(capsys, "plan", "tune"))
    assert "14 of the 14 budgets from 0 to 1000 steps, by 3 seeds each." in out
    assert re.search(r"\nNext    lcma data prepare \S+ && lcma tune tune\n", out)
    assert "&& lcma launch tune --budget 10\n" in run(capsys, "plan", "tune", "--budget", "10")[1]
    several = {"flow": ["realnvp", "glow"], "dataset": "photos8", "factorization": "conventional"}
    body = {"name": "x", "matrix": several, "seeds": 1, "tune": {"budget": {"low": 10, "high": 20}}}
    (in_tmp / "x.yaml").write_text(json.dumps(body))
    out = output_of(run(capsys, "plan", "x.yaml"))
    assert "`lcma tune` searches nothing: x.yaml: `matrix.flow`: a study tunes one" in out
    assert "Next    lcma data prepare photos8 && lcma launch x.yaml\n" in out
