"""A result is reproduced: its trial is trained again elsewhere, and compared."""

import io
import math
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa
from rich.console import Console

from lcma import db
from lcma.harness.launch import reproduction
from lcma.harness.launch.reproduction import Reproduction, reproduce
from lcma.harness.place import Place
from lcma.harness.show.reproduction import render_reproduction, reproduction_as_dict
from lcma.harness.work.worker import run_work
from lcma.sweeps.errors import UserError
from lcma.sweeps.measures import TIME_MEASURES
from tests.db.inspecting import execute
from tests.harness.launch.conftest import place_in, register

OPTIONS = {
    "matrix": {"factorization": ["low"]},
    "recipe": {
        "maps": {"score": "normalized", "masks": "swapped"},
        "training": {"steps": 4},
    },
}


@pytest.fixture(scope="module")
def trained_once(tmp_path_factory: pytest.TempPathFactory, photos_root: Path) -> Path:
    """A folder with a database in which a trial was trained that reads maps by options."""
    folder = tmp_path_factory.mktemp("trained")
    place = place_in(folder, photos_root)
    for work in register(place, OPTIONS)[1]:
        assert run_work(work).ending == "done"
    return folder


@pytest.fixture(scope="module")
def trained_again(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., None]:
    """What a reproduction trains: the first one does, and those after it take that one's."""
    kept = tmp_path_factory.mktemp("again") / "kept.db"
    train = reproduction._train

    def train_once(store: db.Store, *given: Any) -> None:
        if kept.exists():
            path = sa.make_url(store.url).database
            with closing(sqlite3.connect(kept)) as one, closing(sqlite3.connect(path)) as other:
                one.backup(other)
            return
        train(store, *given)
        store.database.backup(kept)

    return train_once


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch, trained_again: Callable[..., None]) -> None:
    """For a test of what is compared, and not of what is trained."""
    monkeypatch.setattr(reproduction, "_train", trained_again)


@pytest.fixture
def trained(trained_once: Path, tmp_path: Path, photos_root: Path) -> SimpleNamespace:
    """The same in a place of its own."""
    folder = Path(shutil.copytree(trained_once, tmp_path / "copy"))
    place = place_in(folder, photos_root)
    store = db.connect(place.db)

    def again(**more: Any) -> Reproduction:
        trial_id = str(store.view("results").trial_id[0])
        return reproduce(store, place, trial_id, **{"tolerance": 1e-4, **more})

    return SimpleNamespace(
        store=store, place=place, change=partial(execute, store.url), again=again
    )


def _dump(store: db.Store) -> dict[str, list[Any]]:
    tables = ("jobs", "attempts", "events", "measurements", "artifacts")
    return {name: store.sql(f"SELECT * FROM {name}").to_dict("records") for name in tables}


def _add_seed(trained: SimpleNamespace, seed: int, bits: float) -> None:
    """Add a result with these bits/dim, and all else as the trial has it."""
    names = ("id", "trial_id", "job_id", "attempt_id", "done_attempt_id", "measured_by", "digest")
    new = dict.fromkeys(names, f"'{seed}'")
    of_trial = "WHERE trial_id IS NOT NULL"
    for table, only in (
        ("flow_trials", ""),
        ("jobs", of_trial),
        ("attempts", f"WHERE id IN (SELECT done_attempt_id FROM jobs {of_trial})"),
        ("measurements", "WHERE name = 'bits_per_dim'"),
    ):
        columns = list(trained.store.sql(f"SELECT * FROM {table} LIMIT 0"))
        its = new | {"seed": str(seed), "value": str(bits)}
        values = ", ".join(its.get(column, column) for column in columns)
        into = f"INSERT INTO {table} ({', '.join(columns)})"
        trained.change(f"{into} SELECT {values} FROM {table} {only} LIMIT 1")


def _render(made: Reproduction) -> str:
    console = Console(width=200, file=io.StringIO())
    console.print(render_reproduction(made))
    return console.file.getvalue()


@pytest.mark.integration
@pytest.mark.usefixtures("shared")
def test_the_same_code_gives_every_measure_to_the_bit(trained: SimpleNamespace) -> None:
    before, files = _dump(trained.store), sorted(trained.place.runs.rglob("*"))
    steps: list[tuple[int, int]] = []
    made = trained.again(progress=lambda done, total: steps.append((done, total)))
    assert (made.equal, made.largest_difference, made.verified) == (True, 0.0, True)
    names = {one.name for one in made.comparisons}
    assert {"bits_per_dim", "log_det", "bound_bits_per_dim"} < names
    assert not TIME_MEASURES.intersection(names)
    assert made.uncompared == ()
    assert made.made == made.made_again
    assert made.maps_made == made.maps_made_again != {}
    assert made.other_tables == ()
    assert steps[-1] == (14, 14)
    assert str(_dump(trained.store)) == str(before)
    assert sorted(trained.place.runs.rglob("*")) == files


