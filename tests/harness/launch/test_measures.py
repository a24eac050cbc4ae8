"""A measure of a plug-in, in one file: taken, and ranked on board and site."""

import errno
import json
import shlex
import socket
import sys
from pathlib import Path

import pytest

from lcma import db
from lcma.db import locate
from lcma.harness.cli import main as cli
from lcma.harness.version import read_code_version
from lcma.sweeps import plugins
from lcma.sweeps.errors import UserError
from tests.db.inspecting import execute
from tests.harness.conftest import SMALL, merged
from tests.harness.launch.conftest import typed

SHORT = merged(SMALL, {"recipe": {"training": {"steps": 10}}})
ROOT = Path(__file__).parents[3]

PAGE = (ROOT / "docs" / "measures.md").read_text(encoding="utf-8")
BRIGHT = PAGE.split("```python\n")[1].split("```")[0]
FAILING = {
    "broken": ("raise ValueError('no such thing')", "ValueError: no such thing (/"),
    "gone": ("raise SystemExit(3)", "SystemExit: 3"),
    "unknown": (
        "images.zero_(); return float('nan')",
        " is nan: a measure must be finite",
    ),
    "silent": ("raise Silent", "an error that cannot be shown"),
    "three": ("return 1.0, 2.0, 3.0", "ValueError: too many values to unpack"),
    "many": ("return images.float().mean((1, 2, 3))", "Error: "),
    "fatal": ("raise BaseException('worse')", "BaseException: worse"),
    "unsure": ("return 1.0, float('inf')", " is inf: a measure must be finite, at most 1e+150"),
    "huge": ("return 10.0 ** 200", " is 1e+200: a measure must be finite, at most 1e+150"),
}
"""Measures by what they do, and why they are not taken."""

MEASURE = """
@lcma.measure("{0}", unit="levels", direction="lower", meaning="nothing")
def {0}(flow, images, seed):
    {1}
"""
SILENT = """
import lcma

class Silent(Exception):
    def __str__(self):
        raise RuntimeError("no text either")
"""
BROKEN = SILENT + "".join(MEASURE.format(name, body) for name, (body, _) in FAILING.items())
PICKY = "import lcma\n" + MEASURE.format("picky", "return {1: 1.0}[seed]")
HIGHER = BRIGHT.replace('"lower"', '"higher"')


@pytest.fixture(autouse=True)
def _unloaded():
    yield
    plugins.unload()


@pytest.fixture(scope="module")
def launched(tmp_path_factory: pytest.TempPathFactory, few_photos_root: Path) -> Path:
    """A folder in which a sweep with three measures, one of which fails, was launched."""
    folder = tmp_path_factory.mktemp("measured")
    sources = {"lower": BRIGHT, "higher": HIGHER.replace("brightness", "shine"), "broken": BROKEN}
    for name, source in sources.items():
        (folder / f"{name}.py").write_text(source, encoding="utf-8")
    matrix = SMALL["matrix"] | {"factorization": ["conventional", "random"]}
    spec = SHORT | {"plugins": [f"{n}.py" for n in sources], "seeds": 2, "matrix": matrix}
    (folder / "sweep.yaml").write_text(json.dumps(spec), encoding="utf-8")
    where = [f"--{n}={folder / f}" for n, f in (("db", "lcma.db"), ("runs", "runs"))]
    path = str(folder / "sweep.yaml")
    command = ["launch", path, "--local", "--no-pictures", *where, f"--data={few_photos_root}"]
    with pytest.raises(SystemExit) as ended:
        cli.main(command)
    assert not ended.value.code
    plugins.unload()
    return folder


def copy_database(launched: Path, copy: Path) -> str:
    """With what is in its log still, for as long as a connection is open."""
    locate(str(launched / "lcma.db")).backup(copy)
    return str(copy)


