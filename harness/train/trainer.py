"""The training loop of pretrainings and trainings."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from lcma.harness.seeds import derive_seed
from lcma.harness.storage import StorageError
from lcma.harness.train.batches import BatchOrder, Images, augment, make_batch_reader
from lcma.harness.train.checkpoint import CheckpointFolder
from lcma.harness.train.evaluate import evaluate
from lcma.harness.train.online import OnlineTables
from lcma.harness.train.optimizer import make_optimizer, restore_optimizer, set_learning_rate
from lcma.harness.train.protocol import PLAIN
from lcma.harness.train.recorder import RepeatedStep
from lcma.harness.train.step_timer import StepTimer
from lcma.models import CouplingNets, Flow
from lcma.models.stacked import GeneratorNoise, Noise
from lcma.sweeps.recipe import CHANGE_CURVE, LOG_EVERY, TRAIN_CURVE, Optimization, Training

Curves = dict[str, dict[str, Tensor]]
"""Curves by the job's id and their name: float64, (points, 2), the step and value of each point."""

_MIN_PAUSE = 5.0
_SAVED_SHARE, _FAILED_SHARE = 0.02, 0.1
"""Shares of the training's time that written checkpoints and failed attempts to write may take."""


class DivergedError(Exception):
    """Raised if the loss or an evaluation is NaN or infinite.

    That is a property of the run, not a fault of the program.
    """

    def __init__(self, step: int, last_finite: float | None) -> None:
        last = "none" if last_finite is None else f"{last_finite:.4f} bits/dim"
        super().__init__(
            f"the loss or the evaluation was not finite at step {step}; last finite loss: {last}"
        )
        self.step = step


class StoppedError(Exception):
    """Raised if the caller stops the loop: its lease was lost, or its process is to end."""


class OutOfTimeError(Exception):
    """Raised if the loop's time is over. It has tried to write a checkpoint of its last step."""


def _raise_error(error: StorageError) -> None:
    raise error


@dataclass
class Hooks:
    """Callbacks of the training loop."""

    progress: Callable[[int], None] = lambda step: None  # called with the step
    metric: Callable[[str, int, float], None] = lambda name, step, value: None
    must_stop: Callable[[], bool] = lambda: False  # ends the loop before the next step
    out_of_time: Callable[[], bool] = lambda: False  # ends it at the next check, with a checkpoint
    # The curves so far go into each checkpoint: a run that is resumed from it has all points up to
    # its step, whatever happened to the database.
    curves: Callable[[], Curves] = dict
    # Called if a checkpoint before the last cannot be written; training goes on if it returns.
    on_unsaved: Callable[[StorageError], None] = _raise_error
    on_saved: Callable[[], None] = lambda: None
    # Called with the function that writes the last checkpoint.
    save_last: Callable[[Callable[[], None]], None] = lambda save: save()
    # Time between checkpoints; None: checkpoints take at most a share of the training's time.
    checkpoint_seconds: float | None = None


@dataclass
class CheckpointPause:
    """The pause between checkpoints, as `Hooks.checkpoint_seconds` defines it."""

    seconds: float | None
    _saved_at: float = field(default_factory=time.monotonic)
    _last_save: float = 0.0
    _share: float = _SAVED_SHARE

    @property
    def is_over(self) -> bool:
        """True if it is time for a checkpoint."""
        pause = self.seconds
        if pause is None:
            pause = max(_MIN_PAUSE, self._last_save / self._share)
        return time.monotonic() - self._saved_at >= pause

    def save(self, save: Callable[[], bool]) -> None:
        """Call a function that saves and returns whether it could; begin the next pause."""
        began = time.monotonic()
        self._share = _SAVED_SHARE if save() else _FAILED_SHARE
        self._saved_at = time.monotonic()
        self._last_save = self._saved_at - began


