"""A measure of a plug-in in one file: taken, ranked, verified, and taken of kept weights."""

import errno
import json
import shlex
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from lcma import db
from lcma.harness.version import read_code_version
from lcma.sweeps import plugins
from lcma.sweeps.errors import UserError
from lcma.sweeps.tuning import Tune
from tests.db.inspecting import execute
from tests.harness.cli.conftest import run_lcma
from tests.harness.conftest import SMALL, merged
from tests.harness.launch.conftest import run_cli
from tests.processes import ROOT
from tests.sweeps.test_plugins import install

pytestmark = pytest.mark.usefixtures("without_plugins")

SHORT = merged(SMALL, {"recipe": {"training": {"steps": 10}}})

PAGE = (ROOT / "docs" / "measures.md").read_text()
BRIGHT = PAGE.split("```python\n")[1].split("```")[0]
FAILING = {
    "broken": ("raise ValueError('no such thing')", "ValueError: no such thing (/"),
    "gone": ("raise SystemExit(3)", "SystemExit: 3"),
    "unknown": ("images.zero_(); return float('nan')", " is nan: a measure must be finite"),
    "silent": ("raise Silent", "an error that cannot be shown"),
    "three": ("return 1.0, 2.0, 3.0", "ValueError: too many values to unpack"),
    "many": ("return images.float().mean((1, 2, 3))", "Error: "),
    "fatal": ("raise BaseException('worse')", "BaseException: worse"),
    "unsure": ("return 1.0, float('inf')", " is inf: a measure must be finite, at most 1e+150"),
    "huge": ("return 10.0 ** 200", " is 1e+200: a measure must be finite, at most 1e+150"),
}
"""The body of each measure, and the reason why it is not taken."""

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


class Site:
    """A launched database, its runs and the data, and commands about them."""

    def __init__(self, launched: Path, database: Path, data: Path, capsys: Any) -> None:
        self.launched, self.database, self.capsys = launched, database, capsys
        self.data = f"--data={data}"
        self.places = (f"--runs={launched / 'runs'}", self.data)

    @property
    def store(self) -> db.Store:
        return db.connect(str(self.database), create=False)

    def run(self, *arguments: object) -> tuple[int, str, str]:
        return run_cli(self.capsys, *arguments, f"--db={self.database}")


@pytest.fixture(scope="module")
def launched(tmp_path_factory: pytest.TempPathFactory, few_photos_root: Path) -> Path:
    """A folder in which a sweep with measures was launched; those of `FAILING` fail."""
    folder = tmp_path_factory.mktemp("measured")
    sources = {"lower": BRIGHT, "higher": HIGHER.replace("brightness", "shine"), "broken": BROKEN}
    for name, source in sources.items():
        (folder / f"{name}.py").write_text(source)
    matrix = SMALL["matrix"] | {"factorization": ["conventional", "random"]}
    spec = SHORT | {"plugins": [f"{name}.py" for name in sources], "seeds": 2, "matrix": matrix}
    (folder / "sweep.yaml").write_text(json.dumps(spec))
    command = ["launch", str(folder / "sweep.yaml"), "--local"]
    command += [f"--db={folder / 'lcma.db'}", f"--runs={folder / 'runs'}"]
    assert run_lcma(*command, f"--data={few_photos_root}") == 0
    plugins.unload()
    return folder


@pytest.fixture
def site(launched: Path, few_photos_root: Path, in_tmp: Path, capsys: Any) -> Site:
    """The launched database, for commands in an empty folder."""
    return Site(launched, launched / "lcma.db", few_photos_root, capsys)


@pytest.fixture
def copied_site(site: Site, few_photos_root: Path, in_tmp: Path, capsys: Any) -> Site:
    """The same with a copy of the database, in the current folder."""
    db.locate(str(site.database)).backup(in_tmp / "lcma.db")
    return Site(site.launched, in_tmp / "lcma.db", few_photos_root, capsys)


@pytest.mark.parametrize(("name", "direction"), [("brightness", "lower"), ("shine", "higher")])
def test_a_measure_in_one_file_is_taken_and_ranked(site, name, direction) -> None:
    rows = site.store.view("measures", measure=[name, f"holdout_{name}"])
    assert len(rows) == 2 * 4
    assert set(rows["unit"]) == {"levels"}
    assert (rows["standard_error"] > 0).all()
    code, out, _ = site.run("board", "--by", name, "--json")
    (group,) = json.loads(out)["groups"]
    assert (code, group["measure"], group["direction"]) == (0, name, direction)
    assert group["bars"] == []
    means = [row["mean"] for row in group["rows"]]
    assert means == sorted(means, reverse=direction == "higher")
    of_test = rows[rows.measure == name]
    for row in group["rows"]:
        trials = of_test[of_test.factorization == row["factorization"]].sort_values("seed")
        assert row["values"] == list(trials.value)
    code, out, _ = site.run("board", "--by", name)
    assert code == 0
    assert name in out
    assert "bits/dim" not in out


