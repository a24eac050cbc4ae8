"""Stacks: a member's bits do not depend on the others, and members may end early."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from lcma import models
from lcma.harness.storage import StorageError
from lcma.harness.train import recorder
from lcma.harness.train import stack as stacks
from lcma.harness.train.batches import Images
from lcma.harness.train.checkpoint import CheckpointFolder
from lcma.harness.train.evaluate import evaluate
from lcma.harness.train.protocol import PLAIN
from lcma.harness.train.stack import Member, Stack, form_stacks, train_stack
from lcma.harness.train.trainer import (
    DivergedError,
    Hooks,
    OutOfTimeError,
    StoppedError,
    Trainer,
)
from lcma.sweeps import catalog
from lcma.sweeps.recipe import Recipe
from tests.harness.train.conftest import CPU, SHORT, build_trainer, copy_weights
from tests.states import list_differences

PIXELS = np.random.RandomState(0).randint(0, 256, (80, 3, 8, 8)).astype(np.uint8)
RULES = ("checkerboard-even", "random-local", "channel", "random", "rows", "random-lattice")

RECIPES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "realnvp": ({}, {}),
    "realnvp, batch norm, l2, flips": (
        {"flow_norm": "batch", "net_norm": "batch"},
        {"l2": 0.0001, "flips": True, "optimizer": "adamax"},
    ),
    "realnvp, additive, released": ({"scale": "additive", "start": "released"}, {}),
    "glow": ({}, {}),
    "glow, dense, place, exp": (
        {
            "conv1x1": "dense",
            "learned_top": True,
            "top": "place",
            "scale": "exp",
            "net_actnorm": False,
        },
        {"clip": 50, "shift": 2, "optimizer": "adam"},
    ),
}
"""Settings of the architecture and of the optimization."""


def make_recipe(name: str = "realnvp", **training: Any) -> Recipe:
    flow, (architecture, optimization) = name.partition(",")[0], RECIPES[name]
    override = {
        "model": {"splits": 1, "architecture": {**SHORT[flow], **architecture}},
        "optimization": {"batch": 8, **optimization, "stacked": True},
        "training": {"steps": 40, "ema": 0.9, **training},
    }
    return catalog.recipe(flow, "photos8", "tiny", override)


def make_trainer(recipe: Recipe, number: int, *, started: bool = True) -> Trainer:
    """Return a trainer whose seed and rule follow from its number."""
    flow = models.build(recipe.model, RULES[number % len(RULES)], seed=number)
    trainer = build_trainer(recipe, flow, PIXELS, number)
    if started:
        trainer.start()
    return trainer


def step_stack(
    recipe: Recipe, numbers: Sequence[int], steps: int = 3
) -> dict[int, dict[str, Tensor]]:
    """Return the weights of stacked trainers after some steps."""
    trainers = {number: make_trainer(recipe, number) for number in numbers}
    formed = form_stacks([*trainers.values()])
    assert len(formed) == 1
    for _ in range(steps):
        formed[0].step()
    formed[0].dissolve()
    return {number: copy_weights(trainer) for number, trainer in trainers.items()}


@pytest.mark.parametrize("name", RECIPES)
def test_a_recorded_step_has_the_bits_of_others(
    monkeypatch: pytest.MonkeyPatch, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    recipe = make_recipe(name)
    expected = step_stack(recipe, range(4), steps=5)
    computed: list[int] = []
    honest = Stack._gradient

    def counted(self: Stack, *arguments: Any) -> tuple[Any, ...]:
        computed.append(self.trainers[0].step)
        return honest(self, *arguments)

    monkeypatch.setattr(Stack, "_gradient", counted)
    monkeypatch.setattr(recorder, "UNRECORDED_STEPS", 1)
    repeated = step_stack(recipe, range(4), steps=5)
    assert [n for n in range(4) if list_differences(repeated[n], expected[n])] == []
    assert computed == [0, 1, 1, 2]
    assert not caplog.text


@pytest.mark.slow_on("[glow]", "[realnvp]")
@pytest.mark.parametrize("name", RECIPES)
def test_the_bits_of_a_member_do_not_depend_on_its_company(name: str) -> None:
    recipe = make_recipe(name)
    six = step_stack(recipe, range(6))
    for numbers in ([2], [1, 2, 3, 4], [5, 2, 0, 4, 1]):
        fewer = step_stack(recipe, numbers)
        assert [n for n in numbers if list_differences(fewer[n], six[n])] == []


@pytest.mark.slow
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", RECIPES)
def test_the_bits_are_the_same_in_large_stacks(
    monkeypatch: pytest.MonkeyPatch, name: str, threads: int
) -> None:
    monkeypatch.setattr(recorder, "UNRECORDED_STEPS", 6)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        recipe = make_recipe(name)
        whole = step_stack(recipe, range(24), steps=12)
        for numbers in (range(12), range(11, -1, -1), range(12, 24), range(4), range(7, 12)):
            fewer = step_stack(recipe, numbers, steps=12)
            assert [n for n in numbers if list_differences(fewer[n], whole[n])] == []
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("name", RECIPES)
def test_a_stack_computes_what_a_trainer_alone_does(name: str) -> None:
    recipe = make_recipe(name)
    together = {number: make_trainer(recipe, number) for number in range(4)}
    stack = Stack([*together.values()])
    alone = {number: make_trainer(recipe, number) for number in range(4)}
    for _ in range(2):
        stack.step()
        for trainer in alone.values():
            trainer.losses.append(trainer.make_step())
    stack.dissolve()
    for number, trainer in alone.items():
        torch.testing.assert_close(together[number].losses, trainer.losses, rtol=1e-4, atol=1e-4)
        assert together[number].step == trainer.step == 2
        assert together[number].images_seen == trainer.images_seen
        ours, theirs = copy_weights(together[number]), copy_weights(trainer)
        for key, tensor in ours.items():
            # Adam divides a gradient by its own size: where it is zero except for rounding, the
            # first steps are noise of the learning rate, and so is the second gradient a little.
            atol = 1e-2 * max(0.5, float(theirs[key].float().abs().max()))
            torch.testing.assert_close(tensor, theirs[key], rtol=1e-2, atol=atol, msg=key)


@dataclass
class Watched:
    """A member with its curve, and the step and error of each of its endings."""

    member: Member
    endings: list[tuple[int, Exception | None]] = field(default_factory=list)
    curve: dict[int, float] = field(default_factory=dict)

    @property
    def trainer(self) -> Trainer:
        return self.member.trainer


def make_members(
    tmp_path: Path, recipe: Recipe, numbers: Sequence[int], **hooks: dict[int, Any]
) -> list[Watched]:
    """Return members that resume from the checkpoints below a folder. Hooks are by number."""
    members = []
    for number in numbers:
        trainer = make_trainer(recipe, number, started=False)
        folder = CheckpointFolder(tmp_path / str(number))
        trainer.resume(folder, recipe.training.steps)
        callbacks = {name: hook[number] for name, hook in hooks.items() if number in hook}
        watched = Watched(Member(trainer, folder, Hooks()))
        watched.member.hooks = Hooks(
            metric=lambda name, step, value, watched=watched: watched.curve.update({step: value}),
            **{"checkpoint_seconds": 0.0, **callbacks},
        )
        members.append(watched)
    return members


def train(members: Sequence[Watched], until: int) -> None:
    def end(index: int, error: Exception | None) -> None:
        members[index].endings.append((members[index].trainer.step, error))

    train_stack([watched.member for watched in members], until, end)


def are_equal(first: Watched, second: Watched) -> bool:
    return list_differences(copy_weights(first.trainer), copy_weights(second.trainer)) == []


@pytest.mark.integration
def test_a_member_that_leaves_changes_nothing_for_the_others(tmp_path: Path) -> None:
    recipe = make_recipe(select="best", holdout_every=10)
    undisturbed = make_members(tmp_path / "undisturbed", recipe, range(2, 6))
    train(undisturbed, 30)
    assert [member.endings for member in undisturbed] == [[(30, None)]] * 4

    full = StorageError("the disk is full")
    unsaved: list[StorageError] = []

    def fail(*_: object, **__: object) -> None:
        raise full

    members = make_members(
        tmp_path / "with trouble",
        recipe,
        range(6),
        must_stop={1: lambda: members[1].trainer.step == 10},
        out_of_time={2: lambda: members[2].trainer.step == 20},
        on_unsaved={3: unsaved.append},
        save_last={4: fail},
    )
    members[3].member.folder.save = fail
    with torch.no_grad():
        next(members[0].trainer.flow.parameters()).fill_(torch.nan)
    train(members, 30)

    assert "not finite at step 1;" in str(members[0].endings[0][1])
    ended_early = [[(step, type(error)) for step, error in m.endings] for m in members[:3]]
    assert ended_early == [[(10, DivergedError)], [(10, StoppedError)], [(20, OutOfTimeError)]]
    assert [member.endings for member in members[3:]] == [[(30, full)], [(30, full)], [(30, None)]]
    assert unsaved == [full] * 2
    for member, expected in zip(members[3:], undisturbed[1:], strict=True):
        assert are_equal(member, expected)
        assert member.curve == expected.curve
        assert member.trainer.best is not None

    # A member that ended resumes in another stack, and ends with the same bits.
    (resumed,) = make_members(tmp_path / "with trouble", recipe, [2])
    assert resumed.trainer.step == 20
    train([resumed], 30)
    assert are_equal(resumed, undisturbed[0])


@pytest.mark.integration
def test_a_checkpoint_of_a_member_holds_no_other(tmp_path: Path) -> None:
    few, many = (make_members(tmp_path / str(n), make_recipe(), range(n)) for n in (1, 6))
    for members in (few, many):
        train(members, 11)  # a checkpoint in the middle, and one at the end
    sizes = [max(f.bytes for f in group[0].member.folder.folder.files()) for group in (few, many)]
    assert sizes[0] == sizes[1]


@pytest.mark.slow
def test_an_evaluation_between_steps_has_the_bits_that_its_weights_give_later(
    tmp_path: Path,
) -> None:
    seen: dict[int, tuple[float, Trainer]] = {}

    def evaluate_first(step: int) -> None:
        trainer = members[0].trainer
        bits = evaluate(trainer.evaluated, Images(PIXELS[:20], CPU), PLAIN).bits_per_dim.value
        copied = make_trainer(make_recipe(), 0, started=False)
        copied.restore(copy.deepcopy(trainer.state()))
        seen[step] = bits, copied

    members = make_members(tmp_path, make_recipe(), range(4), progress={0: evaluate_first})
    train(members, 20)
    assert sorted(seen) == [10, 20]
    for bits, copied in seen.values():
        later = evaluate(copied.evaluated, Images(PIXELS[:20], CPU), PLAIN).bits_per_dim.value
        assert bits == later


def test_where_bits_differ_fours_are_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(stacks, "_EQUAL_TO_FOURS", {})
    expected = step_stack(make_recipe(), range(6), steps=4)
    monkeypatch.setattr(stacks, "_EQUAL_TO_FOURS", {})
    monkeypatch.setattr(Stack, "is_equal_to_fours", lambda self: False)
    formed = form_stacks([make_trainer(make_recipe(), number) for number in range(6)])
    assert [len(stack.trainers) for stack in formed] == [4, 2]
    assert "a stack of 6 has other bits here than stacks of four" in caplog.text
    for stack in formed:
        stack.dissolve()
    members = make_members(tmp_path, make_recipe(), range(6))
    train(members, 4)
    for number, item in enumerate(members):
        assert list_differences(copy_weights(item.trainer), expected[number]) == []


def test_a_stack_notices_that_bits_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a device whose sums depend on the number of rows."""
    stack = Stack([make_trainer(make_recipe(), number) for number in range(6)])
    assert stack.is_equal_to_fours()
    honest = Stack._gradient

    def rounded(self: Stack, whole: Tensor, *rest: Any) -> tuple[Any, ...]:
        log_probs, gradient, *more = honest(self, whole, *rest)
        if len(whole) != 4:
            gradient[0, 0] = torch.nextafter(gradient[0, 0], torch.tensor(torch.inf))
        return log_probs, gradient, *more

    monkeypatch.setattr(Stack, "_gradient", rounded)
    assert not stack.is_equal_to_fours()
    stack.dissolve()


def test_a_member_that_diverges_does_not_split_its_stack(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(stacks, "_EQUAL_TO_FOURS", {})
    trainers = [make_trainer(make_recipe(), number) for number in range(5)]
    with torch.no_grad():
        next(trainers[1].flow.parameters()).fill_(torch.nan)
    (formed,) = form_stacks(trainers)
    formed.dissolve()
    assert not caplog.text


def test_equal_bits_are_tried_again_for_images_of_another_size(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Convolutions have weights of one shape for all sizes, and other sums."""
    tried = []
    model = make_recipe().model
    monkeypatch.setattr(stacks, "_EQUAL_TO_FOURS", {})
    monkeypatch.setattr(Stack, "is_equal_to_fours", lambda self: tried.append(self) or True)
    for size in (8, 16, 8):
        resized = model.model_copy(update={"size": size})
        recipe = make_recipe().model_copy(update={"model": resized})
        pixels = np.zeros((20, 3, size, size), np.uint8)
        monkeypatch.setattr("tests.harness.train.test_stack.PIXELS", pixels)
        (formed,) = form_stacks([make_trainer(recipe, number) for number in range(5)])
        formed.dissolve()
    assert [stack.trainers[0].flow.shape[1] for stack in tried] == [8, 16]
