"""Kept weights by another protocol: what is stored, what is served, what is refused."""

import dataclasses
import hashlib
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
import torch
from safetensors.torch import load, save

from lcma import db
from lcma.db.results import BOUND, bound_extent
from lcma.harness import data
from lcma.harness.place import Place
from lcma.harness.run.evaluation import make_result, measure_flow
from lcma.harness.run.plan import make_nodes, make_plan, register_plan
from lcma.harness.run.reevaluation import reevaluate, require_weights
from lcma.harness.run.weights import load_trained
from lcma.harness.run.worker import run_work
from lcma.harness.train.protocol import PLAIN
from lcma.sweeps import spec as specs
from lcma.sweeps.errors import UserError
from tests.harness.conftest import few_photos

ARCHITECTURES: dict[str, dict[str, Any]] = {
    "realnvp": {"width": 4, "channel_couplings": 1, "last_couplings": 1},
    "iresnet": {"width": 4, "blocks": 1},
    "resflow": {"width": 4, "blocks": 1, "fully_connected": 0},
}


@pytest.fixture(scope="module")
def photos_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root with photos8 prepared, its test part larger than what a bound is measured on."""
    return few_photos(tmp_path_factory.mktemp("photos"), 3)


@pytest.fixture(scope="module")
def trained_once(tmp_path_factory, photos_root: Path):
    """Folders in which a trial of a flow was trained, each once."""
    made: dict[str, Path] = {}

    def train(flow: str) -> Path:
        if flow in made:
            return made[flow]
        folder = tmp_path_factory.mktemp(flow)
        place = Place(f"sqlite:///{folder / 'lcma.db'}", folder / "runs", photos_root)
        spec = {
            "name": "small",
            "matrix": {"flow": flow, "dataset": "photos8", "factorization": ["conventional"]},
            "recipe": {
                "model": {"splits": 1, "architecture": ARCHITECTURES[flow]},
                "optimization": {"batch": 8, "stacked": False},
                "training": {"steps": 20},
            },
        }
        plan = make_plan(specs.check(spec, "test"), place, None)
        register_plan(plan, place, db.connect(place.db))
        node = make_nodes(plan, place, owner="trainer", device="cpu")[0]
        assert run_work(node.work).ending == "done"
        made[flow] = folder
        return folder

    return train


@pytest.fixture
def trained(trained_once, tmp_path: Path, photos_root: Path):
    """A trained trial of a flow in a place of its own."""

    def copy(flow: str = "realnvp") -> SimpleNamespace:
        folder = Path(shutil.copytree(trained_once(flow), tmp_path / "copy"))
        place = Place(f"sqlite:///{folder / 'lcma.db'}", folder / "runs", photos_root)
        store = db.connect(place.db)
        trial_id = store.results().trial_id[0]
        (one,) = store.trained_trials([trial_id])

        def again(name: str, **more: Any):
            return reevaluate(store, place, one, name, owner="evaluator", **more)

        def stored(name: str) -> db.Result | None:
            return store.result(trial_id, one.data_digest, name)

        def change(statement: str) -> None:
            with sa.create_engine(place.db).begin() as connection:
                connection.execute(sa.text(statement))

        (weights,) = place.runs.rglob("weights.*.safetensors")
        return SimpleNamespace(
            store=store,
            place=place,
            one=one,
            again=again,
            stored=stored,
            change=change,
            weights=weights,
        )

    return copy


def without(result: db.Result, *names: str) -> db.Result:
    """The result without these measures."""
    measures = tuple(one for one in result.measures if one.name not in names)
    return dataclasses.replace(result, measures=measures)


@pytest.mark.parametrize("flow", ARCHITECTURES)
def test_kept_weights_give_the_stored_result_to_the_bit(trained, flow: str) -> None:
    here = trained(flow)
    prepared = data.load("photos8", here.place.data)
    flow_again, _ = load_trained(here.store, here.place, here.one)
    measured = measure_flow(flow_again, prepared, PLAIN, torch.device("cpu"))
    stored = here.stored("plain")
    found = make_result(measured, here.one.trial_id, here.one.data_digest, PLAIN, step=stored.step)
    assert found == without(stored, "seconds_per_step")
    assert stored.value("seconds_per_step") > 0


def test_published_is_a_row_and_an_attempt_of_its_own(trained) -> None:
    here = trained()
    before, job = here.store.results(), here.store.job(here.one.job_id)
    found = here.again("published")
    assert found.new
    assert found.result == here.stored("published")
    plain = here.stored("plain")
    own = {"protocol": "published", "protocol_body": found.result.protocol_body}
    same = dataclasses.replace(without(plain, *BOUND, "seconds_per_step"), **own)
    assert found.result == same

    after = here.store.results()
    assert after[after.protocol == "plain"].reset_index(drop=True).equals(before)
    row = after[after.protocol == "published"].iloc[0]
    assert row.seconds == before.seconds[0]
    assert row.evaluation_seconds > 0
    assert np.isnan(before.evaluation_seconds[0])
    attempts = here.store.attempts()
    assert attempts.protocol.isna().tolist() == [True, False]
    last = attempts.iloc[-1]
    assert (last.protocol, last.outcome, last.owner) == ("published", "done", "evaluator")
    assert (last.token, last.first_step, last.last_step) == (2, 20, 20)
    assert last.started <= last.ended
    assert dataclasses.replace(here.store.job(job.id), token=job.token) == job


@pytest.mark.parametrize("name", ["plain", "published"])
def test_what_is_there_is_served_without_weights_or_data(trained, name: str) -> None:
    here = trained()
    first = here.again(name)
    attempts = here.store.attempts()
    here.weights.unlink()
    place = dataclasses.replace(here.place, data=Path("/nowhere"))
    require_weights(here.store, place, [here.one], name)
    again = reevaluate(here.store, place, here.one, name, owner="evaluator")
    assert again.result == first.result
    assert not again.new
    assert here.store.attempts().equals(attempts)


def test_a_coupling_flow_has_a_bound_from_its_training(trained) -> None:
    result = trained().stored("plain")
    assert bound_extent(result) == (10, 200)
    assert result.measure("bits_per_dim").images > 200
    assert 0 < abs(result.value("bound_gain")) < 0.1
    assert result.measure("series_terms") is None


@pytest.mark.parametrize("flow", ["iresnet", "resflow"])
def test_a_residual_flow_has_its_series_and_a_bound_when_asked(trained, flow: str) -> None:
    here = trained(flow)
    plain = here.stored("plain")
    assert (plain.value("series_terms"), plain.measure("bound_draws")) == (8, None)
    assert abs(plain.value("series_bias")) < 1e-5
    published = here.again("published").result
    bits = [result.value("bits_per_dim") for result in (published, plain)]
    assert bits[0] != bits[1]
    assert bits[0] == pytest.approx(bits[1], abs=0.1)
    expected = 3 if flow == "iresnet" else 8
    assert published.value("series_terms") == expected
    assert (published.measure("series_bias") is None) == (flow == "resflow")
    assert here.again("plain").new is False
    assert here.again("plain", draws=2).new
    with_bound = here.stored("plain")
    assert with_bound.value("bound_draws") == 2
    assert without(with_bound, *BOUND) == plain
    assert len(here.store.sql("SELECT * FROM results")) == 1


def test_a_bound_of_more_draws_or_images_takes_the_place_of_another(trained) -> None:
    here = trained()
    before = here.stored("plain")
    assert here.again("plain", draws=3).result == before, "it has ten draws, which is tighter"
    more = here.again("plain", draws=10)
    assert more.new
    assert bound_extent(more.result) == (10, before.measure("bits_per_dim").images)
    gained = before.value("bits_per_dim") - more.result.value("bound_bits_per_dim")
    gain = more.result.value("bound_gain")
    assert gain == pytest.approx(gained, abs=1e-12), "on the whole test part"
    assert not here.again("plain", draws=10).new
    assert not here.again("plain").new
    more = here.again("plain", draws=12)
    assert more.new
    assert more.result.value("bound_draws") == 12
    assert without(more.result, *BOUND) == without(before, *BOUND)


def test_progress_ends_with_all_images(trained) -> None:
    for flow in ("realnvp", "iresnet"):
        here = trained(flow)
        seen: list[tuple[int, int]] = []
        here.again("published", progress=lambda done, total, to=seen: to.append((done, total)))
        assert seen[-1][0] == seen[-1][1] > 0
        assert [done for done, _ in seen] == sorted(done for done, _ in seen)
        seen.clear()
        here.again(
            "plain", draws=11, progress=lambda done, total, to=seen: to.append((done, total))
        )
        assert seen[-1][0] == seen[-1][1] > 0
        shutil.rmtree(here.place.runs.parent)


def refused(here: SimpleNamespace, said: str, name: str = "published") -> None:
    before = here.store.results(), here.store.attempts()
    with pytest.raises(UserError, match=said) as error:
        here.again(name)
    assert "\n" not in str(error.value)
    assert here.one.trial_id in str(error.value)
    assert here.store.results().equals(before[0])
    assert here.store.attempts().equals(before[1])


def test_missing_weights_name_the_trial_and_the_remedy(trained) -> None:
    here = trained()
    here.weights.unlink()
    with pytest.raises(UserError, match=f"of trial {here.one.trial_id} .*--runs"):
        require_weights(here.store, here.place, [here.one], "published")
    refused(here, "No such file.*--runs, or train .* again")


def test_damaged_weights_are_refused(trained) -> None:
    here = trained()
    content = bytearray(here.weights.read_bytes())
    content[-1] ^= 1
    here.weights.write_bytes(content)
    refused(here, "damaged .sha256 differs")


def test_weights_that_have_no_likelihood_are_refused(trained) -> None:
    here = trained()
    content = load(here.weights.read_bytes())
    name = next(k for k, v in content.items() if v.is_floating_point() and v.dim())
    broken = save(content | {name: torch.full_like(content[name], float("nan"))})
    here.weights.write_bytes(broken)
    here.change(f"UPDATE artifacts SET digest = '{hashlib.sha256(broken).hexdigest()}'")
    refused(here, "no finite bits/dim")


def test_another_value_that_came_meanwhile_is_one_line(trained) -> None:
    here = trained()
    plain = here.stored("plain")
    assert plain is not None
    by = db.Evaluator(
        owner="other",
        host="there",
        environment_id=here.store.attempts()["environment_id"][0],
        device="cpu",
        threads=1,
        started=0.0,
    )

    def meanwhile(done: int, total: int) -> None:
        if here.stored("published") is None:
            measures = (db.Measure("bits_per_dim", 9.0),)
            other = dataclasses.replace(plain, protocol="published", measures=measures)
            cost = db.Cost(seconds=1.0, cpu_seconds=1.0)
            here.store.add_evaluation(here.one.job_id, other, by=by, cost=cost)

    with pytest.raises(UserError, match=r"gave two values; what is stored stays") as error:
        here.again("published", progress=meanwhile)
    assert "\n" not in str(error.value)
    kept = here.stored("published")
    assert kept is not None
    assert kept.value("bits_per_dim") == 9.0


def test_other_images_than_those_of_the_training_are_refused(trained) -> None:
    here = trained()
    other = dataclasses.replace(here.one, data_digest="0" * 64)
    with pytest.raises(UserError, match=r"holds other images.*--data"):
        reevaluate(here.store, here.place, other, "published", owner="x")
