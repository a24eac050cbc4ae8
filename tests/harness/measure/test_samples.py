"""The measure of samples that is taken with every trial, and its controls."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from lcma import models
from lcma.harness import data
from lcma.harness.data.manifest import CONTROLS_FILE, hash_fields
from lcma.harness.measure import samples
from lcma.harness.measure.measure import TrainedFlow, take_measures
from lcma.harness.measure.samples import SampleMeasure, Sampling, draw_images
from lcma.sweeps import catalog
from lcma.sweeps.errors import UserError
from lcma.sweeps.measures import CONTROLS

CPU = torch.device("cpu")
MODEL = catalog.recipe("realnvp", "photos8", "tiny").model


def measure(flow: models.Flow, prepared: data.PreparedSet, sampling: Sampling | None = None):
    """Return the measurements of `swd` of a flow's samples, by name."""
    trained = TrainedFlow(flow, MODEL, prepared, 0, CPU)
    measurements = take_measures([SampleMeasure("swd", sampling)], trained)
    return {measurement.name: measurement for measurement in measurements}


@pytest.fixture(autouse=True)
def _forget_controls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples, "_measured_controls", {})


@pytest.fixture
def prepared(few_photos_root: Path, tmp_path: Path) -> data.PreparedSet:
    """A copy of a small photos8, without controls that another test measured."""
    without_controls = shutil.ignore_patterns(CONTROLS_FILE)
    shutil.copytree(few_photos_root, tmp_path / "data", ignore=without_controls)
    return data.load("photos8", tmp_path / "data")


@pytest.fixture(scope="module")
def flow() -> models.Flow:
    return models.build(MODEL, "checkerboard-even", seed=0)


def test_samples_are_those_of_their_seed_and_leave_no_trace(flow) -> None:
    before = {k: v.clone() for k, v in flow.state_dict().items()}
    state = torch.get_rng_state(), np.random.get_state()[1].copy()
    first, _ = draw_images(flow, 130, Sampling(), seed=3, device=CPU)
    assert first.shape == (130, 3, 8, 8)
    assert torch.equal(draw_images(flow, 110, Sampling(), seed=3, device=CPU)[0], first[:110])
    for other, seed in ((Sampling(), 4), (Sampling(seed=1), 3), (Sampling(temperature=0.5), 3)):
        assert not torch.equal(draw_images(flow, 130, other, seed=seed, device=CPU)[0], first)
    assert flow.training
    assert all(torch.equal(v, before[k]) for k, v in flow.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state[0])
    assert np.array_equal(np.random.get_state()[1], state[1])


def test_samples_that_overflow_are_counted(prepared) -> None:
    broken = models.build(MODEL, "checkerboard-even", seed=0)
    with torch.no_grad():
        for parameter in broken.parameters():
            parameter.fill_(50.0)
    measurements = measure(broken, prepared)
    counts, overflow = prepared.manifest.counts, measurements["swd_overflow"]
    assert overflow.value == overflow.images == max(counts.test, counts.holdout)
    assert measurements["swd"].value > measurements["swd_noise_20"].value


def test_each_part_has_its_value_and_the_controls_are_stored(flow, prepared) -> None:
    measurements = measure(flow, prepared)
    controls = {f"swd_{control}" for control in CONTROLS}
    assert {*measurements} == {"swd", "holdout_swd", "swd_overflow", *controls}
    counts = prepared.manifest.counts
    assert measurements["swd"].images == min(500, counts.test)
    assert measurements["holdout_swd"].images == min(500, counts.holdout)
    assert measurements["swd"].value != measurements["holdout_swd"].value
    path = prepared.folder / CONTROLS_FILE
    content = path.read_bytes()
    assert measure(flow, prepared) == measurements
    assert path.read_bytes() == content
    samples._measured_controls.clear()
    changed = json.loads(content)
    (key,) = changed["controls"]
    changed["controls"][key]["null"] = [1.5, 0.25]
    path.write_text(json.dumps(changed), encoding="utf-8")
    with pytest.raises(UserError, match="changed after it was written: remove it"):
        measure(flow, prepared)
    del changed["seal"]
    path.write_text(json.dumps({**changed, "seal": hash_fields(changed)}), encoding="utf-8")
    null = measure(flow, prepared)["swd_null"]
    assert (null.value, null.standard_error) == (1.5, 0.25)


@pytest.mark.parametrize("content", [b"{}", b'{"digest": "0", "controls": {}}'])
def test_a_file_of_other_controls_is_replaced(flow, prepared, content: bytes) -> None:
    expected = measure(flow, prepared)
    path = prepared.folder / CONTROLS_FILE
    original = path.read_bytes()
    path.write_bytes(content)
    samples._measured_controls.clear()
    assert measure(flow, prepared) == expected
    assert path.read_bytes() == original


def test_other_numbers_of_samples_have_other_controls(flow, prepared) -> None:
    few = measure(flow, prepared, Sampling(samples=20))["swd_null"]
    assert few.images == 20
    assert few.value != measure(flow, prepared)["swd_null"].value