@pytest.fixture
def where(launched: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The database that was launched, for commands in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return f"--db={launched / 'lcma.db'}"


@pytest.mark.parametrize(("name", "direction"), [("brightness", "lower"), ("shine", "higher")])
def test_a_measure_in_one_file_is_taken_and_ranked(where, capsys, name, direction) -> None:
    store = db.connect(where.removeprefix("--db="), create=False)
    rows = store.view("measures", measure=[name, f"holdout_{name}"])
    assert len(rows) == 2 * 4
    assert set(rows["unit"]) == {"levels"}
    assert (rows["standard_error"] > 0).all()
    code, out, _ = typed(capsys, "board", "--by", name, "--json", where)
    (group,) = json.loads(out)["groups"]
    assert (code, group["measure"], group["direction"]) == (0, name, direction)
    assert group["bars"] == []
    means = [row["mean"] for row in group["rows"]]
    assert means == sorted(means, reverse=direction == "higher")
    of_test = rows[rows.measure == name]
    for row in group["rows"]:
        own = of_test[of_test.factorization == row["factorization"]].sort_values("seed")
        assert row["values"] == list(own.value)
    code, out, _ = typed(capsys, "board", "--by", name, where)
    assert code == 0
    assert name in out
    assert "bits/dim" not in out


def test_a_measure_that_fails_costs_no_training(where, capsys) -> None:
    store = db.connect(where.removeprefix("--db="), create=False)
    assert len(store.view("results")) == 4
    assert store.view("measures", measure=list(FAILING)).empty
    messages = set(store.view("attempts")["message"])
    for name, (_, why) in FAILING.items():
        text = f"the measure {name} was not taken: "
        assert any(text in message and why in message for message in messages)
    code, out, _ = typed(capsys, "why", store.view("results").trial_id[0], where)
    assert code == 0
    for name, (_, why) in FAILING.items():
        assert f"\n  the measure {name} was not taken: " in out
        assert why in out


def test_a_launch_is_stored_with_what_was_typed(where) -> None:
    store = db.connect(where.removeprefix("--db="), create=False)
    (row,) = store.sql("SELECT * FROM launches").to_dict("records")
    assert row["arguments"].startswith("lcma launch ")
    assert "sweep.yaml --local --no-pictures --runs " in row["arguments"]
    assert " --data " in row["arguments"]
    assert "--db" not in row["arguments"]
    assert (row["code_version"], row["host"]) == (read_code_version()[0], socket.gethostname())
    assert set(store.view("attempts")["owner"]) == {row["owner"]}


@pytest.mark.parametrize("name", ["bits_per_dim", "holdout_bits_per_dim", "Not A Name"])
def test_a_name_that_is_taken_or_none_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "plugin.py"
    path.write_text(BROKEN.replace('"broken"', repr(name)), encoding="utf-8")
    with pytest.raises(UserError, match=r"choose another name|use lower case letters"):
        plugins.load_file(path)


def test_settings_of_a_study_by_a_measure(tmp_path: Path) -> None:
    from lcma.sweeps.tuning import Tune

    path = tmp_path / "plugin.py"
    path.write_text(HIGHER, encoding="utf-8")
    plugins.load_file(path)
    tune = Tune.model_validate({"budget": {"low": 0, "high": 10}, "measure": "brightness"})
    assert (tune.tuned_measure, tune.direction) == ("holdout_brightness", "maximize")
    by_samples = Tune.model_validate({"budget": {"low": 0, "high": 10}, "measure": "swd"})
    assert (by_samples.tuned_measure, by_samples.direction) == ("holdout_swd", "minimize")
    already = "already optimizes holdout_brightness: give brightness"
    for change, said in (
        ({"measure": "colour"}, "no measure 'colour'"),
        ({"measure": "kid"}, "kid is not taken at the end of a training: tune by swd"),
        ({"measure": "swd_null"}, "no values of swd_null are better"),
        ({"measure": "holdout_brightness"}, already),
    ):
        with pytest.raises(ValueError, match=said):
            Tune.model_validate({"budget": {"low": 0, "high": 10}, **change})


@pytest.mark.integration
def test_a_verification_takes_it_again(launched: Path, where, capsys, few_photos_root) -> None:
    store = db.connect(where.removeprefix("--db="), create=False)
    trial = store.view("results").trial_id[0]
    asked = ("reproduce", trial, f"--data={few_photos_root}")
    code, out, err = typed(capsys, *asked, where, "--json")
    assert (code, err) == (0, "")
    assert "brightness" in json.loads(out)["uncompared"]
    plugins.load_file(launched / "lower.py")
    copy_database(launched, Path("changed.db"))
    change = "UPDATE measurements SET value = value + 3 WHERE name = 'brightness'"
    execute("sqlite:///changed.db", change)
    code, out, err = typed(capsys, *asked, "--db=changed.db")
    assert (code, err) == (1, ""), "equal bits are due here, in whatever unit"
    lines = {" ".join(line.split()[::4]) for line in out.splitlines()}
    assert {"holdout_brightness equal", "brightness -3"} <= lines
    (line,) = (line for line in out.splitlines() if line.startswith("not compared"))
    assert "shine" in line
    assert "brightness" not in line
    assert out.splitlines()[2].startswith("not equal, though processor")
    assert "largest difference" not in out, "none in bits/dim"


@pytest.fixture
def later(launched: Path, tmp_path: Path) -> tuple[str, Path]:
    """A copy of the database, and a sweep of another measure, with two trials that are there."""
    url = copy_database(launched, tmp_path / "lcma.db")
    (tmp_path / "later.py").write_text(BRIGHT.replace("brightness", "later"), encoding="utf-8")
    rules = ["conventional", "random", "checkerboard-odd"]
    matrix = SMALL["matrix"] | {"factorization": rules}
    spec = SHORT | {"name": "later", "plugins": "later.py", "seeds": 1, "matrix": matrix}
    (tmp_path / "later.yaml").write_text(json.dumps(spec), encoding="utf-8")
    return url, tmp_path / "later.yaml"


@pytest.mark.integration
def test_trials_from_before_a_measure_have_it_from_their_weights(
    launched: Path, later: tuple[str, Path], few_photos_root: Path, capsys
) -> None:
    """By the command that plan and launch print, with the numbers that their training takes."""
    (url, path), places = later, (f"--runs={launched / 'runs'}", f"--data={few_photos_root}")
    launch = ["launch", path, "--local", "--no-pictures"]
    found = []
    for command in (["plan", path, *places[1:]], [*launch, *places]):
        code, out, err = typed(capsys, *command, f"--db={url}")
        assert code == 0, err
        assert "2 trials from before lack later. Take it of the weights that were kept with" in out
        assert "lcma rerun" not in out
        (line,) = [line for line in out.splitlines() if "lcma measure" in line]
        words = shlex.split(line)
        found.append(words[words.index("measure") : words.index("--db")])
    assert found[0] == found[1]
    code, out, err = typed(capsys, *found[0], f"--db={url}", *places)
    assert (code, err) == (0, "")
    assert len(out.splitlines()) == 5  # all of the recipe
    assert out.count("(stored already)") == 1  # of the launch
    rows = db.connect(url).view("measures", measure=["later", "holdout_later"])
    before = db.connect(url).view("measures", measure=["brightness", "holdout_brightness"])
    assert len(rows) == 2 * 5
    assert len(before) == 2 * 4
    columns = ["value", "standard_error", "images"]
    own = rows.assign(name=rows.measure.str.replace("later", "brightness"))
    own = own.set_index(["trial_id", "name"])[columns]
    assert own.loc[list(zip(before.trial_id, before.measure, strict=True))].to_numpy().tolist() == (
        before[columns].to_numpy().tolist()
    )
    code, out, _ = typed(capsys, "plan", path, f"--db={url}", *places[1:])
    assert (code, "from before" in out) == (0, False)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["broken"], ": ValueError: no such thing (/"),
        (["gone"], "the measure gone cannot be taken of trial "),
        (["broken", "--samples", "40"], "--samples is of swd and kid and fid: name one that has"),
        (["brokn"], "'brokn' is not measured of kept weights: did you mean 'broken'"),
    ],
)
def test_what_cannot_be_taken_of_weights_is_one_line(
    launched: Path, where, capsys, few_photos_root: Path, words, said
) -> None:
    plugins.load_file(launched / "broken.py")
    places = (where, f"--runs={launched / 'runs'}", f"--data={few_photos_root}")
    before = (launched / "lcma.db").read_bytes()
    code, out, err = typed(capsys, "measure", *words, *places)
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert said in err
    assert (launched / "lcma.db").read_bytes() == before


