"""On a device: resumed to the bit, faster nets, two trials on one device, and samples."""

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from lcma import models
from lcma.harness import data
from lcma.harness.train import batches
from lcma.harness.train.batches import Images
from lcma.harness.train.checkpoint import CheckpointFolder
from lcma.harness.train.stack import form_stacks
from lcma.harness.train.trainer import Hooks, Trainer
from lcma.sweeps import catalog
from tests.harness.train.conftest import train_and_resume
from tests.processes import read_output
from tests.states import list_differences

pytestmark = [pytest.mark.gpu, pytest.mark.timeout(900)]

NETS = ("realnvp", "glow")
FAST = ({"autocast": "bfloat16"}, {"compile": True}, {"autocast": "bfloat16", "compile": True})
WAYS = [
    *((flow, {}) for flow in catalog.flows()),
    *((flow, fast) for flow in NETS for fast in FAST),
]


def make_trainer(
    flow: str,
    fast: dict[str, object],
    prepared: data.PreparedSet,
    device: torch.device,
    seed: int = 1,
) -> Trainer:
    training = {"steps": 20, "ema": 0.9, "select": "best", "holdout_every": 10}
    changes = {"optimization": {"stacked": False} | fast, "training": training}
    recipe = catalog.recipe(flow, "photos8", "tiny", changes)
    return Trainer(
        flow=models.build(recipe.model, "random-local", seed=seed).to(device),
        optimization=recipe.optimization,
        seed=seed,
        images=Images(prepared.part("train").images, device),
        training=recipe.training,
        holdout=Images(prepared.part("holdout").images[:40], device),
        compiler="inductor" if device.type == "cuda" else "aot_eager",
        repeats=flow in NETS,
    )


@pytest.mark.parametrize(("flow", "fast"), WAYS, ids=str)
def test_a_resumed_training_ends_with_the_same_bits(
    flow: str,
    fast: dict[str, object],
    prepared: data.PreparedSet,
    device: torch.device,
    tmp_path: Path,
) -> None:
    make = partial(make_trainer, flow, fast, prepared, device)
    alone, resumed = train_and_resume(make, prepared, tmp_path)
    assert list_differences(alone.evaluated.state_dict(), resumed.evaluated.state_dict()) == []


@pytest.mark.parametrize("flow", NETS)
def test_a_recorded_step_has_the_bits_of_others(
    flow: str, prepared: data.PreparedSet, device: torch.device, caplog: pytest.LogCaptureFixture
) -> None:
    states = []
    for unrecorded in (100, 2):
        trainer = make_trainer(flow, {}, prepared, device)
        assert trainer.repeated is not None
        trainer.repeated.unrecorded = unrecorded
        trainer.start()
        for _ in range(10):
            trainer.make_step()
        states.append(trainer.flow.state_dict())
    assert list_differences(*states) == []
    assert not caplog.text


