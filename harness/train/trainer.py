"""The training loop, for pretrainings and trainings alike."""

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
from lcma.harness.storage import StorageError, StoredFile
from lcma.harness.train.batches import BatchOrder, Feed, Images, augment, make_feed
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

_SHORTEST = 5.0
_SHARE, _SHARE_FAILED = 0.02, 0.1
"""Shares of the training's time that checkpoints may take, and failed attempts at them."""


class DivergedError(Exception):
    """Raised if the loss is NaN or infinite; a property of the run, not a fault of the program."""

    def __init__(self, step: int, last_finite: float | None) -> None:
        last = "none" if last_finite is None else f"{last_finite:.4f} bits/dim"
        super().__init__(f"the loss was not finite at step {step}; last finite value: {last}")
        self.step = step


class StoppedError(Exception):
    """Raised if the caller stops the loop, because its lease was lost or it is to end."""


class OutOfTimeError(Exception):
    """Raised if the loop's time is over; its last checkpoint is of the step that it reached, if it
    could be written."""


def _raised(error: StorageError) -> None:
    raise error


@dataclass
class Hooks:
    """Callbacks of the training loop.

    ``progress`` is called with the step, ``metric`` with each point of a curve. ``stop`` ends the
    loop at once, ``over`` as soon as there can be a checkpoint. ``curves`` returns the
    curves so far, which go into each checkpoint: a run resumed from it has all points up to its
    step, whatever became of the database. ``unsaved`` is called if a checkpoint on the way cannot
    be written, and training goes on; ``saved`` is called after each one that was written. ``last``
    is called with the function that saves the one at the end.
    ``checkpoint_seconds`` is the time between checkpoints, None for a share of the training's time.
    """

    progress: Callable[[int], None] = lambda step: None
    metric: Callable[[str, int, float], None] = lambda name, step, value: None
    must_stop: Callable[[], bool] = lambda: False
    out_of_time: Callable[[], bool] = lambda: False
    curves: Callable[[], Curves] = dict
    on_unsaved: Callable[[StorageError], None] = _raised
    on_saved: Callable[[], None] = lambda: None
    save_last: Callable[[Callable[[], None]], None] = lambda save: save()
    checkpoint_seconds: float | None = None