def test_a_trial_of_which_a_measure_fails_keeps_no_other_from_it(
    launched: Path, tmp_path: Path, few_photos_root: Path, capsys
) -> None:
    url = copy_database(launched, tmp_path / "lcma.db")
    (tmp_path / "picky.py").write_text(PICKY, encoding="utf-8")
    plugins.load_file(tmp_path / "picky.py")
    places = (f"--db={url}", f"--runs={launched / 'runs'}", f"--data={few_photos_root}")
    for already in (0, 2):
        code, out, err = typed(capsys, "measure", "picky", *places)
        assert (code, len(out.splitlines()), len(err.splitlines())) == (1, 2, 1)
        assert out.count("(stored already)") == already
        assert "2 of 4 trials cannot be measured, the first since the measure picky cannot" in err
        assert "KeyError: 0 (/" in err
    assert {*db.connect(url).view("measures", measure="picky").seed} == {1}


@pytest.mark.parametrize("called", ["lcma.harness.storage.folder.open_regular", "os.scandir"])
def test_a_place_that_is_unreachable_is_asked_once(
    launched: Path, where, capsys, few_photos_root: Path, monkeypatch, called: str
) -> None:
    runs, tried = launched / "runs", []
    module, name = called.rsplit(".", 1)
    real = getattr(sys.modules[module], name)

    def unreachable(path: Path) -> object:
        if not Path(path).is_relative_to(runs):
            return real(path)
        tried.append(path)
        raise OSError(errno.ETIMEDOUT, "Connection timed out")

    monkeypatch.setattr(called, unreachable)
    places = (where, f"--runs={runs}", f"--data={few_photos_root}")
    code, out, err = typed(capsys, "measure", "swd", "--samples=40", *places)
    assert (code, out, len(tried)) == (2, "", 1)
    assert err.startswith(f"lcma: cannot read {runs}/")
    assert err.endswith("(Connection timed out): look after that disk\n")
    assert "cannot be measured" not in err