def test_a_measure_that_fails_costs_no_training(site) -> None:
    store = site.store
    assert len(store.view("results")) == 4
    assert store.view("measures", measure=list(FAILING)).empty
    messages = set(store.view("attempts")["message"])
    code, out, _ = site.run("why", store.view("results").trial_id[0])
    assert code == 0
    for name, (_, reason) in FAILING.items():
        line = f"the measure {name} was not taken: "
        assert any(line in message and reason in message for message in messages)
        assert f"\n  {line}" in out
        assert reason in out


def test_a_launch_is_stored_with_its_command(site) -> None:
    (row,) = site.store.sql("SELECT * FROM launches").to_dict("records")
    assert row["arguments"].startswith("lcma launch ")
    assert "sweep.yaml --local --runs " in row["arguments"]
    assert " --data " in row["arguments"]
    assert "--db" not in row["arguments"]
    assert (row["code_version"], row["host"]) == (read_code_version()[0], socket.gethostname())
    assert set(site.store.view("attempts")["owner"]) == {row["owner"]}


@pytest.mark.parametrize("name", ["bits_per_dim", "holdout_bits_per_dim", "Not A Name"])
def test_a_measure_with_a_taken_or_malformed_name_is_refused(tmp_path, name) -> None:
    path = tmp_path / "plugin.py"
    path.write_text(BROKEN.replace('"broken"', repr(name)))
    with pytest.raises(UserError, match=r"choose another name|use lower case letters"):
        plugins.load_file(path)


def test_a_study_optimizes_a_measure_on_the_holdout_part(tmp_path) -> None:
    def make_tune(measure: str) -> Tune:
        return Tune.model_validate({"budget": {"low": 0, "high": 10}, "measure": measure})

    (tmp_path / "plugin.py").write_text(HIGHER)
    plugins.load_file(tmp_path / "plugin.py")
    tune = make_tune("brightness")
    assert (tune.tuned_measure, tune.direction) == ("holdout_brightness", "maximize")
    tune = make_tune("swd")
    assert (tune.tuned_measure, tune.direction) == ("holdout_swd", "minimize")
    for measure, message in (
        ("colour", "no measure 'colour'"),
        ("kid", "kid is not taken at the end of a training: tune by swd"),
        ("swd_null", "no values of swd_null are better"),
        ("holdout_brightness", "already optimizes holdout_brightness: give brightness"),
    ):
        with pytest.raises(ValueError, match=message):
            make_tune(measure)


@pytest.mark.integration
def test_a_verification_takes_the_measure_again(copied_site) -> None:
    site = copied_site
    command = ("reproduce", site.store.view("results").trial_id[0], site.data)
    code, out, err = site.run(*command, "--json")
    assert (code, err) == (0, "")
    assert "brightness" in json.loads(out)["uncompared"]
    plugins.load_file(site.launched / "lower.py")
    change = "UPDATE measurements SET value = value + 3 WHERE name = 'brightness'"
    execute(f"sqlite:///{site.database}", change)
    code, out, err = site.run(*command)
    assert (code, err) == (1, ""), "equal bits are due here, in any unit"
    lines = {" ".join(line.split()[::4]) for line in out.splitlines()}
    assert {"holdout_brightness equal", "brightness -3"} <= lines
    (line,) = (line for line in out.splitlines() if line.startswith("not compared"))
    assert "shine" in line
    assert "brightness" not in line
    assert out.splitlines()[2].startswith("not equal, though processor")
    assert "largest difference" not in out, "none in bits/dim"


@pytest.fixture
def spec_path(in_tmp: Path) -> Path:
    """A sweep with the new measure `later`; two of its three trials have run without it."""
    (in_tmp / "later.py").write_text(BRIGHT.replace("brightness", "later"))
    rules = ["conventional", "random", "checkerboard-odd"]
    matrix = SMALL["matrix"] | {"factorization": rules}
    spec = SHORT | {"name": "later", "plugins": "later.py", "seeds": 1, "matrix": matrix}
    (in_tmp / "later.yaml").write_text(json.dumps(spec))
    return in_tmp / "later.yaml"


@pytest.mark.integration
def test_the_printed_command_takes_a_new_measure_of_kept_weights(copied_site, spec_path) -> None:
    """The values equal those that a training takes."""
    site, commands = copied_site, []
    launch = ["launch", spec_path, "--local", *site.places]
    for command in (["plan", spec_path, site.data], launch):
        code, out, err = site.run(*command)
        assert code == 0, err
        assert "2 trials from before lack later. Take it of the weights that were kept with" in out
        assert "lcma rerun" not in out
        (line,) = [line for line in out.splitlines() if "lcma measure" in line]
        words = shlex.split(line)
        commands.append(words[words.index("measure") : words.index("--db")])
    assert commands[0] == commands[1]
    code, out, err = site.run(*commands[0], *site.places)
    assert (code, err) == (0, "")
    assert len(out.splitlines()) == 5  # all trials of the recipe
    assert out.count("(stored already)") == 1  # of the launch
    rows = site.store.view("measures", measure=["later", "holdout_later"])
    before = site.store.view("measures", measure=["brightness", "holdout_brightness"])
    assert len(rows) == 2 * 5
    assert len(before) == 2 * 4
    columns = ["value", "standard_error", "images"]
    rows = rows.assign(name=rows.measure.str.replace("later", "brightness"))
    rows = rows.set_index(["trial_id", "name"])[columns]
    keys = list(zip(before.trial_id, before.measure, strict=True))
    assert rows.loc[keys].to_numpy().tolist() == before[columns].to_numpy().tolist()
    code, out, _ = site.run("plan", spec_path, site.data)
    assert (code, "from before" in out) == (0, False)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["broken"], ": ValueError: no such thing (/"),
        (["gone"], "the measure gone cannot be taken of trial "),
        (["broken", "--samples", "40"], "--samples is of swd and kid and fid: name one that has"),
        (["brokn"], "'brokn' is not measured of kept weights: did you mean 'broken'"),
    ],
)
def test_what_cannot_be_taken_of_weights_is_one_line(site, words, message) -> None:
    plugins.load_file(site.launched / "broken.py")
    before = site.database.read_bytes()
    code, out, err = site.run("measure", *words, *site.places)
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert message in err
    assert site.database.read_bytes() == before