@dataclass
class CheckpointPause:
    """The pause between checkpoints: so many ``seconds``, or None for one that leaves them a share
    of the training's time."""

    seconds: float | None
    _saved_at: float = field(default_factory=time.monotonic)
    _last_save: float = 0.0
    _share: float = _SHARE

    @property
    def over(self) -> bool:
        """True if it is time for a checkpoint."""
        pause = self.seconds
        if pause is None:
            pause = max(_SHORTEST, self._last_save / self._share)
        return time.monotonic() - self._saved_at >= pause

    def save(self, save: Callable[[], bool]) -> None:
        """Save by a function that returns whether it could, and begin the next pause."""
        began = time.monotonic()
        self._share = _SHARE if save() else _SHARE_FAILED
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
    snapshot: StoredFile | None = None  # the last checkpoint of a pretraining
    losses: list[Tensor] = field(default_factory=list)  # since the last check
    last_finite: float | None = None
    compiler: str = "inductor"
    online: OnlineTables | None = None
    repeats: bool = False  # all steps do the same operations, so that one can be recorded

    def __post_init__(self) -> None:
        self.order = BatchOrder(len(self.images), self.optimization.batch, self.seed)
        self.feed: Feed = make_feed(self.images, self.order)
        self.timer = StepTimer(self.images.device)
        trained = [p for p in self.flow.parameters() if p.requires_grad]
        self.optimizer = make_optimizer(trained, self.optimization)
        plain = self.optimization.autocast == "none" and not self.optimization.compile
        self.repeated = RepeatedStep() if self.repeats and plain else None
        self._buffers, self._graded = list(self.flow.buffers()), list(self.flow.parameters())
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
        """The flow that is evaluated: the average if the recipe has one."""
        if self.average is None:
            return self.flow
        averaged = self.average.module
        assert isinstance(averaged, Flow)
        return averaged

    def start(self) -> None:
        """Set the data-dependent starting values from the first batch."""
        x, generator = self.augmented(self.feed.batch(0), 0)
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
        """Resume from the newest whole checkpoint up to a step, or start; return the step."""
        found = folder.load(at_most=at_most, device=self.images.device)
        if found is None:
            self.start()
        else:
            self.restore(found[1])
            self.curves = found[1]["curves"]
        return self.step

    def run(self, until: int, folder: CheckpointFolder, hooks: Hooks) -> None:
        """Train up to a step, leaving checkpoints on the way and one at the end.

        Raises DivergedError, StoppedError and OutOfTimeError, and StorageError where a hook does;
        the checkpoints stay valid in all cases.
        """
        self.flow.train()
        pause = CheckpointPause(hooks.checkpoint_seconds)
        while self.step < until:
            if hooks.must_stop():
                raise StoppedError
            self.losses.append(self._one_step())
            if self.step % LOG_EVERY == 0 or self.step == until:
                self.check(until, folder, hooks)
                if self.step < until and pause.over:
                    pause.save(lambda: self.save_on_the_way(folder, hooks))
        self.save_last(folder, hooks)

    def check(self, until: int, folder: CheckpointFolder, hooks: Hooks) -> None:
        """Look at the losses since the last time, and at the holdout part where it is due.

        Raises DivergedError and OutOfTimeError.
        """
        self._look_at_losses(hooks)
        self._change_tables(hooks)
        self._watch_holdout(until, hooks)
        hooks.progress(self.step)
        if self.step < until and hooks.out_of_time():
            self.save_on_the_way(folder, hooks)
            raise OutOfTimeError

    def save_on_the_way(self, folder: CheckpointFolder, hooks: Hooks) -> bool:
        """Write a checkpoint; report one that cannot be written, and return False."""
        try:
            self._save(folder, hooks)
        except StorageError as error:
            hooks.on_unsaved(error)
            return False
        return True

    def save_last(self, folder: CheckpointFolder, hooks: Hooks) -> None:
        """Write the checkpoint at the end."""
        hooks.save_last(lambda: self._save(folder, hooks, keep=self.training is None))

    def _save(self, folder: CheckpointFolder, hooks: Hooks, *, keep: bool = False) -> None:
        state = {**self.state(), "curves": hooks.curves()}
        stored = folder.save(self.step, _without_others(state), keep=keep)
        self.snapshot = stored if keep else None
        hooks.on_saved()

    def augmented(self, x: Tensor, step: int) -> tuple[Tensor, torch.Generator]:
        """Return images of a step, changed as the recipe says, and the generator of its noise."""
        generator = torch.Generator(self.images.device)
        generator.manual_seed(derive_seed(self.seed, "step", step))
        return augment(x, self.optimization, generator), generator

    def _one_step(self) -> Tensor:
        self.timer.mark()
        images = self.feed.batch(self.step)
        self.timer.mark()
        x, generator = self.augmented(images, self.step)
        set_learning_rate(self.optimizer, self.learning_rate)
        self.flow.before_step()
        if self.repeated is None:
            log_prob, at_splits = self._gradient(x, generator)
        else:
            self.optimizer.zero_grad()
            noise = GeneratorNoise(generator)
            log_prob, *found = self.repeated(self._compute, [x], self._buffers, noise)
            for parameter, gradient in zip(self._graded, found, strict=False):
                parameter.grad = gradient
            at_splits = found[len(self._graded) :]
        self._shrink()
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
            # Not the mean, in whose gradient every image has a number of its own: residual blocks
            # would have to read whether all are the same.
            log_prob = self.flow(x, generator, at_splits).log_prob.sum() / len(x)
        self.optimizer.zero_grad()
        (-log_prob).backward()  # nats per image: the unit of the recipe's clip and l2
        return log_prob.detach(), at_splits or []

    def _compute(self, given: Sequence[Tensor], noise: Noise) -> list[Tensor]:
        log_prob, at_splits = self._gradient(given[0], noise.as_generator())
        self._graded = [p for p in self.flow.parameters() if p.grad is not None]
        return [log_prob, *(cast("Tensor", p.grad) for p in self._graded), *at_splits]

    @property
    def learning_rate(self) -> float:
        """The learning rate of the next step, a function of the step alone."""
        warm, training = self.optimization.warmup, self.training
        rate = self.optimization.learning_rate * min(1.0, (self.step + 1) / warm if warm else 1.0)
        if training is None or training.schedule == "constant":
            return rate
        left = min(1.0, (training.steps - self.step) / (training.decay * training.steps))
        if training.schedule == "cosine":
            left = (1 - math.cos(math.pi * left)) / 2
        return rate * left

    def _shrink(self) -> None:
        """Add the gradient of l2 times the sum of squares, before clipping."""
        if not self.optimization.l2:
            return
        shrunk = [p for p in self.flow.shrunk_parameters() if p.grad is not None]
        grads = [p.grad for p in shrunk if p.grad is not None]
        torch._foreach_add_(grads, [p.detach() for p in shrunk], alpha=2 * self.optimization.l2)

    def _look_at_losses(self, hooks: Hooks) -> None:
        # One transfer from the device for a window of losses.
        values: Sequence[float] = torch.stack(self.losses).double().cpu().tolist()
        self.losses.clear()
        self.timer.update()
        for offset, value in enumerate(values):
            if not math.isfinite(value):
                raise DivergedError(self.step - len(values) + offset + 1, self.last_finite)
            self.last_finite = value
        hooks.metric(TRAIN_CURVE, self.step, float(np.mean(values)))

    def _change_tables(self, hooks: Hooks) -> None:
        changed = None if self.online is None else self.online.change(self.step)
        if changed is None:
            return
        split, share = changed
        hooks.metric(f"{CHANGE_CURVE}_{split}", self.step, share)
        if share and self.average is not None:  # an average over two wirings would be no flow's
            self.average.module.load_state_dict(self.flow.state_dict())

    def _watch_holdout(self, until: int, hooks: Hooks) -> None:
        training = self.training
        if training is None or training.holdout_every is None or self.holdout is None:
            return
        if self.step % training.holdout_every and self.step != until:
            return
        bits = evaluate(self.evaluated, self.holdout, PLAIN).bits_per_dim.value
        hooks.metric("holdout_bits_per_dim", self.step, bits)
        least = math.inf if self.best is None else self.best["holdout_bits_per_dim"]
        if training.select == "best" and bits < least:
            weights = {k: v.clone() for k, v in self.evaluated.state_dict().items()}
            self.best = {"step": self.step, "holdout_bits_per_dim": bits, "flow": weights}


