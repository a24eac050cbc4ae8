"""On a device: resumed to the bit, faster nets, two trials on one device, the benchmark."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from lcma import models
from lcma.harness import data
from lcma.harness.train import batches
from lcma.harness.train.batches import Images
from lcma.harness.train.checkpoint import CheckpointFolder
from lcma.harness.train.evaluate import evaluate
from lcma.harness.train.protocol import PLAIN
from lcma.harness.train.stack import form_stacks
from lcma.harness.train.trainer import Hooks, StoppedError, Trainer
from lcma.sweeps import catalog

pytestmark = [pytest.mark.gpu, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]
NETS = ("realnvp", "glow")
FAST = ({"autocast": "bfloat16"}, {"compile": True}, {"autocast": "bfloat16", "compile": True})
WAYS = [
    *((flow, {}) for flow in catalog.flows()),
    *((flow, fast) for flow in NETS for fast in FAST),
]


def made(
    flow: str,
    fast: dict[str, object],
    prepared: data.PreparedSet,
    device: torch.device,
    seed: int = 1,
) -> Trainer:
    training = {"steps": 20, "ema": 0.9, "select": "best", "holdout_every": 10}
    asked = {"optimization": {"stacked": False} | fast, "training": training}
    recipe = catalog.recipe(flow, "photos8", "tiny", asked)
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
    alone = made(flow, fast, prepared, device)
    alone.resume(CheckpointFolder(tmp_path / "alone"), 20)
    alone.run(20, CheckpointFolder(tmp_path / "alone"), Hooks())
    folder = CheckpointFolder(tmp_path / "stopped")
    stopped = made(flow, fast, prepared, device)
    stopped.resume(folder, 20)
    with pytest.raises(StoppedError):
        stopped.run(20, folder, Hooks(must_stop=lambda: stopped.step == 14, checkpoint_seconds=0.0))
    resumed = made(flow, fast, prepared, device)
    assert resumed.resume(folder, 20) == 10
    resumed.run(20, folder, Hooks())
    again = resumed.evaluated.state_dict()
    differing = [k for k, v in alone.evaluated.state_dict().items() if not torch.equal(v, again[k])]
    assert differing == []
    test = Images(prepared.part("test").images[:50], device)
    bits = [evaluate(t.evaluated, test, PLAIN).bits_per_dim.value for t in (alone, resumed)]
    assert bits[0] == bits[1]


@pytest.mark.parametrize("flow", NETS)
def test_a_recorded_step_has_the_bits_of_others(
    flow: str, prepared: data.PreparedSet, device: torch.device, caplog: pytest.LogCaptureFixture
) -> None:
    found = []
    for unrecorded in (100, 2):
        trainer = made(flow, {}, prepared, device)
        assert trainer.repeated is not None
        trainer.repeated.unrecorded = unrecorded
        trainer.start()
        for _ in range(10):
            trainer.make_step()
        found.append(trainer.flow.state_dict())
    assert [k for k, v in found[0].items() if not torch.equal(v, found[1][k])] == []
    assert not caplog.text


@pytest.mark.parametrize("flow", NETS)
def test_images_that_are_sent_ahead_give_the_same_bits(
    flow: str, prepared: data.PreparedSet, device: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From pinned memory while the device computes, as those of a set that is too large for it."""

    def train() -> Trainer:
        trainer = made(flow, {}, prepared, device)
        trainer.start()
        for _ in range(30):
            trainer.make_step()
        return trainer

    held = train()
    monkeypatch.setattr(batches, "RESIDENT_SHARE", 0.0)
    sent = train()
    assert not held.images.travel
    assert sent.images.travel == (device.type != "cpu")
    again = sent.flow.state_dict()
    assert [k for k, v in held.flow.state_dict().items() if not torch.equal(v, again[k])] == []


CLIPPED = {"clip": 1.0}
"""In nats per image: it clips every step."""


