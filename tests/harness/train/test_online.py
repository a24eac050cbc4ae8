"""Tables that change in training: which windows change, a flow that stays exact, exact resume."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from torch import Tensor

from lcma import models
from lcma.harness.train import recorder
from lcma.harness.train.checkpoint import CheckpointFolder
from lcma.harness.train.online import OnlineTables, improve_windows
from lcma.harness.train.stack import Member, Stack, train_stack
from lcma.harness.train.trainer import Hooks, Trainer
from lcma.models import Flow
from lcma.models.split import Split
from lcma.sweeps import catalog
from lcma.sweeps.recipe import Recipe
from tests.harness.train.conftest import SHORT, build_trainer, copy_weights
from tests.harness.train.test_stack import PIXELS
from tests.models.test_contributions import dense_jacobian, latents_of
from tests.states import list_differences

SHAPE = (2, 4, 4)
window_values = arrays(np.float64, SHAPE, elements=st.sampled_from([-1.5, 0.0, 0.25, 2.0]))


@given(window_values, st.integers(0, 2**32 - 1), st.sampled_from([0.01, 0.25, 0.5, 1.0]))
@settings(max_examples=80)
def test_the_windows_that_gain_most_change(
    values: NDArray[np.float64], seed: int, share: float
) -> None:
    """Against loops over windows, with pairs that stay drawn by a seed."""
    random = np.random.RandomState(seed)
    kept = np.zeros(SHAPE, dtype=bool)
    windows = list(itertools.product(range(2), range(2), range(2)))
    corners = [(0, 0), (0, 1), (1, 0), (1, 1)]
    gains = []
    for number, (c, R, Q) in enumerate(windows):
        cells = [(c, 2 * R + r, 2 * Q + q) for r, q in corners]
        kept_pair = sorted(random.permutation(4)[:2].tolist())
        for p in kept_pair:
            kept[cells[p]] = True
        best = sorted(sorted(range(4), key=lambda p, cells=cells: (-values[cells[p]], p))[:2])
        gain = sum(values[cells[p]] for p in best) - sum(values[cells[p]] for p in kept_pair)
        if best != kept_pair:
            gains.append((-gain, number, cells, best))
    expected = kept.copy()
    for _, _, cells, best in sorted(gains)[: max(1, int(share * 8))]:
        for p in range(4):
            expected[cells[p]] = p in best
    improved, changed = improve_windows(kept, values, share)
    assert np.array_equal(improved, expected)
    assert changed == min(len(gains), max(1, int(share * 8)))


def make_recipe(flow: str = "realnvp", *, steps: int = 60, **online: Any) -> Recipe:
    override = {
        "model": {"splits": 2, "architecture": SHORT[flow]},
        "optimization": {"batch": 8, "stacked": True},
        "training": {"steps": steps, "ema": 0.9},
        "maps": {"online": {"every": 10, "share": 0.3, "freeze": 0.1, **online}},
    }
    return catalog.recipe(flow, "photos8", "tiny", override)


def make_trainer(recipe: Recipe, seed: int = 0, *, online: bool = True) -> Trainer:
    flow = models.build(recipe.model, "checkerboard-even", seed=seed)
    tables = OnlineTables(flow, recipe.maps.online, recipe.training.steps) if online else None
    return build_trainer(recipe, flow, PIXELS, seed, online=tables)


def list_tables(flow: Flow) -> list[NDArray[np.int64]]:
    return [layer.table.permutation for layer in flow.layers if isinstance(layer, Split)]


@pytest.mark.parametrize("flow", ["realnvp", "glow"])
def test_the_contribution_of_every_dimension_is_accumulated(flow: str) -> None:
    network = models.build(make_recipe(flow).model, "checkerboard-even", seed=0).double()
    images = torch.from_numpy(PIXELS[:6]).double()
    network.initialize(images, torch.Generator().manual_seed(0))
    random = torch.Generator().manual_seed(2)
    for weight in network.parameters():
        weight.data += 0.05 * torch.randn(weight.shape, generator=random, dtype=torch.float64)
    network.eval()
    at_splits: list[Tensor] = []
    log_prob = network(images, torch.Generator().manual_seed(1), at_splits).log_prob
    assert torch.equal(log_prob, network(images, torch.Generator().manual_seed(1)).log_prob)
    expected = network.contributions(images, torch.Generator().manual_seed(1)).at_splits
    ids, number = network.ids(), 0
    for layer in network.layers:
        if isinstance(layer, Split):
            summed = expected[number].sum(0).flatten()[ids.flatten()].view(at_splits[number].shape)
            assert torch.allclose(at_splits[number], summed, atol=1e-9)
            assert not at_splits[number].requires_grad
            ids, _ = layer.cut(ids)
            number += 1
        else:
            ids = layer.reorder(ids)
    assert number == len(at_splits) == 2


def check_dense(flow: Flow) -> None:
    """Compare the log-determinant of the whole flow with that of its dense Jacobian."""
    flow.double().eval()
    images = torch.from_numpy(PIXELS[:1]).double()
    first = list(flow.layers)
    with torch.no_grad():
        u, _ = first[0](images, torch.Generator().manual_seed(0))
    start = float(first[0](images)[1].sum())
    jacobian = dense_jacobian(lambda t: latents_of(first[1:], t), u)
    dense = start + float(torch.linalg.slogdet(jacobian).logabsdet)
    log_det = float(flow(images, torch.Generator().manual_seed(0)).log_det.sum().detach())
    assert log_det == pytest.approx(dense, abs=1e-8)


@pytest.mark.slow_on("False-glow", "True-realnvp")
@pytest.mark.parametrize("flow", ["realnvp", "glow"])
@pytest.mark.parametrize("stacked", [False, True])
def test_at_every_step_the_flow_is_a_flow(flow: str, stacked: bool) -> None:
    """Before and after a change of its tables, and in a stack too."""
    recipe = make_recipe(flow)
    trainers = [make_trainer(recipe, seed) for seed in range(4 if stacked else 1)]
    for trainer in trainers:
        trainer.start()
    before = list_tables(trainers[0].flow)
    stack = Stack(trainers) if stacked else None
    for step in range(1, 21):
        if stack is not None:
            stack.step()
        else:
            trainers[0].losses.append(trainers[0].make_step())
        if step in (9, 10, 20):
            if step % 10 == 0:
                for trainer in trainers:
                    trainer.check(60, CheckpointFolder(Path("nowhere")), Hooks())
            copied = models.build(recipe.model, "checkerboard-odd", seed=1)
            copied.load_state_dict(trainers[-1].flow.state_dict())
            check_dense(copied)
    if stack is not None:
        stack.dissolve()
    after = list_tables(trainers[0].flow)
    assert not np.array_equal(before[0], after[0])
    assert not np.array_equal(before[1], after[1])
    assert all(sorted(table) == list(range(len(table))) for table in after)


def test_splits_take_turns_and_the_end_is_frozen(tmp_path: Path) -> None:
    trainer = make_trainer(make_recipe(steps=80, freeze=0.5))
    changes: list[tuple[int, int, float]] = []
    tables: list[list[NDArray[np.int64]]] = []

    def record(name: str, step: int, share: float) -> None:
        kind, _, split = name.rpartition("_")
        if kind == "changed_windows":
            changes.append((step, int(split), share))

    hooks = Hooks(metric=record, progress=lambda step: tables.append(list_tables(trainer.flow)))
    trainer.start()
    trainer.run(60, CheckpointFolder(tmp_path), hooks)
    assert [(step, split) for step, split, _ in changes] == [(10, 1), (20, 2), (30, 1), (40, 2)]
    assert all(0 <= share <= 0.3 for *_, share in changes)
    assert changes[0][2] > 0
    for k in (1, 3, 5):
        assert np.array_equal(tables[k - 1][0], tables[k][0]), "one split at a time"
    assert all(np.array_equal(a, b) for a, b in zip(tables[3], tables[-1], strict=True))


def test_rounding_errors_of_a_share_lose_no_step_and_no_window(tmp_path: Path) -> None:
    """(1 - 0.9) * 100 is 9.999999999999998, and 0.29 * 100 is 28.999999999999996."""
    trainer = make_trainer(make_recipe(steps=100, freeze=0.9))
    metrics: list[tuple[str, int]] = []
    hooks = Hooks(metric=lambda name, step, _: metrics.append((name, step)))
    trainer.run(11, CheckpointFolder(tmp_path), hooks)
    assert ("changed_windows_1", 10) in metrics
    kept = np.tile(np.array([[True, True], [False, False]]), (1, 10, 10))
    values = np.where(kept, 0.0, 1.0)
    assert improve_windows(kept, values, 0.29)[1] == 29


def test_a_map_is_the_mean_since_the_last_change_at_its_split_or_before() -> None:
    tables = make_trainer(make_recipe()).online
    ones = [torch.ones(3, 8, 8), torch.ones(6, 4, 4)]
    tables.add(ones, 8)
    tables.add([2 * values for values in ones], 8)
    assert tables.state()["images"] == [16, 16]
    assert float(tables.state()["sums"][1][0, 0, 0]) == 3.0
    assert tables.change(5) is None
    rising = torch.arange(192.0).view(3, 8, 8)
    tables.add([rising, ones[1]], 8)
    split, share = tables.change(10)
    assert split == 1
    assert share > 0
    assert tables.state()["images"] == [0, 0], "what comes later is of another wiring"
    tables.add(ones, 8)
    tables.add([ones[0], torch.arange(96.0).view(6, 4, 4)], 8)
    assert tables.change(20) is not None
    assert tables.state()["images"] == [16, 0], "the first split's map goes on"


def train_members(
    root: Path, seeds: Sequence[int], until: int, *, fixed: bool = False
) -> dict[int, Trainer]:
    """Return the members of a stack by seed, resumed from the checkpoints below a folder.

    ``fixed`` adds a member, of seed 9, whose tables do not change.
    """
    trainers = {seed: make_trainer(make_recipe(), seed) for seed in seeds}
    if fixed:
        trainers[9] = make_trainer(make_recipe(), 9, online=False)
    members = []
    for seed, trainer in trainers.items():
        folder = CheckpointFolder(root / str(seed))
        trainer.resume(folder, at_most=until)
        members.append(Member(trainer, folder, Hooks()))
    train_stack(members, until, lambda index, error: None)
    return trainers


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Trainer]:
    """Members by seed, whose tables change at steps 10 and 20, and 9, whose tables do not."""
    return train_members(tmp_path_factory.mktemp("company"), range(3), 22, fixed=True)


def test_members_of_a_stack_have_the_bits_of_any_other_company(
    company: dict[int, Trainer], tmp_path: Path
) -> None:
    """With a member whose tables do not change, and resumed with others between two changes."""
    train_members(tmp_path / "parts", range(2), 14)
    parts = train_members(tmp_path / "parts", range(2), 22)
    for seed, part in parts.items():
        assert list_differences(copy_weights(part), copy_weights(company[seed])) == []
    fixed = train_members(tmp_path / "fixed", (), 22, fixed=True)
    assert list_differences(copy_weights(fixed[9]), copy_weights(company[9])) == []


def test_tables_are_found_and_changed_by_recorded_steps_too(
    company: dict[int, Trainer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "UNRECORDED_STEPS", 3)
    for seed, trainer in train_members(tmp_path, range(2), 22).items():
        torch.testing.assert_close(trainer.state(), company[seed].state(), rtol=0, atol=0)


def test_the_average_starts_again_at_a_change() -> None:
    trainer = make_trainer(make_recipe())
    trainer.start()
    for _ in range(10):
        trainer.losses.append(trainer.make_step())
    flow, average = trainer.flow.state_dict(), trainer.evaluated.state_dict()
    assert list_differences(flow, average)
    trainer.check(60, CheckpointFolder(Path("nowhere")), Hooks())
    assert list_differences(flow, average) == []
