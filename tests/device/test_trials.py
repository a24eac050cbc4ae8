"""Trials on a GPU made of Python store the same rows as on a CPU."""

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from lcma import db
from lcma.harness import data
from lcma.harness.data.manifest import CONTROLS_FILE
from lcma.harness.measure import samples, wasserstein, weights
from lcma.harness.measure.measure import TrainedFlow, take_measures
from lcma.harness.measure.registry import make_measure
from lcma.harness.place import Place
from lcma.harness.train import contribution
from lcma.harness.work.worker import run_work
from lcma.models import residual
from lcma.sweeps import plugins
from tests.device import device as devices
from tests.device.conftest import Run
from tests.device.test_flows import FLOWS, PLUGIN, SHORT, write_plugin
from tests.faults.contents import compare_rows, find_faults, read_rows
from tests.harness.launch.conftest import place_in, register
from tests.states import list_differences

pytestmark = pytest.mark.xdist_group("device")


def run_trials(flow: str, root: Path, folder: Path, device: torch.device) -> dict[str, Any]:
    """Run a sweep on a device; return its faults, its rows, and later measures."""
    shutil.copytree(root, folder / "data", ignore=shutil.ignore_patterns(CONTROLS_FILE))
    samples._measured_controls.clear()
    place = place_in(folder, folder / "data")
    content = {
        "name": "trials",
        "plugins": [str(write_plugin(folder.parent))] if flow == PLUGIN else [],
        "matrix": {
            **{"flow": flow, "dataset": "photos8", "budget": 10},
            "factorization": ["low", "self", "online"],
        },
        "recipe": {
            "model": {"architecture": SHORT[flow]},
            "optimization": {"batch": 8, "stacked": False},
            "training": {"steps": 10, "ema": 0.9, "select": "best", "holdout_every": 10},
            "maps": {"online": {"every": 10, "share": 0.3}},
        },
    }
    store, works = register(place, base=content)
    with store:
        for work in works:
            run_work(dataclasses.replace(work, device=device.type))
        faults = find_faults(store)
        measures = [] if faults else measure_again(store, place, device)
        return {"faults": faults, "rows": read_rows(store), "measures": measures}


def measure_again(store: db.Store, place: Place, device: torch.device) -> list[Any]:
    """Load a trained flow, and measure it as `lcma measure` does."""
    trial = next(
        trial for trial in store.job_facts() if trial.weights and trial.factorization == "self"
    )
    flow, recipe = weights.load_flow(store, place, trial)
    prepared, flow = data.load("photos8", place.data), flow.to(device)
    assert next(flow.parameters()).device.type == device.type
    measures = [
        make_measure("swd", samples=20),
        make_measure("bits_per_dim", protocol="published"),
        make_measure("bits_per_dim", draws=2),
    ]
    return take_measures(measures, TrainedFlow(flow, recipe.model, prepared, trial.seed, device))


def compare(flow: str, root: Path, folder: Path) -> tuple[list[str], list[str], list[str]]:
    """Return the faults of the device's trials, and what differs from a CPU's."""
    contribution.MAX_IMAGES = 8  # fewer probes of residual blocks
    wasserstein.REPEATS, wasserstein.DIRECTIONS = 1, 32
    residual.EVALUATION_ITERATIONS = 3
    with devices.on_compared_cpu() as cpu:
        expected = run_trials(flow, root, folder / "cpu", cpu)
    plugins.unload()
    with devices.on_device() as device:
        actual = run_trials(flow, root, folder / "device", device)
    return (
        actual["faults"],
        compare_rows(expected["rows"], actual["rows"]),
        list_differences(expected["measures"], actual["measures"]),
    )


@pytest.mark.integration
@pytest.mark.parametrize("flow", FLOWS)
def test_trials_have_the_bits_of_a_cpu(
    flow: str, run: Run, few_photos_root: Path, tmp_path: Path
) -> None:
    for name in ("cpu", "device"):
        (tmp_path / name).mkdir()
    assert run(compare, flow, few_photos_root, tmp_path) == ([], [], [])