def test_a_measure_of_an_installed_package_is_known(copied_site, tmp_path, monkeypatch) -> None:
    source = "import lcma\n" + MEASURE.format("installed", "return 1.0")
    (tmp_path / "own_measures.py").write_text(source)
    install(tmp_path, "1.0", "own_measures")
    monkeypatch.syspath_prepend(str(tmp_path))
    code, _, err = copied_site.run("measure", "installed", *copied_site.places)
    assert (code, err) == (0, "")
    assert set(copied_site.store.view("measures", measure="installed").value) == {1.0}


def test_a_measure_that_fails_on_a_trial_is_taken_of_the_others(copied_site, tmp_path) -> None:
    (tmp_path / "picky.py").write_text(PICKY)
    plugins.load_file(tmp_path / "picky.py")
    for stored in (0, 2):
        code, out, err = copied_site.run("measure", "picky", *copied_site.places)
        assert (code, len(out.splitlines()), len(err.splitlines())) == (1, 2, 1)
        assert out.count("(stored already)") == stored
        assert "2 of 4 trials cannot be measured, the first since the measure picky cannot" in err
        assert "KeyError: 0 (/" in err
    assert {*copied_site.store.view("measures", measure="picky").seed} == {1}


@pytest.mark.parametrize("function", ["lcma.harness.storage.folder.open_regular", "os.scandir"])
def test_an_unreachable_place_is_tried_once(site, monkeypatch, function) -> None:
    runs, tried_paths = site.launched / "runs", []
    module, name = function.rsplit(".", 1)
    real = getattr(sys.modules[module], name)

    def fail(path: Path) -> object:
        if not Path(path).is_relative_to(runs):
            return real(path)
        tried_paths.append(path)
        raise OSError(errno.ETIMEDOUT, "Connection timed out")

    monkeypatch.setattr(function, fail)
    code, out, err = site.run("measure", "swd", "--samples=40", *site.places)
    assert (code, out, len(tried_paths)) == (2, "", 1)
    assert err.startswith(f"lcma: cannot read {runs}/")
    assert err.endswith("(Connection timed out): look after that disk\n")
    assert "cannot be measured" not in err


@pytest.mark.integration
def test_the_printed_command_reruns_only_trials_without_weights(
    copied_site, spec_path, tmp_path
) -> None:
    site = copied_site
    launch = ["launch", spec_path, "--local", f"--runs={tmp_path / 'runs'}"]
    before = site.store.view("results", seed=0).set_index("trial_id")
    attempt_ids = (
        "SELECT attempts.id FROM attempts JOIN jobs ON jobs.id = job_id "
        f"WHERE trial_id = '{before.index[0]}'"
    )
    remove_weights = "DELETE FROM artifacts WHERE kind = 'weights'"
    execute(f"sqlite:///{site.database}", f"{remove_weights} AND attempt_id IN ({attempt_ids})")
    _, out, _ = site.run("plan", spec_path, site.data)
    assert "2 trials from before lack later. Take it of the weights that were kept with" in out
    assert "1 trial of them left no weights. A launch after this trains anew" in out
    assert f"lcma rerun {before.index[0][:8]} --db" in out
    execute(f"sqlite:///{site.database}", remove_weights)
    for command in (["plan", spec_path], launch):
        code, out, err = site.run(*command, site.data)
        assert code == 0, err
        assert "2 trials from before lack later. A launch after this trains anew" in out
        (line,) = [line for line in out.splitlines() if "lcma rerun" in line]
        trials = line.split("lcma rerun ")[1].split(" --db")[0].split()
        assert {trial_id[:8] for trial_id in before.index} == set(trials)
    assert site.run("rerun", *trials)[0] == 0
    code, out, err = site.run(*launch, site.data)
    assert code == 0, err
    assert "from before" not in out
    assert len(site.store.view("measures", measure=["later"])) == 3
    after = site.store.view("results", seed=0).set_index("trial_id")
    assert (after.bits_per_dim[before.index] == before.bits_per_dim).all()
    assert (after.attempt_id[before.index] != before.attempt_id).all()
