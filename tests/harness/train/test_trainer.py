"""The training loop: exact resume, stops, divergence, averages, the choice of weights."""

import math
from typing import Any

import numpy as np
import pytest
import torch

from lcma.harness.train.trainer import DivergedError, Hooks
from tests.states import list_differences

STOPS = [
    [3, 12, 20, 29, 29, 35],
    *(pytest.param([step], marks=pytest.mark.slow) for step in (1, 9, 10, 11, 30, 39)),
]


@pytest.mark.slow_on("35]-pretraining")
@pytest.mark.parametrize("kind", ["pretraining", "training"])
@pytest.mark.parametrize("stops", STOPS, ids=str)
def test_a_run_stopped_anywhere_ends_with_the_same_bits(
    kind: str, stops: list[int], workshop: Any, undisturbed: Any
) -> None:
    """Each run has a new trainer and only the checkpoints."""
    expected = undisturbed(kind)
    metrics: dict[tuple[str, int], float] = {}
    for stop_at in [*stops, None]:
        run = getattr(workshop, kind)("same")
        run.metrics = metrics
        torch.manual_seed(stop_at or 99)  # a node's global generator must not matter
        finished = run.go(40, stop_at=stop_at, checkpoint_seconds=0)
        assert finished == (stop_at is None)
        if stop_at is not None:
            saved = [checkpoint.step for checkpoint in run.folder.list()]
            assert max(saved, default=0) == 10 * (stop_at // 10)
    assert list_differences(run.trainer.state(), expected.trainer.state()) == []
    assert metrics == expected.metrics


def test_other_seeds_and_other_orders_end_elsewhere(workshop: Any, undisturbed: Any) -> None:
    run = workshop.pretraining("other")
    run.trainer.seed = 5
    assert run.go(10)
    other = workshop.pretraining("again")
    assert other.go(10)
    assert list_differences(run.trainer.state()["flow"], other.trainer.state()["flow"])
    first = undisturbed("pretraining").metrics["train_bits_per_dim", 10]
    assert other.metrics["train_bits_per_dim", 10] == first


def test_a_chain_of_budgets_is_one_run(workshop: Any, undisturbed: Any) -> None:
    for budget in (10, 20, 40):
        run = workshop.pretraining("chain")
        assert run.trainer.resume(run.folder, budget) == {10: 0, 20: 10, 40: 20}[budget]
        assert run.go(budget, checkpoint_seconds=math.inf)
    assert list_differences(run.trainer.state(), undisturbed("pretraining").trainer.state()) == []
    assert [(f.step, f.kept) for f in run.folder.list()] == [(10, True), (20, True), (40, True)]
    again = workshop.pretraining("chain")
    assert again.trainer.resume(again.folder, 30) == 20, "not beyond the requested step"


def test_windows_end_on_round_steps_after_a_budget_that_is_not(workshop: Any) -> None:
    assert workshop.pretraining("odd").go(15)
    run = workshop.pretraining("odd")
    assert run.go(40)
    assert run.progress == [20, 30, 40]


def test_a_budget_of_no_steps_is_the_initialized_flow(workshop: Any) -> None:
    run = workshop.pretraining("none")
    assert run.go(0)
    assert [(f.step, f.kept) for f in run.folder.list()] == [(0, True)]
    started = workshop.pretraining("started").trainer
    started.start()
    assert list_differences(run.trainer.state()["flow"], started.state()["flow"]) == []
    assert list_differences(started.state()["flow"], workshop.nms().state_dict())


def test_without_checkpoint_seconds_a_short_run_saves_only_at_its_end(undisturbed: Any) -> None:
    assert [f.step for f in undisturbed("training").folder.list()] == [40]


def test_a_checkpoint_holds_the_curves_up_to_its_step(workshop: Any) -> None:
    run = workshop.training("a")
    run.trainer.start()
    reported: list[tuple[int, float]] = []
    hooks = Hooks(
        metric=lambda name, step, value: reported.append((step, value)),
        curves=lambda: {"job": {"all": torch.tensor(reported, dtype=torch.float64)}},
        checkpoint_seconds=0,
    )
    run.trainer.run(20, run.folder, hooks)
    for until in (20, 19):
        resumed = workshop.training("a")
        step = resumed.trainer.resume(resumed.folder, until)
        points = list(map(tuple, resumed.trainer.curves["job"]["all"].tolist()))
        assert points == [point for point in reported if point[0] <= step]


def test_a_metric_is_the_mean_loss_of_its_window(workshop: Any) -> None:
    losses: list[float] = []
    single = workshop.pretraining("single")
    single.trainer.start()
    hooks = Hooks(metric=lambda name, step, value: losses.append(value))
    for step in range(1, 11):
        single.trainer.run(step, single.folder, hooks)
    whole = workshop.pretraining("whole")
    assert whole.go(10)
    assert whole.metrics == {("train_bits_per_dim", 10): pytest.approx(np.mean(losses), abs=1e-12)}


def test_a_diverged_run_names_the_first_step_without_a_finite_loss(workshop: Any) -> None:
    single = workshop.pretraining("single", learning_rate=1e6, warmup=0)
    single.trainer.start()
    losses: list[float] = []
    hooks = Hooks(metric=lambda name, step, value: losses.append(value))

    with pytest.raises(DivergedError) as error:  # noqa: PT012 - it raises at any of these steps
        for step in range(1, 60):
            single.trainer.run(step, single.folder, hooks)
    assert losses
    assert error.value.step == len(losses) + 1
    run = workshop.pretraining("a", learning_rate=1e6, warmup=0)
    words = rf"not finite at step {len(losses) + 1}; last finite loss: {losses[-1]:.4f} bits/dim"
    with pytest.raises(DivergedError, match=words) as error:
        run.go(60, checkpoint_seconds=0)
    assert error.value.step == len(losses) + 1
    assert all(checkpoint.step < error.value.step for checkpoint in run.folder.list())


def test_the_average_follows_the_weights(workshop: Any) -> None:
    """Index tables and other integers are copied."""
    run = workshop.training("a", training={"ema": 0.75})
    run.trainer.start()
    expected: dict[str, torch.Tensor] = {}
    for step in range(1, 6):
        run.trainer.run(step, run.folder, Hooks())
        for name, value in run.trainer.flow.state_dict().items():
            old = expected.get(name, value)
            moving = value.is_floating_point()
            expected[name] = 0.75 * old + 0.25 * value if moving else value.clone()
    average = run.trainer.evaluated.state_dict()
    torch.testing.assert_close(average, expected, rtol=1e-5, atol=1e-7)
    assert any(name.endswith("inverse_index") for name in average)
    assert list_differences(average, dict(run.trainer.flow.state_dict()))


def test_the_best_weights_have_the_lowest_holdout_value(undisturbed: Any) -> None:
    run = undisturbed("training")
    values = [(run.metrics["holdout_bits_per_dim", step], step) for step in (10, 20, 30, 40)]
    best = run.trainer.best
    assert (best["holdout_bits_per_dim"], best["step"]) == min(values)


def test_the_best_weights_are_a_copy_of_their_step_and_survive_a_resume(workshop: Any) -> None:
    run = workshop.training("a")
    assert run.go(10)
    at_ten = {k: v.clone() for k, v in run.trainer.evaluated.state_dict().items()}
    run.trainer.best["holdout_bits_per_dim"] = -1.0  # nothing is better from now on
    run.folder.clear()
    run.folder.save(10, {**run.trainer.state(), "curves": {}})
    resumed = workshop.training("a")
    assert resumed.trainer.resume(resumed.folder, 20) == 10
    assert list_differences(resumed.trainer.best, run.trainer.best) == []
    assert resumed.go(20)
    assert resumed.trainer.best["step"] == 10
    assert list_differences(resumed.trainer.best["flow"], at_ten) == []
    assert list_differences(resumed.trainer.evaluated.state_dict(), at_ten)


def test_a_holdout_value_that_is_no_number_is_never_best(workshop: Any) -> None:
    """An early lagging batch norm can overflow in evaluation and recover later."""
    run = workshop.training("a", training={"ema": None})
    run.trainer.start()
    moment = next(b for n, b in run.trainer.flow.named_buffers() if n.endswith("running_mean"))
    original = moment.clone()
    moment.fill_(math.nan)
    run.trainer.run(10, run.folder, Hooks())
    assert run.trainer.best is None
    moment.copy_(original)
    run.trainer.run(20, run.folder, Hooks())
    assert run.trainer.best["step"] == 20
    moment.fill_(math.nan)
    run.trainer.run(30, run.folder, Hooks())
    assert run.trainer.best["step"] == 20


def test_select_last_keeps_no_best(workshop: Any) -> None:
    run = workshop.training("a", training={"select": "last"})
    assert run.go(10)
    assert run.trainer.best is None
    assert ("holdout_bits_per_dim", 10) in run.metrics


@pytest.mark.parametrize(
    ("schedule", "shares"),
    [
        ("constant", [1.0, 1.0, 1.0, 1.0]),
        ("linear", [1.0, 0.75, 0.5, 0.25]),
        ("cosine", [1.0, (2 + 2**0.5) / 4, 0.5, (2 - 2**0.5) / 4]),
    ],
)
def test_the_rate_falls_to_zero_over_the_last_part(
    workshop: Any, schedule: str, shares: list[float]
) -> None:
    """Over the last four of eight steps; also after a resume on the way down."""
    settings = {"steps": 8, "schedule": schedule, "holdout_every": None, "select": "last"}
    rates = []
    for step in range(1, 9):
        if step in (1, 7):
            run = workshop.training("a", training=settings, learning_rate=0.008)
            run.trainer.resume(run.folder, at_most=8)
        run.trainer.run(step, run.folder, Hooks())
        (rate,) = {group["lr"] for group in run.trainer.optimizer.param_groups}
        rates.append(rate)
    assert rates == pytest.approx([0.008 * share for share in [1.0, 1.0, 1.0, 1.0, *shares]])


@pytest.mark.parametrize("name", ["exp_avg", "step"])
def test_moments_of_another_shape_are_refused(workshop: Any, name: str) -> None:
    """A fused step would write beyond them."""
    run = workshop.pretraining("a")
    assert run.go(10)
    state = run.trainer.state()
    state["optimizer"]["state"][0][name] = torch.zeros(3)
    with pytest.raises(ValueError, match=f"a checkpoint's {name} does not fit its parameter"):
        workshop.pretraining("b").trainer.restore(state)


def first_gradients(run: Any) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Return the gradients of the first step, and the parameters before it."""
    gradients: dict[str, torch.Tensor] = {}
    before: dict[str, torch.Tensor] = {}

    def record(*_: Any) -> None:
        for name, p in run.trainer.flow.named_parameters():
            if p.grad is not None:
                gradients[name], before[name] = p.grad.clone(), p.detach().clone()

    run.trainer.optimizer.register_step_pre_hook(record)
    run.trainer.start()
    run.trainer.run(1, run.folder, Hooks())
    return gradients, before


def test_the_l2_term_adds_twice_itself_to_the_shrunk_parameters_only(workshop: Any) -> None:
    """The gradient of l2 times the sum of squares is added to that of nats per image."""
    run = workshop.training("b", l2=0.5, clip=None)
    shrunk = {id(p) for p in run.trainer.flow.shrunk_parameters()}
    names = {n for n, p in run.trainer.flow.named_parameters() if id(p) in shrunk}
    with_l2, before = first_gradients(run)
    without, _ = first_gradients(workshop.training("a", l2=0.0, clip=None))
    assert names
    for name, gradient in without.items():
        added = before[name] if name in names else torch.zeros_like(gradient)
        assert torch.equal(with_l2[name], gradient + added), name


def test_the_clip_is_in_nats_per_image(workshop: Any) -> None:
    free, _ = first_gradients(workshop.training("a", l2=0.0, clip=None))
    norm = torch.sqrt(sum((g.square().sum() for g in free.values()), torch.zeros(())))
    run = workshop.training("b", l2=0.0, clip=float(norm) / 4)
    clipped, _ = first_gradients(run)
    for name, gradient in free.items():
        assert torch.allclose(clipped[name], gradient / 4, rtol=1e-4, atol=1e-9), name
    x, generator = run.trainer.augment(run.trainer.read_batch(0), 0)
    trainer = workshop.training("c", l2=0.0, clip=None).trainer
    trainer.start()
    nats = -trainer.flow(x, generator).log_prob.mean()
    nats.backward()
    for name, p in trainer.flow.named_parameters():
        if p.grad is not None:
            assert torch.allclose(p.grad, free[name], rtol=1e-4, atol=1e-7), name


def read_batches(run: Any, steps: int) -> torch.Tensor:
    """Return the images on which the flow is trained."""
    batches: list[torch.Tensor] = []
    run.trainer.start()
    run.trainer.flow.register_forward_pre_hook(lambda _, args: batches.append(args[0].clone()))
    run.trainer.run(steps, run.folder, Hooks())
    return torch.stack(batches[:steps])


def test_flips_mirror_about_half_of_the_images(workshop: Any) -> None:
    run = workshop.training("plain", flips=False, training={"select": "last"})
    plain = read_batches(run, 10)
    flipped = read_batches(workshop.training("flipped", training={"select": "last"}), 10)
    assert torch.equal(plain[9], workshop.images().gather(run.trainer.order.indices(9)))
    mirrored = (flipped == plain.flip(-1)).flatten(2).all(2)
    assert bool((mirrored | (flipped == plain).flatten(2).all(2)).all())
    assert 0.3 < float(mirrored.double().mean()) < 0.7
