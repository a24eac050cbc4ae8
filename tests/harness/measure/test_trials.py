"""Measures of kept weights: what is stored, what is returned from the database, what is refused."""

import dataclasses
import hashlib
import json
import shutil
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load, save
from torch import Tensor

import lcma
from lcma import db
from lcma.db.results import BOUND, bound_extent
from lcma.harness import data
from lcma.harness.launch.measuring import Measured, measure_trials
from lcma.harness.measure.features import LITE0
from lcma.harness.measure.measure import DeclaredMeasure, TrainedFlow, take_measures
from lcma.harness.measure.registry import list_optional_measures, list_required_measures
from lcma.harness.measure.weights import load_flow
from lcma.harness.train.evaluate import evaluation_mode
from lcma.harness.work.worker import run_work
from lcma.models import Flow
from lcma.sweeps.errors import UserError
from lcma.sweeps.measures import BITS_PER_DIM, SHIPPED, TIME_MEASURES, PluginMeasure
from tests.db.inspecting import execute
from tests.harness.conftest import prepare_few_photos
from tests.harness.launch.conftest import place_in, register, typed
from tests.stores import read_job

ARCHITECTURES: dict[str, dict[str, Any]] = {
    "realnvp": {"width": 4, "channel_couplings": 1, "last_couplings": 1},
    "iresnet": {"width": 4, "blocks": 1},
    "resflow": {"width": 4, "blocks": 1, "fully_connected": 0},
}


OF_SWD = [kind.name for kind in SHIPPED if "swd" in kind.name]


