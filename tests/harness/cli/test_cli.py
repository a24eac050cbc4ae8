"""The command line: light to start, documented to the last option, and clear about mistakes."""

import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import redirect_stdout
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
from tests.db.inspecting import execute
from tests.harness.cli.conftest import Lcma, output_of, refused, run_lcma
from tests.harness.conftest import SMALL, merged
from tests.harness.show import svg


def test_no_help_is_lost_to_markup() -> None:
    """A word in square brackets is a tag to Rich, so that --help would leave it out."""

    def walk(command) -> Iterator[str]:
        yield command.help or ""
        yield from (param.help or "" for param in command.params if hasattr(param, "help"))
        for sub in getattr(command, "commands", {}).values():
            yield from walk(sub)

    for text in walk(typer.main.get_command(cli.app)):
        assert Text.from_markup(text).plain == text


def test_the_version_is_the_installed_one(lcma: Lcma) -> None:
    commit = r"(\+[0-9a-f]{12})?"
    pattern = rf"lcma {re.escape(version('lcma'))}{commit}\n"
    assert re.fullmatch(pattern, output_of(lcma("--version")))


def read_plan(lcma: Lcma, *arguments: str) -> dict:
    code, out, _ = lcma("plan", *arguments, "--json")
    assert code == 0
    return json.loads(out)


def test_a_plan_takes_overrides_and_says_how_to_launch_them(lcma: Lcma) -> None:
    overrides = ["--dataset", "photos8", "--profile", "tiny", "--seeds", "1"]
    overrides += ["--budget", "10,20", "--set", "training.steps=5", "--set", "maps.score=total"]
    cells = read_plan(lcma, "table2", *overrides)["cells"]
    of_realnvp = [cell for cell in cells if cell["flow"] == "realnvp"]
    assert [(c["factorization"], c["budget"], c["seed"]) for c in of_realnvp] == [
        ("conventional", None, 0),
        ("low", 10, 0),
        ("low", 20, 0),
    ]
    code, out, _ = lcma("plan", "demo", *overrides)
    assert code == 0
    command = "lcma data prepare photos8 && " + " ".join(["lcma launch demo", *overrides])
    assert out.endswith(f"\nNext    {command}\n")


def test_a_plan_says_which_exclusions_leave_nothing_out(lcma: Lcma) -> None:
    exclusions = [{"factorization": "low", "budget": 20}, {"seed": [7, 8]}, {"flow": "glow"}]
    sweep = merged(SMALL, {"matrix": {"budget": [10, 20]}, "exclude": exclusions})
    Path("some.yaml").write_text(json.dumps(sweep))
    lines = lcma("plan", "some.yaml")[1].splitlines()
    assert [line for line in lines if "leaves nothing out" in line] == [
        f"The exclusion {keys} leaves nothing out: no cell agrees with all of its keys."
        for keys in ('{"seed":[7,8]}', '{"flow":["glow"]}')
    ]


def test_a_plan_names_the_command_for_a_set_that_only_a_person_can_prepare(
    lcma: Lcma, in_tmp: Path
) -> None:
    out = output_of(lcma("plan", "table3"))
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
    lcma: Lcma, in_tmp: Path, factorizations: str, message: str
) -> None:
    """Before that its table shows which cells they are, where others can be run."""
    matrix = f"{{flow: realnvp, dataset: photos8, factorization: {factorizations}}}"
    spec = in_tmp / "mine.yaml"
    spec.write_text(f"name: mine\nseeds: 1\nmatrix: {matrix}\n")
    launched = lcma("launch", spec, "--local")
    refused(launched, message)
    code, out, err = lcma("plan", spec)
    assert (code, err) == (2, launched[2])
    code, document, err = lcma("plan", spec, "--json")
    assert (code, err) == (2, launched[2])
    if "conventional" in factorizations:
        assert "invalid: " in out
        assert "--skip-invalid" in out
        assert json.loads(document)["cells"][0]["status"] == "invalid"
    else:
        assert out == document == ""
    assert list(in_tmp.iterdir()) == [spec]