@pytest.mark.usefixtures("shared")
def test_maps_that_do_not_come_out_again_are_named(trained: SimpleNamespace) -> None:
    """By where they were made: a trial can read maps that another machine made."""
    columns = [c for c in trained.store.sql("SELECT * FROM environments LIMIT 0") if c != "id"]
    others = ", ".join("'abacus'" if c == "device" else c for c in columns)
    trained.change(
        f"INSERT INTO environments (id, {', '.join(columns)}) SELECT 'other', {others} "
        "FROM environments"
    )
    trained.change(
        "UPDATE attempts SET environment_id = 'other' WHERE job_id IN "
        "(SELECT id FROM jobs WHERE kind = 'pretraining')"
    )
    trained.change("UPDATE index_tables SET digest = 'other' WHERE split = 1")
    made = trained.again()
    assert made.other_tables == (1,)
    assert made.made == made.made_again
    assert made.maps_made["device"] == "abacus" != made.maps_made_again["device"]
    text = _render(made)
    assert "differ at split 1, because its maps differ: this is another model\n" in text
    alone = replace(made, trial=replace(made.trial, pretraining_id=None))
    assert "differ at split 1: this is another model\n" in _render(alone), "online has no maps"
    assert "maps' device: abacus then" in text
    assert "\ndevice:" not in text
    found = reproduction_as_dict(made)
    assert (found["other_tables"], found["maps_made"]["device"]) == ([1], "abacus")


@pytest.mark.usefixtures("shared")
def test_a_log_determinant_counts_by_dimension_and_a_bound_of_other_draws_does_not(
    trained: SimpleNamespace,
) -> None:
    trained.change("UPDATE measurements SET value = value + 1 WHERE name LIKE 'bound%'")
    made = trained.again(tolerance=0.0)
    assert made.equal
    assert made.uncompared == ("bound_bits_per_dim", "bound_draws", "bound_gain")
    trained.change("UPDATE measurements SET value = value + 9 WHERE name = 'log_det'")
    made = trained.again()
    (row,) = trained.store.sql("SELECT channels, height, width FROM data_sets").to_dict("records")
    bits = 9 / (row["channels"] * row["height"] * row["width"] * math.log(2))
    assert made.largest_difference == pytest.approx(bits)
    assert not made.equal
    line = f"the largest difference is that of log_det: 9 nats per image, {bits:.2g} bits/dim"
    assert line in _render(made)
    assert reproduction_as_dict(made)["largest_difference_of"] == "log_det"


@pytest.mark.usefixtures("shared")
@pytest.mark.parametrize(
    ("moved", "others", "elsewhere", "outcome", "good"),
    [
        (0.0, (0.03, 0.0, -0.03), True, "equal to the last bit", True),
        (0.05, (0.03, 0.0, -0.03), True, "within the spread of seeds", True),
        (0.07, (0.03, 0.0, -0.03), True, "outside the spread of seeds", False),
        (0.05, (0.03, -0.03), True, "outside the tolerance of 0.01 bits/dim", False),
        (0.005, (0.03, -0.03), True, "within the tolerance of 0.01 bits/dim", True),
        (
            1e-9,
            (0.03, 0.0, -0.03),
            False,
            "not equal, though processor, PyTorch and threads are the same",
            False,
        ),
    ],
)
def test_bits_are_due_here_and_the_spread_of_seeds_elsewhere(
    trained: SimpleNamespace,
    moved: float,
    others: tuple[float, ...],
    elsewhere: bool,
    outcome: str,
    good: bool,
) -> None:
    """By two standard deviations, here 0.06, of three other seeds or more."""
    before = trained.store.view("results").bits_per_dim[0]
    trained.change(f"UPDATE measurements SET value = value - {moved} WHERE name = 'bits_per_dim'")
    for seed, away in enumerate(others, start=70):
        _add_seed(trained, seed, before + away)
    if elsewhere:
        trained.change("UPDATE environments SET device = 'abacus'")
    made = trained.again(tolerance=0.01)
    assert (made.outcome, made.verified) == (outcome, good)
    assert made.same_environment is not elsewhere
    spread = "standard deviation 0.0300" if len(others) == 3 else "too few for a spread"
    lines = _render(made).splitlines()
    assert lines[1] == (
        f"bits/dim of the test part: {before - moved:.6f} then, {before:.6f} now, "
        f"difference {moved:+.2g}; {len(others)} other seeds, {spread}"
    )
    assert lines[2].endswith(outcome)
    found = reproduction_as_dict(made)
    assert (found["outcome"], found["verified"]) == (outcome, good)
    assert (found["other_seeds"], found["same_environment"]) == (len(others), not elsewhere)
    assert found["spread"] == (pytest.approx(0.03) if len(others) == 3 else None)


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE flow_trials SET factorization = 'mine'", "name in LCMA_PLUGINS the plug-in"),
        ('UPDATE flow_trials SET map_options = \'{"score": "odd"}\'', "is another trial here"),
        ("UPDATE recipes SET body = replace(body, 'realnvp', 'mine')", "LCMA_PLUGINS the plug-in"),
    ],
)
def test_what_this_version_cannot_train_is_refused(
    trained: SimpleNamespace, statement: str, said: str
) -> None:
    trained.change(statement)
    with pytest.raises(UserError, match=said) as refused:
        trained.again()
    assert "or take lcma" not in str(refused.value), "it is the version that made it"
    if said == "is another trial here":
        trained.change("UPDATE environments SET code_version = 'tomorrow'")
        with pytest.raises(UserError, match="as it was, or take lcma tomorrow"):
            trained.again()


def test_a_training_that_fails_is_one_line(trained: SimpleNamespace, tmp_path: Path) -> None:
    """Here that of a pretraining whose images have gone bad."""
    images = tmp_path / "data" / "photos8"
    shutil.copytree(trained.place.data / "photos8", images)
    content = bytearray((images / "train.npy").read_bytes())
    content[-1] ^= 1
    (images / "train.npy").write_bytes(content)
    place = Place(trained.place.db, trained.place.runs, images.parent)
    one = trained.store.view("results").trial_id[0]
    with pytest.raises(UserError, match="could not be trained again") as refused:
        reproduce(trained.store, place, one, tolerance=0.1)
    assert "damaged" in str(refused.value)
