"""`lcma reproduce` trains a trial again elsewhere, and compares the results."""

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

from lcma import db
from lcma.harness.launch import reproduction
from lcma.harness.launch.reproduction import Reproduction, reproduce
from lcma.harness.place import Place
from lcma.harness.show.reproduction import render_reproduction, reproduction_as_dict
from lcma.sweeps.errors import UserError
from lcma.sweeps.measures import TIME_MEASURES
from tests.db.inspecting import execute
from tests.harness.conftest import register
from tests.harness.launch.conftest import complete, place_in
from tests.harness.show.synthetic import print_text
from tests.hostile.layouts import flip_bit

OPTIONS = {
    "matrix": {"factorization": ["low"]},
    "recipe": {"maps": {"score": "normalized", "masks": "swapped"}, "training": {"steps": 4}},
}


@pytest.fixture(scope="module")
def trained_folder(tmp_path_factory: pytest.TempPathFactory, photos_root: Path) -> Path:
    """A folder with the database of a trial that was trained with options of maps."""
    folder = tmp_path_factory.mktemp("trained")
    complete(*register(place_in(folder, photos_root), OPTIONS)[1])
    return folder


@pytest.fixture(scope="module")
def train_once(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., None]:
    """A function that trains for the first reproduction; later ones get a copy of the database."""
    kept = tmp_path_factory.mktemp("again") / "kept.db"
    train = reproduction._train

    def train_once(store: db.Store, *arguments: Any) -> None:
        if kept.exists():
            path = sa.make_url(store.url).database
            with closing(sqlite3.connect(kept)) as source, closing(sqlite3.connect(path)) as target:
                source.backup(target)
            return
        train(store, *arguments)
        store.database.backup(kept)

    return train_once


@pytest.fixture
def shared_training(monkeypatch: pytest.MonkeyPatch, train_once: Callable[..., None]) -> None:
    """For tests of the comparison, which need no training of their own."""
    monkeypatch.setattr(reproduction, "_train", train_once)


@pytest.fixture
def site(trained_folder: Path, tmp_path: Path, photos_root: Path) -> SimpleNamespace:
    """A copy of the trained database and its runs, with functions to change and reproduce it."""
    folder = Path(shutil.copytree(trained_folder, tmp_path / "copy"))
    place = place_in(folder, photos_root)
    store = db.connect(place.db)
    train = partial(reproduce, store, place, str(store.view("results").trial_id[0]), tolerance=1e-4)
    change = partial(execute, store.url)
    return SimpleNamespace(store=store, place=place, change=change, reproduce=train)


def _dump(store: db.Store) -> dict[str, list[Any]]:
    tables = ("jobs", "attempts", "events", "measurements", "artifacts")
    return {name: store.sql(f"SELECT * FROM {name}").to_dict("records") for name in tables}


def _copy(site: SimpleNamespace, table: str, condition: str = "", **values: str) -> None:
    """Copy a row with other values."""
    columns = list(site.store.sql(f"SELECT * FROM {table} LIMIT 0"))
    selected = ", ".join(values.get(column, column) for column in columns)
    insert = f"INSERT INTO {table} ({', '.join(columns)})"
    site.change(f"{insert} SELECT {selected} FROM {table} {condition} LIMIT 1")


def _add_seed(site: SimpleNamespace, seed: int, bits: float) -> None:
    """Add a copy of the trial and its result with another seed and other bits/dim."""
    names = ("id", "trial_id", "job_id", "attempt_id", "done_attempt_id", "measured_by", "digest")
    new_values = dict.fromkeys(names, f"'{seed}'") | {"seed": str(seed), "value": str(bits)}
    of_trial = "WHERE trial_id IS NOT NULL"
    for table, condition in (
        ("flow_trials", ""),
        ("jobs", of_trial),
        ("attempts", f"WHERE id IN (SELECT done_attempt_id FROM jobs {of_trial})"),
        ("measurements", "WHERE name = 'bits_per_dim'"),
    ):
        _copy(site, table, condition, **new_values)


def _render(result: Reproduction) -> str:
    return print_text(render_reproduction(result), width=200)


@pytest.mark.integration
@pytest.mark.usefixtures("shared_training")
def test_the_same_code_gives_every_measure_to_the_bit(site) -> None:
    before, files = _dump(site.store), sorted(site.place.runs.rglob("*"))
    steps: list[tuple[int, int]] = []
    result = site.reproduce(progress=lambda step, total: steps.append((step, total)))
    assert (result.equal, result.largest_difference, result.verified) == (True, 0.0, True)
    names = {comparison.name for comparison in result.comparisons}
    assert {"bits_per_dim", "log_det", "bound_bits_per_dim"} < names
    assert not TIME_MEASURES.intersection(names)
    assert result.uncompared == ()
    assert result.made == result.made_again
    assert result.maps_made == result.maps_made_again != {}
    assert result.other_tables == ()
    assert steps[-1] == (14, 14)
    assert str(_dump(site.store)) == str(before)
    assert sorted(site.place.runs.rglob("*")) == files


@pytest.mark.usefixtures("shared_training")
def test_a_training_that_went_on_elsewhere_need_not_come_out_again(site) -> None:
    _copy(site, "environments", id="'other'", device="'abacus'")
    of_trial = "job_id IN (SELECT id FROM jobs WHERE kind = 'trial')"
    earlier = {"id": "'earlier'", "started": "started - 1", "environment_id": "'other'"}
    _copy(site, "attempts", f"WHERE {of_trial}", token="0", **earlier)
    began = "UPDATE attempts SET continues = 'earlier', first_step ="
    where = f"WHERE id <> 'earlier' AND {of_trial}"
    site.change(f"{began} 0 {where}")
    assert site.reproduce().same_environment, "it began anew"
    site.change(f"{began} 1 {where}")
    result = site.reproduce()
    assert result.made["device"] == f"abacus and {result.made_again['device']}"
    assert not result.same_environment


