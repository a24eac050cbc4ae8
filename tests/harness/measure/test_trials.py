"""Measures of kept weights: what is stored, what is returned from the database, what is refused."""

import dataclasses
import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load, save
from torch import Tensor

from lcma import db
from lcma import load_flow as load_trained_flow
from lcma.db.results import BOUND, bound_extent
from lcma.harness import data
from lcma.harness.launch.measuring import Measured, measure_trials
from lcma.harness.measure.features import LITE0
from lcma.harness.measure.measure import DeclaredMeasure, TrainedFlow, take_measures
from lcma.harness.measure.registry import list_optional_measures, list_required_measures
from lcma.harness.measure.weights import load_flow
from lcma.harness.place import Place
from lcma.harness.train import devices
from lcma.harness.train.evaluate import evaluation_mode
from lcma.harness.work.worker import run_work
from lcma.models import Flow
from lcma.sweeps.errors import UserError
from lcma.sweeps.measures import BITS_PER_DIM, SHIPPED, TIME_MEASURES, PluginMeasure
from tests.db.inspecting import execute
from tests.harness.cli.conftest import output_of, refused
from tests.harness.conftest import prepare_few_photos, register
from tests.harness.launch.conftest import place_in
from tests.hostile.layouts import flip_bit
from tests.stores import read_job

CPU = torch.device("cpu")
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "realnvp": {"width": 4, "channel_couplings": 1, "last_couplings": 1},
    "iresnet": {"width": 4, "blocks": 1},
    "resflow": {"width": 4, "blocks": 1, "fully_connected": 0},
}

OF_SWD = [kind.name for kind in SHIPPED if "swd" in kind.name]


@dataclass
class Trial:
    """A trained trial in a place of its own."""

    place: Place
    store: db.Store
    facts: db.JobFacts

    @property
    def weights(self) -> Path:
        (path,) = self.place.runs.rglob("weights.*.safetensors")
        return path

    def measure(self, protocol: str, **options: Any) -> Measured:
        """Measure bits/dim by a protocol."""
        options = {"protocol": protocol, **options}
        measured, _ = measure_trials(self.store, self.place, [self.facts], [BITS_PER_DIM], options)
        return measured[BITS_PER_DIM][0]

    def read(self, protocol: str) -> db.Result | None:
        return self.store.result(self.facts.trial_id, self.facts.data_digest, protocol)

    def change(self, statement: str) -> None:
        """Change the database without the store."""
        execute(self.store.url, statement)