def test_cells_of_the_papers_tables_have_its_numbers(lcma: Lcma) -> None:
    numbers = {
        cell["factorization"]: [n["bits_per_dim"] for n in cell["published"] if n["table"] == "4"]
        for cell in read_plan(lcma, "table4")["cells"]
    }
    assert (len(numbers), numbers["HHH"], numbers["LLL"]) == (8, [3.1], [2.71])
    lines = lcma("plan", "full", "--flow", "realnvp", "--dataset", "cifar10")[1].splitlines()
    (row,) = (line for line in lines if line.startswith("conventional"))
    pattern = r"conventional \(checkerboard-even\) +- +0-5 +new +3\.49 \(LCMA, Table 1\) *"
    assert re.fullmatch(pattern, row), "nothing is broken in 80 columns"
    assert len(row) <= 80


@pytest.mark.parametrize(
    ("text", "seeds"),
    [("6", 6), ("0,1,5", (0, 1, 5)), ("6-8", (6, 7, 8)), ("1,4-5", (1, 4, 5)), ("3-3", (3,))],
)
def test_seeds_are_a_number_a_list_or_a_range(text: str, seeds: object) -> None:
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("launch no/such.yaml", "there is no file no/such.yaml"),
        ("launch demo --seeds x", "--seeds 'x'"),
        ("launch demo --seeds 6-", "--seeds '6-'"),
        ("launch demo --seeds 0-99999999999999999999", "of at most"),
        ("plan demo --profile=", "`profile`"),
        ("launch demo --local --ray x:1", "exclude each other"),
        ("launch demo --gpus 2", "--gpus 2"),
        ("launch demo --max-hours 0", "--max-hours 0: give a number of hours above 0"),
        ("plan demo --set training.steps=0", "greater than 0"),
        ("launch table3 --gpus 0", "lcma data prepare celeba64-float --from PATH"),
        ("launch demo --db postgresql://u@127.0.0.1:1/d", "postgresql://u@127"),
        ("launch demo --db ~nobody-of-that-name/x.db", "leads nowhere"),
        ("launch demo --runs /proc/nowhere", "give --runs DIR"),
        ("launch demo --tensorboard /proc/nowhere", "give --tensorboard DIR"),
        (f"plan {'x' * 300}", "File name too long"),
        ("status", "lcma launch demo"),
        ("status -w --json", "--watch and --json exclude each other"),
        ("launch demo --gpus 1", "this machine has none"),
        ("measure", "no measure is named: give swd, kid, fid, or --protocol published"),
        ("measure --draws 3 --protocol published", "leave --protocol published out"),
        ("measure swd --draws 3", "--draws is of bits_per_dim: name one that has it"),
        ("measure --draws 3 --samples 30", "--samples is of swd and kid"),
        ("samples --steps 3", "give --between I J too"),
        ("samples --between 0 1 --count 3", "--count and --between exclude each other"),
    ],
)
def test_mistakes_are_one_line_and_leave_no_trace(
    lcma: Lcma, in_tmp: Path, monkeypatch: pytest.MonkeyPatch, command: str, message: str
) -> None:
    if "--gpus" in command:
        monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    refused(lcma(*command.split()), message)
    assert list(in_tmp.iterdir()) == []


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
        with redirect_stdout(out):
            assert run_lcma("launch", "small.yaml", "--local", "--data", photos_root) == 0
    return Place(f"sqlite:///{folder / 'lcma.db'}", folder / "lcma-runs", photos_root)


@LAUNCHED
def test_a_launch_ends_with_board_and_next_commands(lcma: Lcma, launched: Place) -> None:
    out = (launched.runs.parent / "out.txt").read_text()
    for message in ("low (LL)", "checkerboard-even", "Next:", "lcma maps", "lcma samples"):
        assert message in out
    assert "Made with" not in out, "notes are a command away"
    assert "lcma board --notes" in out
    assert "Made with" in lcma("board", "--db", launched.db, "--notes")[1]
    assert "\nPower: 2 seeds decide nothing; 6 show " in out
    assert "\n3 rows lose to a bar: train longer, or on more images, before more seeds.\n" in out