@pytest.mark.integration
def test_trials_without_weights_are_named_and_trained_anew_with_a_measure(
    later: tuple[str, Path], tmp_path: Path, few_photos_root: Path, capsys
) -> None:
    """By the command that plan and launch print, and no other trial is."""
    (url, path), data = later, f"--data={few_photos_root}"
    launch = ["launch", path, "--local", "--no-pictures", f"--runs={tmp_path / 'runs'}"]
    before = db.connect(url).view("results", seed=0).set_index("trial_id")
    one = (
        "SELECT attempts.id FROM attempts JOIN jobs ON jobs.id = job_id "
        f"WHERE trial_id = '{before.index[0]}'"
    )
    gone = "DELETE FROM artifacts WHERE kind = 'weights'"
    execute(f"sqlite:///{url}", f"{gone} AND attempt_id IN ({one})")
    _, out, _ = typed(capsys, "plan", path, f"--db={url}", data)
    assert "2 trials from before lack later. Take it of the weights that were kept with" in out
    assert "1 trial of them left no weights. A launch after this trains anew" in out
    assert f"lcma rerun {before.index[0][:8]} --db" in out
    execute(f"sqlite:///{url}", gone)
    said = "2 trials from before lack later. A launch after this trains anew"
    for command in (["plan", path], launch):
        code, out, err = typed(capsys, *command, f"--db={url}", data)
        assert code == 0, err
        assert said in out
        (again,) = [line for line in out.splitlines() if "lcma rerun" in line]
        trials = again.split("lcma rerun ")[1].split(" --db")[0].split()
        assert {i[:8] for i in before.index} == set(trials)
    assert typed(capsys, "rerun", *trials, f"--db={url}")[0] == 0
    code, out, err = typed(capsys, *launch, f"--db={url}", data)
    assert code == 0, err
    assert "from before" not in out
    store = db.connect(url)
    assert len(store.view("measures", measure=["later"])) == 3
    after = store.view("results", seed=0).set_index("trial_id")
    assert (after.bits_per_dim[before.index] == before.bits_per_dim).all()
    assert (after.attempt_id[before.index] != before.attempt_id).all()