@pytest.fixture(scope="module")
def photos_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root with photos8 prepared, its test part larger than what a bound is measured on."""
    return prepare_few_photos(tmp_path_factory.mktemp("photos"), 3)


@pytest.fixture(scope="module")
def trained_once(tmp_path_factory, photos_root: Path, few_photos_root: Path):
    """A function that trains a trial of a flow, each flow once; it returns the folder and the data.

    Flows without a bound, whose likelihood costs most, have few images.
    """

    @cache
    def train(flow: str) -> tuple[Path, Path]:
        folder = tmp_path_factory.mktemp(flow)
        root = photos_root if flow == "realnvp" else few_photos_root
        spec = {
            "name": "small",
            "matrix": {"flow": flow, "dataset": "photos8", "factorization": ["conventional"]},
            "recipe": {
                "model": {"splits": 1, "architecture": ARCHITECTURES[flow]},
                "optimization": {"batch": 8, "stacked": False},
                "training": {"steps": 10},
            },
        }
        work = register(place_in(folder, root), owner="trainer", base=spec)[1][0]
        assert run_work(work).ending == "done"
        return folder, root

    return train


@pytest.fixture
def trained(trained_once, tmp_path: Path) -> Callable[[str], Trial]:
    """A function that returns a copy of a trained trial of a flow."""

    def copy(flow: str) -> Trial:
        folder, root = trained_once(flow)
        place = place_in(Path(shutil.copytree(folder, tmp_path / "copy")), root)
        store = db.connect(place.db)
        (facts,) = store.job_facts(trial_ids=[store.view("results").trial_id[0]])
        return Trial(place, store, facts)

    return copy


@pytest.fixture
def trial(trained, in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> Trial:
    """A trained trial of Real NVP, in the default place of commands."""
    trial = trained("realnvp")
    monkeypatch.setenv("LCMA_DB", trial.place.db)
    monkeypatch.setenv("LCMA_RUNS", str(trial.place.runs))
    monkeypatch.setenv("LCMA_DATA", str(trial.place.data))
    return trial


def without(result: db.Result, *names: str) -> db.Result:
    measures = tuple(
        measurement for measurement in result.measures if measurement.name not in names
    )
    return dataclasses.replace(result, measures=measures)


@pytest.mark.slow_on("realnvp", "iresnet")
@pytest.mark.parametrize("flow", ARCHITECTURES)
def test_kept_weights_give_the_stored_result_to_the_bit(trained, flow: str) -> None:
    trial = trained(flow)
    prepared = data.load("photos8", trial.place.data)
    kept, recipe = load_flow(trial.store, trial.place, trial.facts)
    loaded = TrainedFlow(kept, recipe.model, prepared, trial.facts.seed, CPU)
    measures = [*list_required_measures(kept), *list_optional_measures(prepared)]
    stored = trial.read("plain")
    expected = without(stored, *TIME_MEASURES).measures
    by_name = {measurement.name: measurement for measurement in take_measures(measures, loaded)}
    assert by_name == {measurement.name: measurement for measurement in expected}
    assert all(stored.value(name) > 0 for name in TIME_MEASURES)


@pytest.mark.integration
def test_published_has_its_own_row_and_attempt(trial: Trial, lcma) -> None:
    before, job = trial.store.view("results"), read_job(trial.store, trial.facts.job_id)
    (row,) = json.loads(output_of(lcma("measure", "--protocol=published", "--json")))
    assert (row["new"], row["protocol"]) == (True, "published")
    protocol = {"protocol": "published", "protocol_body": row["protocol_body"]}
    plain = without(trial.read("plain"), *BOUND, *TIME_MEASURES, *OF_SWD)
    assert trial.read("published") == dataclasses.replace(plain, **protocol)

    after = trial.store.view("results")
    assert after[after.protocol == "plain"].reset_index(drop=True).equals(before)
    row = after[after.protocol == "published"].iloc[0]
    assert row.seconds == before.seconds[0]
    assert row.evaluation_seconds > 0
    assert np.isnan(before.evaluation_seconds[0])
    attempts = trial.store.view("attempts")
    assert attempts.protocol.isna().tolist() == [True, False]
    last = attempts.iloc[-1]
    assert (last.protocol, last.outcome) == ("published", "done")
    assert (last.token, last.first_step, last.last_step) == (2, 10, 10)
    assert last.started <= last.ended
    assert dataclasses.replace(read_job(trial.store, job.id), token=job.token) == job


def test_a_stored_measure_is_returned_without_weights_or_data(trial: Trial) -> None:
    first = trial.measure("published")
    attempts = trial.store.view("attempts")
    trial.weights.unlink()
    trial.place = dataclasses.replace(trial.place, data=Path("/nowhere"))
    second = trial.measure("published")
    assert second.result == first.result
    assert not second.new
    assert trial.store.view("attempts").equals(attempts)


@pytest.mark.integration
@pytest.mark.parametrize("flow", ["iresnet", "resflow"])
def test_a_residual_flow_has_its_series_and_a_bound_on_request(trained, flow: str) -> None:
    trial = trained(flow)
    plain = trial.read("plain")
    assert (plain.value("series_terms"), plain.measure("bound_draws")) == (8, None)
    assert abs(plain.value("series_bias")) < 1e-5
    published = trial.measure("published").result
    bits = [result.value("bits_per_dim") for result in (published, plain)]
    assert bits[0] != bits[1]
    assert bits[0] == pytest.approx(bits[1], abs=0.1)
    assert published.value("series_terms") == (3 if flow == "iresnet" else 8)
    assert (published.measure("series_bias") is None) == (flow == "resflow")
    assert not trial.measure("plain").new
    assert trial.measure("plain", draws=2).new
    with_bound = trial.read("plain")
    assert with_bound.value("bound_draws") == 2
    assert without(with_bound, *BOUND) == plain
    assert len(trial.store.sql("SELECT DISTINCT attempt_id FROM measurements")) == 1


@pytest.mark.integration
def test_a_flow_is_loaded_and_measured_as_it_was_evaluated(trained) -> None:
    """Including the power iteration of residual flows."""
    trial = trained("iresnet")
    prepared = data.load("photos8", trial.place.data)

    def compute(flow: Flow, images: Tensor, seed: int) -> float:
        log_prob = flow(images, torch.Generator().manual_seed(seed)).log_prob
        return float(log_prob.detach().double().mean())

    kept, recipe = load_flow(trial.store, trial.place, trial.facts)
    images = torch.from_numpy(np.array(prepared.part("test").images))
    with evaluation_mode(kept):
        expected = compute(kept, images, 3)
    loaded, _ = load_trained_flow(trial.store, trial.facts.trial_id, runs=trial.place.runs)
    assert compute(loaded, images, 3) == expected
    measure = DeclaredMeasure(PluginMeasure("likelihood", "nats", "higher", "of images", compute))
    trained_flow = TrainedFlow(kept, recipe.model, prepared, 3, CPU)
    assert take_measures([measure], trained_flow)[0].value == expected


def test_a_device_that_fails_in_a_plug_in_measure_is_remembered(trial, monkeypatch) -> None:
    monkeypatch.setattr(devices, "_has_failed", False)
    prepared = data.load("photos8", trial.place.data)
    kept, recipe = load_flow(trial.store, trial.place, trial.facts)

    def compute(flow: Flow, images: Tensor, seed: int) -> float:
        raise RuntimeError("CUDA error: device-side assert triggered")

    measure = DeclaredMeasure(PluginMeasure("likelihood", "nats", "higher", "of images", compute))
    with pytest.raises(UserError, match="device-side assert"):
        take_measures([measure], TrainedFlow(kept, recipe.model, prepared, 3, CPU))
    assert devices.has_failed()


def test_a_bound_of_more_draws_or_images_replaces_another(trial: Trial) -> None:
    before = trial.read("plain")
    assert bound_extent(before) == (10, 200)
    assert trial.measure("plain", draws=3).result == before, "a bound of ten draws is tighter"
    whole = trial.measure("plain", draws=10)
    assert whole.new
    assert bound_extent(whole.result) == (10, before.measure("bits_per_dim").images)
    gain = before.value("bits_per_dim") - whole.result.value("bound_bits_per_dim")
    assert whole.result.value("bound_gain") == pytest.approx(gain, abs=1e-12), "on all test images"
    assert not trial.measure("plain", draws=10).new
    assert not trial.measure("plain").new
    more = trial.measure("plain", draws=12)
    assert more.new
    assert more.result.value("bound_draws") == 12
    assert without(more.result, *BOUND) == without(before, *BOUND)


def break_weights(trial: Trial) -> None:
    """Replace the weights by some without a likelihood."""
    content = load(trial.weights.read_bytes())
    name = next(k for k, v in content.items() if v.is_floating_point() and v.dim())
    broken = save(content | {name: torch.full_like(content[name], float("nan"))})
    trial.weights.write_bytes(broken)
    trial.change(f"UPDATE artifacts SET digest = '{hashlib.sha256(broken).hexdigest()}'")


def change_digest(trial: Trial) -> None:
    """Make the trial one of other images."""
    trial.facts = dataclasses.replace(trial.facts, data_digest="0" * 64)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda trial: trial.weights.unlink(), "no such file.*--runs, or train .* again"),
        (lambda trial: flip_bit(trial.weights), "damaged .sha256 differs"),
        (break_weights, "bits_per_dim is nan: a measure must be finite"),
        (change_digest, "holds other images.*--data"),
    ],
)
def test_weights_that_cannot_be_measured_are_refused(trial: Trial, change, message: str) -> None:
    before = trial.store.view("results"), trial.store.view("attempts")
    change(trial)
    with pytest.raises(UserError, match=message) as error:
        trial.measure("published")
    assert "\n" not in str(error.value)
    assert trial.facts.trial_id in str(error.value)
    assert trial.store.view("results").equals(before[0])
    assert trial.store.view("attempts").equals(before[1])


# Measures of samples


def list_groups(lcma, measure: str) -> list[dict[str, Any]]:
    """Return the groups of a board by a measure."""
    return json.loads(output_of(lcma("board", "--by", measure, "--json")))["groups"]


def test_an_older_database_gets_the_measure_that_a_training_takes_now(trial: Trial, lcma) -> None:
    plain = trial.read("plain")
    for table in ("measurements", "measure_kinds"):
        trial.change(f"DELETE FROM {table} WHERE name LIKE '%swd%'")
    out = output_of(lcma("measure", "swd", f"--where=trial_id={trial.facts.trial_id[:8]}"))
    assert "there already" not in out
    assert f": swd {plain.value('swd'):.6g} \u00b1 " in out
    assert trial.read("plain") == plain
    (group,) = list_groups(lcma, "swd")
    assert (group["measure"], group["protocol"]) == ("swd", "plain")
    assert [row["mean"] for row in group["rows"]] == [plain.value("swd")]
    assert any(note.startswith("Controls of swd on 201 images: ") for note in group["notes"])


def test_other_settings_are_another_protocol_and_ranked_separately(trial: Trial, lcma) -> None:
    plain = trial.read("plain")
    protocols = {"plain"}
    for setting in ("--samples=40", "--temperature=0.7"):
        (row,) = json.loads(output_of(lcma("measure", "swd", "--json", setting)))
        assert row["new"]
        assert row["measures"]["swd"]["value"] != plain.value("swd")
        protocols.add(row["protocol"])
    assert len(protocols) == 3
    assert trial.read("plain") == plain
    assert {group["protocol"] for group in list_groups(lcma, "swd")} == protocols
    assert {group["protocol"] for group in list_groups(lcma, BITS_PER_DIM)} == {"plain"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["colour"], "'colour' is not measured of kept weights: choose among "),
        (["swd", "--weights=x.pth"], "--weights is of kid and fid"),
        (["swd", "--temperature=inf"], "--temperature inf makes no sense"),
        (["kid", "--weights=x.pth"], "needs your own file of its weights"),
        (["fid"], "fid by inception-v3 needs your own file of its weights"),
        (["swd", "--gpus=0.5"], "--gpus and --any-code need a cluster: give --ray"),
        (["swd", "--where=trial_id=0000"], "no results with --where trial_id=0000"),
        (["swd", "--samples=30"], "left no weights"),
    ],
)
def test_a_measure_that_cannot_be_taken_is_refused(
    trial: Trial, lcma, arguments: list[str], message: str
) -> None:
    trial.change("DELETE FROM artifacts")
    before = trial.store.view("attempts"), trial.read("plain")
    refused(lcma("measure", *arguments), message)
    assert trial.store.view("attempts").equals(before[0])
    assert trial.read("plain") == before[1]


@pytest.mark.integration
def test_kid_is_ranked_by_its_extractor(trial: Trial, lcma) -> None:
    (row,) = json.loads(output_of(lcma("measure", "kid", "--samples=20", "--json")))
    assert row["protocol"].startswith("efficientnet-lite0-")
    assert LITE0.sha256 in row["protocol_body"]
    numbers = row["measures"]
    assert numbers["kid"]["images"] == 20
    assert numbers["kid"]["value"] > numbers["kid_noise_5"]["value"]
    assert abs(numbers["kid_null"]["value"]) < numbers["kid"]["value"]
    assert "holdout_kid" in numbers
    assert "bits_per_dim" not in numbers
    (group,) = list_groups(lcma, "kid")
    assert group["protocol"] == row["protocol"]
    assert any(note.startswith("Controls of kid on 20 ") for note in group["notes"])