@LAUNCHED
def test_interpolations_are_drawn_from_and_to_test_images(lcma: Lcma, launched: Place) -> None:
    places = ["--db", launched.db, "--runs", launched.runs, "--data", launched.data]
    command = "samples", "--between", 3, 9, "--steps", 4, "--out", "x", "--format", "svg"
    drawn = json.loads(output_of(lcma(*command, *places, "--json")))
    assert {d["factorization"] for d in drawn} == {"checkerboard-even", "LL", "random-local"}
    assert {(d["from"], d["to"], d["steps"], d["settled"]) for d in drawn} == {(3, 9, 4, True)}
    (picture,) = svg.images(Path(drawn[0]["row"]))
    assert picture.shape == (68, 4 * 66 + 2, 3)
    images = data.load("photos8", launched.data).part("test").images
    for left, index in ((2, 3), (2 + 3 * 66, 9)):
        pixels = picture[2:66:8, left : left + 64 : 8].transpose(2, 0, 1).astype(int)
        assert np.abs(pixels - images[index]).max() <= 1
    refused(lcma("samples", "--where", "colour=red", *places), "colour")
    refused(lcma("samples", "--between", 0, 9999, *places), "--between 9999: photos8 has")
    refused(lcma("samples", "--between", 0, 1, "--steps", 1, *places), "--steps 1")


@LAUNCHED
def test_a_measure_that_not_all_trials_can_have_ends_with_code_1(
    lcma: Lcma, launched: Place
) -> None:
    shutil.copytree(launched.runs, "runs")
    output_of(lcma("db", "backup", "--out", "copy.db", "--db", launched.db))
    places = ["--db", "copy.db", "--runs", "runs", "--data", launched.data]
    measured = json.loads(lcma("measure", "swd", "--samples", 20, "--json", *places)[1])
    unrecorded, *deleted = [row["job_id"] for row in measured[:3]]
    url = f"sqlite:///{Path('copy.db').resolve()}"
    of_job = "attempt_id IN (SELECT id FROM attempts WHERE job_id = '{}')"
    execute(url, f"DELETE FROM artifacts WHERE {of_job.format(unrecorded)}")
    paths = []
    for job in deleted:
        query = f"SELECT path FROM artifacts WHERE kind = 'weights' AND {of_job.format(job)}"
        paths += execute(url, query)[0]
        Path("runs", paths[-1]).unlink()

    command = "measure", "swd", "--samples", 21, *places
    code, out, err = lcma(*command)
    assert code == 1, "part was done"
    assert out.count(": swd ") == len(measured) - 3
    no_weights, no_file = err.splitlines()
    assert no_weights.startswith("lcma: 1 of 6 trials cannot be measured: ")
    assert "left no weights" in no_weights
    assert no_file.startswith("lcma: 2 of 6 trials cannot be measured, the first since cannot read")
    assert no_file.count("cannot read") == no_file.count(paths[0]) == 1
    refused(lcma(*command, "--where", f"trial_id={measured[1]['trial_id']}"), "cannot read")
    kept = json.loads(lcma(*command, "--json")[1])
    where = [f"--where=trial_id={row['trial_id']}" for row in kept]
    assert lcma(*command, *where)[::2] == (0, "")


def test_a_plan_of_a_study_says_what_tune_searches(lcma: Lcma) -> None:
    out = output_of(lcma("plan", "tune"))
    assert "14 of the 14 budgets from 0 to 1000 steps, by 3 seeds each." in out
    assert re.search(r"\nNext    lcma data prepare \S+ && lcma tune tune\n", out)
    assert "&& lcma launch tune --budget 10\n" in lcma("plan", "tune", "--budget", "10")[1]
    matrix = {"flow": ["realnvp", "glow"], "dataset": "photos8", "factorization": "conventional"}
    sweep = {"name": "x", "matrix": matrix, "seeds": 1, "tune": {"budget": {"low": 10, "high": 20}}}
    Path("x.yaml").write_text(json.dumps(sweep))
    out = output_of(lcma("plan", "x.yaml"))
    assert "`lcma tune` searches nothing: x.yaml: `matrix.flow`: a study tunes one" in out
    assert "Next    lcma data prepare photos8 && lcma launch x.yaml\n" in out