@dataclass
class Trainer:
    """A flow in training, with its optimizer.

    `state` has everything that decides the next step: weights, buffers, optimizer, average, best
    weights and the step. Order, flips and noise are functions of seed and step.
    """

    flow: Flow
    optimization: Optimization
    seed: int
    images: Images
    training: Training | None = None  # None for a pretraining
    holdout: Images | None = None
    step: int = 0
    best: dict[str, Any] | None = None  # step, value and weights with the fewest holdout bits/dim
    images_seen: int = 0
    curves: Curves = field(default_factory=dict)  # of the checkpoint that it was resumed from
    losses: list[Tensor] = field(default_factory=list)  # since the last check
    last_finite: float | None = None
    compiler: str = "inductor"
    online: OnlineTables | None = None
    repeats: bool = False  # all steps do the same operations, so that one can be recorded

    def __post_init__(self) -> None:
        self.order = BatchOrder(len(self.images), self.optimization.batch, self.seed)
        self.read_batch = make_batch_reader(self.images, self.order)
        self.timer = StepTimer(self.images.device)
        trained = [p for p in self.flow.parameters() if p.requires_grad]
        self.optimizer = make_optimizer(trained, self.optimization)
        plain = self.optimization.autocast == "none" and not self.optimization.compile
        self.repeated = RepeatedStep() if self.repeats and plain else None
        self._buffers = list(self.flow.buffers())
        self._with_gradient = list(self.flow.parameters())
        self.nets = CouplingNets(
            self.flow,
            autocast=self.optimization.autocast,
            compiler=self.compiler if self.optimization.compile else None,
        )
        self.average: MovingAverage | None = None
        if self.training is not None and self.training.ema is not None:
            self.average = MovingAverage(self.flow, self.training.ema)

    @property
    def evaluated(self) -> Flow:
        """The flow to evaluate: the average if the recipe has one."""
        if self.average is None:
            return self.flow
        average = self.average.module
        assert isinstance(average, Flow)
        return average

    def start(self) -> None:
        """Set the data-dependent initial values from the first batch."""
        x, generator = self.augment(self.read_batch(0), 0)
        self.flow.train()
        self.flow.initialize(x, generator)
        if self.average is not None:
            self.average.module.load_state_dict(self.flow.state_dict())

    def state(self) -> dict[str, Any]:
        """Return all that decides the next steps."""
        return {
            "step": self.step,
            "flow": self.flow.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": None if self.average is None else self.average.state_dict(),
            "best": self.best,
            "last_finite": self.last_finite,
            **({} if self.online is None else {"online": self.online.state()}),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Set what `state` returned."""
        self.step = state["step"]
        self.flow.load_state_dict(state["flow"])
        restore_optimizer(self.optimizer, state["optimizer"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        if self.online is not None:
            self.online.restore(state["online"])
        self.best = state["best"]
        self.last_finite = state["last_finite"]

    def resume(self, folder: CheckpointFolder, at_most: int) -> int:
        """Resume from the newest usable checkpoint up to a step, or start; return the step."""
        checkpoint = folder.load(at_most=at_most)
        if checkpoint is None:
            self.start()
        else:
            _, state = checkpoint
            self.restore(state)
            self.curves = state["curves"]
        return self.step

    def run(self, until: int, folder: CheckpointFolder, hooks: Hooks) -> None:
        """Train up to a step, and write checkpoints on the way and one at the end.

        Raises DivergedError, StoppedError and OutOfTimeError, and StorageError if a hook does.
        Checkpoints stay valid in all cases.
        """
        self.flow.train()
        pause = CheckpointPause(hooks.checkpoint_seconds)
        while self.step < until:
            if hooks.must_stop():
                raise StoppedError
            self.losses.append(self.make_step())
            if self.step % LOG_EVERY == 0 or self.step == until:
                self.check(until, folder, hooks)
                if self.step < until and pause.is_over:
                    pause.save(lambda: self.save_on_the_way(folder, hooks))
        self.save_last(folder, hooks)

    def check(self, until: int, folder: CheckpointFolder, hooks: Hooks) -> None:
        """Report the losses since the last check, update tables, and evaluate the holdout part if
        it is due.

        Raises DivergedError and OutOfTimeError.
        """
        self._report_losses(hooks)
        self._change_tables(hooks)
        self._evaluate_holdout(until, hooks)
        hooks.progress(self.step)
        if self.step < until and hooks.out_of_time():
            self.save_on_the_way(folder, hooks)
            raise OutOfTimeError

    def save_on_the_way(self, folder: CheckpointFolder, hooks: Hooks) -> bool:
        """Write a checkpoint and return True; report an error and return False."""
        try:
            self._save(folder, hooks)
        except StorageError as error:
            hooks.on_unsaved(error)
            return False
        return True

    def save_last(self, folder: CheckpointFolder, hooks: Hooks) -> None:
        """Write the last checkpoint."""
        hooks.save_last(lambda: self._save(folder, hooks, keep=self.training is None))

    def _save(self, folder: CheckpointFolder, hooks: Hooks, *, keep: bool = False) -> None:
        state = {**self.state(), "curves": hooks.curves()}
        folder.save(self.step, _clone_views(state), keep=keep)
        hooks.on_saved()

    def augment(self, x: Tensor, step: int) -> tuple[Tensor, torch.Generator]:
        """Augment the images of a step; return them and the generator of the step's noise."""
        generator = torch.Generator(self.images.device)
        generator.manual_seed(derive_seed(self.seed, "step", step))
        return augment(x, self.optimization, generator), generator

    def make_step(self) -> Tensor:
        """Make a step, and return the loss in bits/dim as a tensor on the device."""
        self.timer.mark()
        images = self.read_batch(self.step)
        self.timer.mark()
        x, generator = self.augment(images, self.step)
        set_learning_rate(self.optimizer, self.learning_rate)
        self.flow.before_step()
        if self.repeated is None:
            log_prob, at_splits = self._gradient(x, generator)
        else:
            self.optimizer.zero_grad()
            noise = GeneratorNoise(generator)
            log_prob, *results = self.repeated(self._compute, [x], self._buffers, noise)
            for parameter, gradient in zip(self._with_gradient, results, strict=False):
                parameter.grad = gradient
            at_splits = results[len(self._with_gradient) :]
        self._add_l2()
        if self.optimization.clip is not None:
            torch.nn.utils.clip_grad_norm_(self.flow.parameters(), self.optimization.clip)
        self.optimizer.step()
        if self.average is not None:
            self.average.update_parameters(self.flow)
        if self.online is not None:
            self.online.add(at_splits, len(x))
        self.step += 1
        self.images_seen += len(x)
        self.timer.mark()
        return self.flow.bits_per_dim(log_prob)

    def _gradient(self, x: Tensor, generator: torch.Generator) -> tuple[Tensor, list[Tensor]]:
        """Set the gradients of the parameters. Return the mean log-likelihood in nats per image,
        and, if tables change, what `Flow.forward` has accumulated at each split."""
        at_splits: list[Tensor] | None = None if self.online is None else []
        with self.nets:
            # The gradient of `mean` holds a number for every image, and residual blocks would have
            # to read whether all are equal. The gradient of `sum` is one number, expanded.
            log_prob = self.flow(x, generator, at_splits).log_prob.sum() / len(x)
        self.optimizer.zero_grad()
        (-log_prob).backward()  # nats per image: the unit of the recipe's clip and l2
        return log_prob.detach(), at_splits or []

    def _compute(self, tensors: Sequence[Tensor], noise: Noise) -> list[Tensor]:
        log_prob, at_splits = self._gradient(tensors[0], noise.as_generator())
        self._with_gradient = [p for p in self.flow.parameters() if p.grad is not None]
        gradients = (cast("Tensor", p.grad) for p in self._with_gradient)
        return [log_prob, *gradients, *at_splits]

    @property
    def learning_rate(self) -> float:
        """The learning rate of the next step, a function of the step only."""
        warmup, training = self.optimization.warmup, self.training
        rate = self.optimization.learning_rate
        rate *= min(1.0, (self.step + 1) / warmup if warmup else 1.0)
        if training is None or training.schedule == "constant":
            return rate
        share = min(1.0, (training.steps - self.step) / (training.decay * training.steps))
        if training.schedule == "cosine":
            share = (1 - math.cos(math.pi * share)) / 2
        return rate * share

    def _add_l2(self) -> None:
        """Add the gradient of l2 times the sum of squares, before clipping."""
        if not self.optimization.l2:
            return
        shrunk = [p for p in self.flow.shrunk_parameters() if p.grad is not None]
        grads = [cast("Tensor", p.grad) for p in shrunk]
        torch._foreach_add_(grads, [p.detach() for p in shrunk], alpha=2 * self.optimization.l2)

    def _report_losses(self, hooks: Hooks) -> None:
        # One transfer from the device for all losses since the last check.
        values: Sequence[float] = torch.stack(self.losses).double().cpu().tolist()
        self.losses.clear()
        self.timer.update()
        for offset, value in enumerate(values):
            if not math.isfinite(value):
                raise DivergedError(self.step - len(values) + offset + 1, self.last_finite)
            self.last_finite = value
        hooks.metric(TRAIN_CURVE, self.step, float(np.mean(values)))

    def _change_tables(self, hooks: Hooks) -> None:
        change = None if self.online is None else self.online.change(self.step)
        if change is None:
            return
        split, share = change
        hooks.metric(f"{CHANGE_CURVE}_{split}", self.step, share)
        if share and self.average is not None:  # weights of two tables must not be averaged
            self.average.module.load_state_dict(self.flow.state_dict())

    def _evaluate_holdout(self, until: int, hooks: Hooks) -> None:
        training = self.training
        if training is None or training.holdout_every is None or self.holdout is None:
            return
        if self.step % training.holdout_every and self.step != until:
            return
        bits = evaluate(self.evaluated, self.holdout, PLAIN).bits_per_dim.value
        hooks.metric("holdout_bits_per_dim", self.step, bits)
        best_bits = math.inf if self.best is None else self.best["holdout_bits_per_dim"]
        if training.select == "best" and bits < best_bits:
            weights = {k: v.clone() for k, v in self.evaluated.state_dict().items()}
            self.best = {"step": self.step, "holdout_bits_per_dim": bits, "flow": weights}


def _clone_views(value: Any) -> Any:
    """Clone the tensors of a state that are views: `torch.save` would write all of their memory."""
    if isinstance(value, Tensor):
        owns_memory = value.untyped_storage().nbytes() == value.nbytes
        return value if owns_memory else value.clone()
    if isinstance(value, dict):
        return {name: _clone_views(element) for name, element in value.items()}
    return value


class MovingAverage(AveragedModel):
    """The exponential moving average of a flow's weights and moments; index tables are copied.

    PyTorch's own averages and rounds integers too, so that a table would be no permutation, and
    copies its count to the device in each step.
    """

    def __init__(self, flow: Flow, decay: float) -> None:
        super().__init__(flow, use_buffers=True)
        self.decay = decay

    @torch.no_grad()
    def update_parameters(self, model: nn.Module) -> None:
        """Move the average towards a flow; the first time, copy the flow."""
        averages, values = ([*m.parameters(), *m.buffers()] for m in (self.module, model))
        self.move([*zip(averages, values, strict=True)])
        self.n_averaged += 1

    def move(self, pairs: Sequence[tuple[Tensor, Tensor]]) -> None:
        """Move the average in each pair towards the value in it."""
        is_first = self.n_averaged == 0
        for floating in (True, False):
            chosen = [pair for pair in pairs if pair[0].is_floating_point() == floating]
            if not chosen:
                continue
            averages, values = map(list, zip(*chosen, strict=True))
            if floating and not is_first:
                torch._foreach_lerp_(averages, values, 1 - self.decay)
            else:
                torch._foreach_copy_(averages, values)