@pytest.mark.usefixtures("shared_training")
def test_maps_that_do_not_come_out_again_are_named(site) -> None:
    """Another machine can have made the maps that a trial reads."""
    _copy(site, "environments", id="'other'", device="'abacus'")
    site.change(
        "UPDATE attempts SET environment_id = 'other' WHERE job_id IN "
        "(SELECT id FROM jobs WHERE kind = 'pretraining')"
    )
    site.change("UPDATE index_tables SET digest = 'other' WHERE split = 1")
    result = site.reproduce()
    assert result.other_tables == (1,)
    assert result.made == result.made_again
    assert result.maps_made["device"] == "abacus" != result.maps_made_again["device"]
    text = _render(result)
    assert "differ at split 1, because its maps differ: this is another model\n" in text
    without_maps = replace(result, trial=replace(result.trial, pretraining_id=None))
    assert "differ at split 1: this is another model\n" in _render(without_maps), "as of `online`"
    assert "maps' device: abacus then" in text
    assert "\ndevice:" not in text
    row = reproduction_as_dict(result)
    assert (row["other_tables"], row["maps_made"]["device"]) == ([1], "abacus")


@pytest.mark.usefixtures("shared_training")
def test_a_log_determinant_is_compared_in_bits_per_dim_and_a_bound_of_other_draws_not(site) -> None:
    of_bound = "WHERE name = 'bound_bits_per_dim'"
    for change in (  # of other images, and of other draws
        f"UPDATE measurements SET value = value + 1, images = images + 1 {of_bound}",
        "UPDATE measurements SET value = value + 1, images = images - 1 WHERE name LIKE 'bound%'",
    ):
        site.change(change)
        result = site.reproduce(tolerance=0.0)
        assert result.equal
        assert result.uncompared == ("bound_bits_per_dim", "bound_draws", "bound_gain")
    site.change("UPDATE measurements SET value = value + 9 WHERE name = 'log_det'")
    result = site.reproduce()
    (row,) = site.store.sql("SELECT channels, height, width FROM data_sets").to_dict("records")
    bits = 9 / (row["channels"] * row["height"] * row["width"] * math.log(2))
    assert result.largest_difference == pytest.approx(bits)
    assert not result.equal
    line = f"the largest difference is that of log_det: 9 nats per image, {bits:.2g} bits/dim"
    assert line in _render(result)
    assert reproduction_as_dict(result)["largest_difference_of"] == "log_det"


@pytest.mark.usefixtures("shared_training")
@pytest.mark.parametrize(
    ("shift", "others", "elsewhere", "outcome", "good"),
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
def test_the_same_machine_owes_equal_bits_and_another_one_the_spread_of_seeds(
    site, shift, others, elsewhere, outcome, good
) -> None:
    """The spread is two standard deviations, here 0.06, of three other seeds or more."""
    before = site.store.view("results").bits_per_dim[0]
    site.change(f"UPDATE measurements SET value = value - {shift} WHERE name = 'bits_per_dim'")
    for seed, difference in enumerate(others, start=70):
        _add_seed(site, seed, before + difference)
    if elsewhere:
        site.change("UPDATE environments SET device = 'abacus'")
    result = site.reproduce(tolerance=0.01)
    assert (result.outcome, result.verified) == (outcome, good)
    assert result.same_environment is not elsewhere
    spread = "standard deviation 0.0300" if len(others) == 3 else "too few for a spread"
    lines = _render(result).splitlines()
    assert lines[1] == (
        f"bits/dim of the test part: {before - shift:.6f} then, {before:.6f} now, "
        f"difference {shift:+.2g}; {len(others)} other seeds, {spread}"
    )
    assert lines[2].endswith(outcome)
    row = reproduction_as_dict(result)
    assert (row["outcome"], row["verified"]) == (outcome, good)
    assert (row["other_seeds"], row["same_environment"]) == (len(others), not elsewhere)
    assert row["spread"] == (pytest.approx(0.03) if len(others) == 3 else None)


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("UPDATE flow_trials SET factorization = 'mine'", "name in LCMA_PLUGINS the plug-in"),
        ('UPDATE flow_trials SET map_options = \'{"score": "odd"}\'', "is another trial here"),
        ("UPDATE recipes SET body = replace(body, 'realnvp', 'mine')", "LCMA_PLUGINS the plug-in"),
    ],
)
def test_a_trial_that_this_version_cannot_train_is_refused(site, statement, message) -> None:
    site.change(statement)
    with pytest.raises(UserError, match=message) as refused:
        site.reproduce()
    assert "or take lcma" not in str(refused.value), "this version made it"
    if message == "is another trial here":
        site.change("UPDATE environments SET code_version = 'tomorrow'")
        with pytest.raises(UserError, match="as it was, or take lcma tomorrow"):
            site.reproduce()


def test_a_training_on_damaged_images_ends_in_one_line(site, tmp_path) -> None:
    images = tmp_path / "data" / "photos8"
    shutil.copytree(site.place.data / "photos8", images)
    flip_bit(images / "train.npy")
    place = Place(site.place.db, site.place.runs, images.parent)
    trial_id = site.store.view("results").trial_id[0]
    with pytest.raises(UserError, match=r"could not be trained again.*damaged"):
        reproduce(site.store, place, trial_id, tolerance=0.1)