@pytest.fixture(scope="module")
def photos_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root with photos8 prepared, its test part larger than what a bound is measured on."""
    return prepare_few_photos(tmp_path_factory.mktemp("photos"), 3)


@pytest.fixture(scope="module")
def trained_once(tmp_path_factory, photos_root: Path, few_photos_root: Path):
    """Folders in which a trial of a flow was trained, each once, and its data. Those without a
    bound, whose likelihood costs most, are of few images."""
    places: dict[str, tuple[Path, Path]] = {}

    def train(flow: str) -> tuple[Path, Path]:
        if flow in places:
            return places[flow]
        folder = tmp_path_factory.mktemp(flow)
        root = photos_root if flow == "realnvp" else few_photos_root
        place = place_in(folder, root)
        spec = {
            "name": "small",
            "matrix": {"flow": flow, "dataset": "photos8", "factorization": ["conventional"]},
            "recipe": {
                "model": {"splits": 1, "architecture": ARCHITECTURES[flow]},
                "optimization": {"batch": 8, "stacked": False},
                "training": {"steps": 10},
            },
        }
        work = register(place, owner="trainer", base=spec)[1][0]
        assert run_work(work).ending == "done"
        places[flow] = folder, root
        return places[flow]

    return train


@pytest.fixture
def trained(trained_once, tmp_path: Path):
    """Return a copy of a trained trial in its own place."""

    def copy(flow: str = "realnvp") -> SimpleNamespace:
        once, root = trained_once(flow)
        folder = Path(shutil.copytree(once, tmp_path / "copy"))
        place = place_in(folder, root)
        store = db.connect(place.db)
        trial_id = store.view("results").trial_id[0]
        (one,) = store.job_facts(trial_ids=[trial_id])

        def again(protocol: str, **more: Any) -> Measured:
            options = {"protocol": protocol, **more}
            found, _ = measure_trials(store, here.place, [here.one], [BITS_PER_DIM], options)
            return found[BITS_PER_DIM][0]

        def stored(name: str) -> db.Result | None:
            return store.result(trial_id, one.data_digest, name)

        (weights,) = place.runs.rglob("weights.*.safetensors")
        here = SimpleNamespace(
            store=store,
            place=place,
            one=one,
            again=again,
            stored=stored,
            change=partial(execute, store.url),
            weights=weights,
        )
        return here

    return copy


@pytest.fixture
def measured(trained, capsys):
    """A trained trial, and `lcma measure` on it with further arguments."""
    here = trained()
    places = [f"--db={here.place.db}", f"--runs={here.place.runs}", f"--data={here.place.data}"]
    here.measure = lambda *more: typed(capsys, "measure", *more, *places)
    here.board = lambda *more: typed(capsys, "board", *more, places[0])
    return here


def without(result: db.Result, *names: str) -> db.Result:
    """Return the result without some measures."""
    measures = tuple(
        measurement for measurement in result.measures if measurement.name not in names
    )
    return dataclasses.replace(result, measures=measures)


@pytest.mark.slow_on("realnvp", "iresnet")
@pytest.mark.parametrize("flow", ARCHITECTURES)
def test_kept_weights_give_the_stored_result_to_the_bit(trained, flow: str) -> None:
    here = trained(flow)
    prepared = data.load("photos8", here.place.data)
    flow_again, recipe = load_flow(here.store, here.place, here.one)
    again = TrainedFlow(flow_again, recipe.model, prepared, here.one.seed, torch.device("cpu"))
    measurements = take_measures(
        [*list_required_measures(flow_again), *list_optional_measures(prepared)], again
    )
    stored = here.stored("plain")
    assert {measurement.name: measurement for measurement in measurements} == {
        measurement.name: measurement for measurement in without(stored, *TIME_MEASURES).measures
    }
    assert all(stored.value(name) > 0 for name in TIME_MEASURES)


@pytest.mark.integration
def test_published_has_its_own_row_and_attempt(measured) -> None:
    here = measured
    before, job = here.store.view("results"), read_job(here.store, here.one.job_id)
    code, out, _ = here.measure("--protocol=published", "--json")
    (row,) = json.loads(out)
    assert (code, row["new"], row["protocol"]) == (0, True, "published")
    protocol = {"protocol": "published", "protocol_body": row["protocol_body"]}
    same = dataclasses.replace(
        without(here.stored("plain"), *BOUND, *TIME_MEASURES, *OF_SWD), **protocol
    )
    assert here.stored("published") == same

    after = here.store.view("results")
    assert after[after.protocol == "plain"].reset_index(drop=True).equals(before)
    row = after[after.protocol == "published"].iloc[0]
    assert row.seconds == before.seconds[0]
    assert row.evaluation_seconds > 0
    assert np.isnan(before.evaluation_seconds[0])
    attempts = here.store.view("attempts")
    assert attempts.protocol.isna().tolist() == [True, False]
    last = attempts.iloc[-1]
    assert (last.protocol, last.outcome) == ("published", "done")
    assert (last.token, last.first_step, last.last_step) == (2, 10, 10)
    assert last.started <= last.ended
    assert dataclasses.replace(read_job(here.store, job.id), token=job.token) == job


def test_a_stored_measure_is_returned_without_weights_or_data(trained) -> None:
    here, name = trained(), "published"
    first = here.again(name)
    attempts = here.store.view("attempts")
    here.weights.unlink()
    here.place = dataclasses.replace(here.place, data=Path("/nowhere"))
    again = here.again(name)
    assert again.result == first.result
    assert not again.new
    assert here.store.view("attempts").equals(attempts)


@pytest.mark.integration
@pytest.mark.parametrize("flow", ["iresnet", "resflow"])
def test_a_residual_flow_has_its_series_and_a_bound_on_request(trained, flow: str) -> None:
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
    assert len(here.store.sql("SELECT DISTINCT attempt_id FROM measurements")) == 1


@pytest.mark.integration
def test_a_flow_is_loaded_and_measured_as_it_was_evaluated(trained) -> None:
    """Including the power iteration of residual flows."""
    here = trained("iresnet")
    prepared = data.load("photos8", here.place.data)

    def compute(flow: Flow, images: Tensor, seed: int) -> float:
        found = flow(images, torch.Generator().manual_seed(seed)).log_prob
        return float(found.detach().double().mean())

    kept, recipe = load_flow(here.store, here.place, here.one)
    images = torch.from_numpy(np.array(prepared.part("test").images))
    with evaluation_mode(kept):
        expected = compute(kept, images, 3)
    found, _ = lcma.load_flow(here.store, here.one.trial_id, runs=here.place.runs)
    assert compute(found, images, 3) == expected
    own = DeclaredMeasure(PluginMeasure("likelihood", "nats", "higher", "of images", compute))
    trained = TrainedFlow(kept, recipe.model, prepared, 3, torch.device("cpu"))
    assert take_measures([own], trained)[0].value == expected


def test_a_bound_of_more_draws_or_images_replaces_another(trained) -> None:
    here = trained()
    before = here.stored("plain")
    assert bound_extent(before) == (10, 200)
    assert here.again("plain", draws=3).result == before, (
        "a bound of ten draws is stored, which is tighter"
    )
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


def lose(here: SimpleNamespace) -> None:
    here.weights.unlink()


def damage(here: SimpleNamespace) -> None:
    content = bytearray(here.weights.read_bytes())
    content[-1] ^= 1
    here.weights.write_bytes(content)


def spoil(here: SimpleNamespace) -> None:
    """Replace the weights by some without a likelihood."""
    content = load(here.weights.read_bytes())
    name = next(k for k, v in content.items() if v.is_floating_point() and v.dim())
    broken = save(content | {name: torch.full_like(content[name], float("nan"))})
    here.weights.write_bytes(broken)
    here.change(f"UPDATE artifacts SET digest = '{hashlib.sha256(broken).hexdigest()}'")


def swap(here: SimpleNamespace) -> None:
    """Make the trial one of other images."""
    here.one = dataclasses.replace(here.one, data_digest="0" * 64)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lose, "no such file.*--runs, or train .* again"),
        (damage, "damaged .sha256 differs"),
        (spoil, "bits_per_dim is nan: a measure must be finite"),
        (swap, "holds other images.*--data"),
    ],
)
def test_weights_that_cannot_be_measured_are_refused(trained, change, message: str) -> None:
    here = trained()
    before = here.store.view("results"), here.store.view("attempts")
    change(here)
    with pytest.raises(UserError, match=message) as error:
        here.again("published")
    assert "\n" not in str(error.value)
    assert here.one.trial_id in str(error.value)
    assert here.store.view("results").equals(before[0])
    assert here.store.view("attempts").equals(before[1])


# Measures of samples


def test_an_older_database_gets_the_measure_that_a_training_takes_now(measured) -> None:
    plain = measured.stored("plain")
    for table in ("measurements", "measure_kinds"):
        measured.change(f"DELETE FROM {table} WHERE name LIKE '%swd%'")
    code, out, err = measured.measure("swd", f"--where=trial_id={measured.one.trial_id[:8]}")
    assert (code, err) == (0, "")
    assert "there already" not in out
    assert f": swd {plain.value('swd'):.6g} \u00b1 " in out
    assert measured.stored("plain") == plain
    code, out, _ = measured.board("--by", "swd", "--json")
    (group,) = json.loads(out)["groups"]
    assert (code, group["measure"], group["protocol"]) == (0, "swd", "plain")
    assert [row["mean"] for row in group["rows"]] == [plain.value("swd")]
    assert any(note.startswith("Controls of swd on 201 images: ") for note in group["notes"])


def test_other_settings_are_another_protocol_and_ranked_separately(measured) -> None:
    plain = measured.stored("plain")
    protocols = {"plain"}
    for more in ("--samples=40", "--temperature=0.7"):
        code, out, err = measured.measure("swd", "--json", more)
        assert (code, err) == (0, "")
        (row,) = json.loads(out)
        assert row["new"]
        assert row["measures"]["swd"]["value"] != plain.value("swd")
        protocols.add(row["protocol"])
    assert len(protocols) == 3
    assert measured.stored("plain") == plain
    code, out, _ = measured.board("--by", "swd", "--json")
    assert (code, {group["protocol"] for group in json.loads(out)["groups"]}) == (0, protocols)
    code, out, _ = measured.board("--json")
    assert {group["protocol"] for group in json.loads(out)["groups"]} == {"plain"}


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["colour"], "'colour' is not measured of kept weights: choose among "),
        (["swd", "--extractor=inception-v3"], "--extractor is of kid and fid"),
        (["swd", "--temperature=inf"], "--temperature inf makes no sense"),
        (["kid", "--weights=x.pth"], "--weights and --sha256 need --extractor inception-v3"),
        (["kid", "--extractor=inception-v3"], "needs your own file of its weights"),
        (["fid"], "fid by inception-v3 needs your own file of its weights"),
        (["fid", "--extractor=efficientnet-lite0"], "fid is only defined for inception-v3"),
        (["swd", "--gpus=0.5"], "--gpus and --any-code need a cluster: give --ray"),
        (["swd", "--where=trial_id=0000"], "no results with --where trial_id=0000"),
        (["swd", "--samples=30"], "left no weights"),
    ],
)
def test_what_cannot_be_measured_is_one_line(measured, arguments, why: str) -> None:
    measured.change("DELETE FROM artifacts")
    before = measured.store.view("attempts"), measured.stored("plain")
    code, out, err = measured.measure(*arguments)
    assert (code, out) == (2, "")
    assert why in err
    assert err.count("\n") == 1
    assert measured.store.view("attempts").equals(before[0])
    assert measured.stored("plain") == before[1]


@pytest.mark.integration
def test_kid_is_ranked_by_its_extractor(measured) -> None:
    code, out, err = measured.measure("kid", "--samples=20", "--json")
    assert (code, err) == (0, "")
    (row,) = json.loads(out)
    assert row["protocol"].startswith("efficientnet-lite0-")
    assert LITE0.sha256 in row["protocol_body"]
    numbers = row["measures"]
    assert numbers["kid"]["images"] == 20
    assert numbers["kid"]["value"] > numbers["kid_noise_5"]["value"]
    assert abs(numbers["kid_null"]["value"]) < numbers["kid"]["value"]
    assert "holdout_kid" in numbers
    assert "bits_per_dim" not in numbers
    code, out, _ = measured.board("--by", "kid", "--json")
    (group,) = json.loads(out)["groups"]
    assert (code, group["protocol"]) == (0, row["protocol"])
    assert any(note.startswith("Controls of kid on 20 ") for note in group["notes"])
