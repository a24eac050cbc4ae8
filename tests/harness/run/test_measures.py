"""A measure of a plug-in, in one file: taken, ranked on board and site, and tuned."""

import json
from pathlib import Path

import pytest

from lcma import db
from lcma.harness.cli import main as cli
from lcma.sweeps import plugins
from lcma.sweeps.errors import UserError
from lcma.sweeps.measures import SHIPPED
from tests.harness.conftest import SMALL

ROOT = Path(__file__).parents[3]

PAGE = (ROOT / "docs" / "measures.md").read_text(encoding="utf-8")
BRIGHT = PAGE.split("```python\n")[1].split("```")[0]
BROKEN = """
import lcma

@lcma.measure("broken", unit="levels", direction="lower", meaning="nothing")
def broken(flow, images, seed):
    raise ValueError("there is no such thing")
"""


@pytest.fixture(autouse=True)
def _unloaded():
    yield
    plugins.unload()


def typed(capsys, *arguments: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        cli.main([str(one) for one in arguments])
    found = capsys.readouterr()
    return int(ended.value.code or 0), found.out, found.err


@pytest.fixture
def launch(capsys, tmp_path, photos_root: Path, monkeypatch):
    """Launches a small sweep with a plug-in beside it, here; where, for other commands."""
    monkeypatch.chdir(tmp_path)

    def run(*sources: str, **more: object) -> list[object]:
        names = []
        for number, source in enumerate(sources):
            names.append(f"plugin{number}.py")
            Path(names[-1]).write_text(source, encoding="utf-8")
        matrix = SMALL["matrix"] | {"factorization": ["conventional", "random"]}
        spec = SMALL | {"plugins": names, "seeds": 2, "matrix": matrix, **more}
        Path("sweep.yaml").write_text(json.dumps(spec), encoding="utf-8")
        where = ["--db", "lcma.db", "--runs", "runs"]
        code, _, err = typed(
            capsys, "launch", "sweep.yaml", "--local", *where, "--data", photos_root
        )
        assert code == 0, err
        return where

    return run


@pytest.mark.parametrize("direction", ["lower", "higher"])
def test_a_measure_in_one_file_is_taken_and_ranked(launch, capsys, direction: str) -> None:
    where = launch(BRIGHT.replace('direction="lower"', f'direction="{direction}"'))
    store = db.connect("lcma.db", create=False)
    rows = store.view("trial_measures", measure=["brightness", "holdout_brightness"])
    assert len(rows) == 2 * 4
    assert set(rows["unit"]) == {"levels"}
    assert (rows["standard_error"] > 0).all()
    code, out, _ = typed(capsys, "board", "--by", "brightness", "--json", *where[:2])
    (group,) = json.loads(out)["groups"]
    assert (code, group["measure"], group["direction"]) == (0, "brightness", direction)
    assert group["bars"] == []
    means = [row["mean"] for row in group["rows"]]
    assert means == sorted(means, reverse=direction == "higher")
    of_test = rows[rows.measure == "brightness"]
    for row in group["rows"]:
        own = of_test[of_test.factorization == row["factorization"]].sort_values("seed")
        assert row["values"] == list(own.value)
    code, out, _ = typed(capsys, "board", "--by", "brightness", *where[:2])
    assert code == 0
    assert "brightness" in out
    assert "bits/dim" not in out.replace("bits/dim: ", "")
    code, _, err = typed(
        *(capsys, "export", "--format", "html", "--out", "site", "--measure", "brightness"),
        *("--no-samples", *where),
    )
    assert code == 0, err
    page = Path("site/index.html").read_text(encoding="utf-8")
    assert "ranked by brightness" in page


def test_a_measure_that_fails_costs_no_training(launch) -> None:
    launch(BROKEN)
    store = db.connect("lcma.db", create=False)
    assert len(store.results()) == 4
    assert store.view("trial_measures", measure="broken").empty
    messages = set(store.attempts()["message"])
    assert any("broken was not taken: ValueError: there is no such thing" in m for m in messages)


def test_a_board_by_what_is_not_there_is_one_line(launch, capsys) -> None:
    where = launch(BROKEN)
    for name in ("colour", "log_det"):
        code, out, err = typed(capsys, "board", "--by", name, *where[:2])
        assert (code, out) == (2, "")
        assert f"cannot be ranked by '{name}': choose among " in err
        assert "bits_per_dim" in err


@pytest.mark.parametrize("name", ["bits_per_dim", "holdout_bits_per_dim", "Not A Name"])
def test_a_name_that_is_taken_or_none_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "plugin.py"
    path.write_text(BROKEN.replace('"broken"', repr(name)), encoding="utf-8")
    with pytest.raises(UserError, match=r"choose another name|use lower case letters"):
        plugins.load_file(path)


@pytest.mark.parametrize("direction", ["lower", "higher"])
def test_a_study_tunes_by_it(capsys, tmp_path, photos_root, monkeypatch, direction: str) -> None:
    """By values on the holdout part; more is better is turned round for Optuna."""
    monkeypatch.chdir(tmp_path)
    Path("own.py").write_text(BRIGHT.replace('"lower"', f'"{direction}"'), encoding="utf-8")
    tune = {"budget": {"low": 10, "high": 20}, "trials": 3, "measure": "brightness"}
    matrix = SMALL["matrix"] | {"factorization": ["conventional"], "budget": []}
    spec = SMALL | {"plugins": "own.py", "seeds": 1, "tune": tune, "matrix": matrix}
    Path("sweep.yaml").write_text(json.dumps(spec), encoding="utf-8")
    where = ("--db", "lcma.db", "--runs", "runs", "--data", photos_root)
    code, out, err = typed(capsys, "tune", "sweep.yaml", "--local", "--json", *where)
    assert code == 0, err
    found = json.loads(out)
    store = db.connect("lcma.db", create=False)
    rows = store.view("trial_measures", measure="holdout_brightness")
    values = {row.budget: row.value for row in rows.dropna(subset="budget").itertuples()}
    told = {row["budget"]: row["mean"] for row in found["rows"]}
    assert {budget: told[budget] for budget in values} == values
    best = (min if direction == "lower" else max)(values.values())
    assert found["best"]["mean"] == best


def test_settings_of_a_study_by_a_measure(tmp_path: Path) -> None:
    from lcma.sweeps.tuning import Tune

    path = tmp_path / "plugin.py"
    path.write_text(BRIGHT.replace('"lower"', '"higher"'), encoding="utf-8")
    plugins.load_file(path)
    tune = Tune.model_validate({"budget": {"low": 0, "high": 10}, "measure": "brightness"})
    assert (tune.tuned, tune.sign) == ("holdout_brightness", -1)
    with pytest.raises(ValueError, match="no measure 'colour'"):
        Tune.model_validate({"budget": {"low": 0, "high": 10}, "measure": "colour"})
    stop = {"rungs": [10]}
    with pytest.raises(ValueError, match="only bits/dim are known"):
        Tune.model_validate(
            {"budget": {"low": 0, "high": 10}, "measure": "brightness", "stop": stop}
        )


def test_the_page_lists_every_measure() -> None:
    rows = [line.strip("| ").split(" | ") for line in PAGE.splitlines() if line.startswith("| `")]
    assert rows == [
        [f"`{k.name}`", k.unit, k.direction or "not ranked", k.meaning] for k in SHIPPED
    ]