@pytest.mark.parametrize("flow", NETS)
def test_images_that_are_copied_batch_by_batch_give_the_same_bits(
    flow: str, prepared: data.PreparedSet, device: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From pinned memory, as those of a set that is too large for the device."""

    def train() -> Trainer:
        trainer = make_trainer(flow, {}, prepared, device)
        trainer.start()
        for _ in range(30):
            trainer.make_step()
        return trainer

    resident = train()
    monkeypatch.setattr(batches, "RESIDENT_SHARE", 0.0)
    copied = train()
    assert resident.images.are_resident == (device.type != "cpu")
    assert not copied.images.are_resident
    assert list_differences(resident.flow.state_dict(), copied.flow.state_dict()) == []


CLIPPED = {"clip": 1.0}
"""In nats per image: it clips every step."""


@pytest.mark.parametrize("clip", [{}, CLIPPED], ids=str)
@pytest.mark.parametrize("flow", NETS)
def test_a_member_of_a_stack_has_the_same_bits_in_any_company(
    flow: str, clip: dict[str, object], prepared: data.PreparedSet, device: torch.device
) -> None:
    def train(seeds: Sequence[int]) -> dict[int, dict[str, Tensor]]:
        members = {seed: make_trainer(flow, clip, prepared, device, seed) for seed in seeds}
        for member in members.values():
            member.start()
        stacks = form_stacks([*members.values()])
        for _ in range(3):
            for stack in stacks:
                stack.step()
        for stack in stacks:
            stack.dissolve()
        return {seed: member.flow.state_dict() for seed, member in members.items()}

    expected = train(range(12))
    for seeds in ([7], [0, 1, 2, 3], [4, 3, 2, 1, 0], [5, 8, 2, 11, 0, 6]):
        for seed, trained in train(seeds).items():
            assert list_differences(trained, expected[seed]) == []


@pytest.mark.parametrize("flow", NETS)
def test_faster_nets_change_a_step_by_their_rounding(
    flow: str, prepared: data.PreparedSet, device: torch.device
) -> None:
    losses = []
    for fast in ({}, *FAST):
        trainer = make_trainer(flow, fast, prepared, device)
        trainer.start()
        for _ in range(3):
            loss = trainer.make_step()
        losses.append(float(loss))
    plain, bfloat16, compiled, both = losses
    assert compiled == pytest.approx(plain, rel=1e-4)
    assert bfloat16 == pytest.approx(plain, rel=0.01)
    assert both == pytest.approx(plain, rel=0.01)


@pytest.mark.parametrize("resumed", [False, True], ids=["fresh", "resumed"])
@pytest.mark.parametrize("flow", catalog.flows())
def test_a_step_waits_for_no_device(
    flow: str, resumed: bool, prepared: data.PreparedSet, device: torch.device, tmp_path: Path
) -> None:
    """From its batch to its average; CUDA itself reports a wait."""
    trainer = make_trainer(flow, {}, prepared, device)
    trainer.start()
    if resumed:
        folder = CheckpointFolder(tmp_path)
        trainer.run(3, folder, Hooks())
        trainer = make_trainer(flow, {}, prepared, device)
        assert trainer.resume(folder, 20) == 3
        trainer.flow.train()
    trainer.make_step()
    if device.type == "cuda":
        torch.cuda.set_sync_debug_mode("error")
    try:
        trainer.make_step()
    finally:
        if device.type == "cuda":
            torch.cuda.set_sync_debug_mode("default")


def query(folder: Path, sql: str) -> list[list[Any]]:
    out = read_output("-m", "lcma", "sql", sql, "--json", folder=folder)
    rows: list[list[Any]] = json.loads(out)["rows"]
    return rows


@pytest.mark.parametrize("executor", [(), ("--local", "--parallel", "2")], ids=["Ray", "local"])
def test_two_trials_share_a_device(
    executor: tuple[str, ...], device: torch.device, tmp_path: Path
) -> None:
    (tmp_path / "halves.yaml").write_text(
        "name: halves\n"
        "matrix: {flow: realnvp, dataset: photos8, factorization: [rows, channel]}\n"
        # a stack would be one worker
        "recipe: {training: {steps: 1000}, optimization: {stacked: false}}\n"
    )
    gpus = "0.5" if device.type == "cuda" else "0"
    launch = ("launch", "halves.yaml", "--gpus", gpus, *executor)
    read_output("-m", "lcma", *launch, folder=tmp_path)
    rows = query(tmp_path, "select device, started, ended, devices, stack_id from attempts")
    types, started, ended, granted, stacks = zip(*rows, strict=True)
    assert types == (device.type,) * 2
    assert stacks == (None, None), "one worker"
    assert max(started) < min(ended), "one after the other"
    (uuid,) = set(granted)
    assert uuid is None if device.type == "cpu" else uuid.startswith("GPU-")


def test_trials_of_a_device_are_sampled_and_evaluated_there(
    device: torch.device, tmp_path: Path
) -> None:
    """They are trained in a stack, and their kept weights are loaded on the CPU."""
    (tmp_path / "few.yaml").write_text(
        "name: few\n"
        "matrix: {flow: [realnvp, glow], dataset: photos8, factorization: [rows, low], "
        "budget: 20}\n"
        "recipe: {training: {steps: 20}}\n"
    )
    lcma = partial(read_output, "-m", "lcma", folder=tmp_path)
    gpus = "1" if device.type == "cuda" else "0"
    lcma("launch", "few.yaml", "--gpus", gpus, "--local")
    counts = (
        "select name, protocol, count(*) from measurements where name in ('swd', 'bits_per_dim') "
        "group by 1, 2 order by 1, 2"
    )
    assert query(tmp_path, counts) == [["bits_per_dim", "plain", 4], ["swd", "plain", 4]]
    lcma("measure", "--protocol", "published")
    lcma("measure", "swd", "--samples", "40")
    lcma("samples", "--count", "4")
    lcma("samples", "--between", "0", "1", "--sweep", "few", "--steps", "3")
    measures = [
        (name, protocol.partition("-")[0], n) for name, protocol, n in query(tmp_path, counts)
    ]
    assert measures == [
        ("bits_per_dim", "plain", 4),
        ("bits_per_dim", "published", 4),
        ("swd", "plain", 4),
        ("swd", "samples", 4),
    ]
    assert query(tmp_path, "select distinct device from attempts") == [[device.type]]