def _without_others(value: Any) -> Any:
    """Return a state whose tensors own their memory: of a view, the whole would be written."""
    if isinstance(value, Tensor):
        alone = value.untyped_storage().nbytes() == value.nbytes
        return value if alone else value.clone()
    if isinstance(value, dict):
        return {name: _without_others(each) for name, each in value.items()}
    return value


class MovingAverage(AveragedModel):
    """The exponential moving average of a flow's weights and moments; index tables are copied.

    PyTorch's own multiplies and rounds integers too, and then a table is no permutation; and it
    copies its count to the device in each step.
    """

    def __init__(self, flow: Flow, decay: float) -> None:
        super().__init__(flow, use_buffers=True)
        self.decay = decay

    @torch.no_grad()
    def update_parameters(self, model: nn.Module) -> None:
        """Move the average towards a flow; the first time it becomes that one."""
        averaged, current = ([*one.parameters(), *one.buffers()] for one in (self.module, model))
        self.move([*zip(averaged, current, strict=True)])
        self.n_averaged += 1

    def move(self, pairs: Sequence[tuple[Tensor, Tensor]]) -> None:
        """Move averages, the first of each pair, towards what they are of."""
        moves = self.n_averaged > 0
        for floating in (True, False):
            chosen = [pair for pair in pairs if pair[0].is_floating_point() == floating]
            if not chosen:
                continue
            averaged, current = map(list, zip(*chosen, strict=True))
            if moves and floating:
                torch._foreach_lerp_(averaged, current, 1 - self.decay)
            else:
                torch._foreach_copy_(averaged, current)