@pytest.mark.parametrize("clip", [{}, CLIPPED], ids=str)
@pytest.mark.parametrize("flow", NETS)
def test_a_member_of_a_stack_has_the_same_bits_in_any_company(
    flow: str, clip: dict[str, object], prepared: data.PreparedSet, device: torch.device
) -> None:
    def weights(seeds: Sequence[int]) -> dict[int, dict[str, torch.Tensor]]:
        members = {seed: made(flow, clip, prepared, device, seed) for seed in seeds}
        for member in members.values():
            member.start()
        stacks = form_stacks([*members.values()])
        for _ in range(3):
            for stack in stacks:
                stack.step()
        for stack in stacks:
            stack.dissolve()
        return {seed: member.flow.state_dict() for seed, member in members.items()}

    most = weights(range(12))
    for seeds in ([7], [0, 1, 2, 3], [4, 3, 2, 1, 0], [5, 8, 2, 11, 0, 6]):
        for seed, found in weights(seeds).items():
            assert [k for k in found if not torch.equal(found[k], most[seed][k])] == []


@pytest.mark.parametrize("flow", NETS)
def test_faster_nets_change_a_step_by_their_rounding(
    flow: str, prepared: data.PreparedSet, device: torch.device
) -> None:
    found = []
    for fast in ({}, *FAST):
        trainer = made(flow, fast, prepared, device)
        trainer.start()
        for _ in range(3):
            loss = trainer.make_step()
        found.append(float(loss))
    plain, lowered, compiled, both = found
    assert compiled == pytest.approx(plain, rel=1e-4)
    assert lowered == pytest.approx(plain, rel=0.01)
    assert both == pytest.approx(plain, rel=0.01)


@pytest.mark.parametrize("resumed", [False, True], ids=["fresh", "resumed"])
@pytest.mark.parametrize("flow", catalog.flows())
def test_a_step_waits_for_no_device(
    flow: str, resumed: bool, prepared: data.PreparedSet, device: torch.device, tmp_path: Path
) -> None:
    """From its batch to its average; CUDA itself says where it would wait."""
    trainer = made(flow, {}, prepared, device)
    trainer.start()
    if resumed:
        folder = CheckpointFolder(tmp_path)
        trainer.run(3, folder, Hooks())
        trainer = made(flow, {}, prepared, device)
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


def lcma(folder: Path, *arguments: str) -> str:
    """Return what a command printed that ran in a folder."""
    done = subprocess.run(
        [sys.executable, "-m", "lcma", *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def rows(folder: Path, query: str) -> list[list[Any]]:
    found: list[list[Any]] = json.loads(lcma(folder, "sql", query, "--json"))["rows"]
    return found


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
    lcma(tmp_path, "launch", "halves.yaml", "--gpus", gpus, "--no-pictures", *executor)
    found = rows(tmp_path, "select device, started, ended, devices, stack_id from attempts")
    assert [row[0] for row in found] == [device.type] * 2
    assert [row[4] for row in found] == [None] * 2, "one worker"
    assert max(row[1] for row in found) < min(row[2] for row in found), "one after the other"
    (granted,) = {row[3] for row in found}
    assert granted is None if device.type == "cpu" else granted.startswith("GPU-")


def test_trials_of_a_device_are_sampled_and_evaluated_there(
    device: torch.device, tmp_path: Path
) -> None:
    """Of a stack, by their kept weights, which are loaded on the CPU."""
    (tmp_path / "few.yaml").write_text(
        "name: few\n"
        "matrix: {flow: [realnvp, glow], dataset: photos8, factorization: [rows, low], "
        "budget: 20}\n"
        "recipe: {training: {steps: 20}}\n"
    )
    gpus = "1" if device.type == "cuda" else "0"
    lcma(tmp_path, "launch", "few.yaml", "--gpus", gpus, "--no-pictures", "--local")
    taken = "select name, protocol, count(*) from measures where name in ('swd', 'bits_per_dim')"
    both = f"{taken} group by 1, 2 order by 1, 2"
    assert rows(tmp_path, both) == [["bits_per_dim", "plain", 4], ["swd", "plain", 4]]
    lcma(tmp_path, "measure", "--protocol", "published")
    lcma(tmp_path, "measure", "swd", "--samples", "40")
    lcma(tmp_path, "samples", "--count", "4")
    lcma(tmp_path, "samples", "--between", "0", "1", "--sweep", "few", "--steps", "3")
    found = {(name, protocol.partition("-")[0]): n for name, protocol, n in rows(tmp_path, both)}
    assert found == {
        ("bits_per_dim", "plain"): 4,
        ("bits_per_dim", "published"): 4,
        ("swd", "plain"): 4,
        ("swd", "samples"): 4,
    }
    assert rows(tmp_path, "select distinct device from attempts") == [[device.type]]
