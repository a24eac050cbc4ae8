"""Stacks: trainings of one recipe with different seeds and factorizations that share their steps.

The weights of all members are rows of stacked tensors, and one vectorized pass over the rows is a
step of each member. A member's bits do not depend on the others: a stack has at least
`MIN_STACK` rows, filled up with copies, and everything outside the pass is done for each member
separately. They are not the bits of the same model trained alone. docs/method.md has the
definition.
"""

import copy
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call, vmap

from lcma.harness.storage import StorageError
from lcma.harness.train.checkpoint import CheckpointFolder
from lcma.harness.train.optimizer import make_optimizer, set_learning_rate
from lcma.harness.train.recorder import RepeatedStep, are_equal
from lcma.harness.train.step_timer import StepTimer
from lcma.harness.train.trainer import (
    CheckpointPause,
    DivergedError,
    Hooks,
    OutOfTimeError,
    StoppedError,
    Trainer,
)
from lcma.models import Flow
from lcma.models.stacked import Noise, StackNoise, in_stack
from lcma.sweeps.recipe import LOG_EVERY, MIN_STACK

ALIGNMENT = 64
"""The length of a row is a multiple of this, which fills the vector registers of any processor: a
fused step rounds the last numbers of a tensor differently if they do not fill a register."""

logger = logging.getLogger("lcma")

Tensors = dict[str, Tensor]
"""Tensors by name."""


@dataclass
class Member:
    """A training in a stack, with its own checkpoints and hooks."""

    trainer: Trainer
    folder: CheckpointFolder
    hooks: Hooks

    def check(self, until: int) -> Exception | None:
        """Do what `Trainer.check` does; return the error with which the member leaves, or None."""
        if self.hooks.must_stop():
            return StoppedError()
        try:
            self.trainer.check(until, self.folder, self.hooks)
        except (DivergedError, OutOfTimeError, StorageError) as error:
            return error
        return None

    def save(self) -> bool:
        """Write a checkpoint on the way; report one that cannot be written, and return False."""
        return self.trainer.save_on_the_way(self.folder, self.hooks)

    def save_last(self) -> Exception | None:
        """Write the checkpoint at the end; return the error of a hook, or None."""
        try:
            self.trainer.save_last(self.folder, self.hooks)
        except (StoppedError, StorageError) as error:
            return error
        return None


def train_stack(
    members: Sequence[Member],
    until: int,
    on_end: Callable[[int, Exception | None], None],
    warn: Callable[[str], None] = logger.warning,
) -> None:
    """Train members from the step that they share up to another, as `Trainer.run` trains one.

    A member that ends early no longer belongs to the stack, and the others go on.

    Args:
        members: The trainings.
        until: The step at which they end.
        on_end: Called once for each member with its index, and None when its last checkpoint is
            written, or the error that ends it at a check of the losses: DivergedError,
            StoppedError, OutOfTimeError or StorageError. Any other error is raised, and the
            remaining members stay at their step without a call.
        warn: Called with a line if they are trained in stacks of four.
    """
    remaining = dict(enumerate(members))
    step = members[0].trainer.step
    pause = CheckpointPause(members[0].hooks.checkpoint_seconds)
    stacks = form_stacks([member.trainer for member in members], warn)
    try:
        while remaining and step < until:
            for stack in stacks:
                stack.step()
            step += 1
            if step % LOG_EVERY and step != until:
                continue
            for stack in stacks:
                stack.share_timer()
            checks = {index: member.check(until) for index, member in remaining.items()}
            ended = {index: error for index, error in checks.items() if error is not None}
            if ended:
                del stack  # or its memory would be held while new stacks are formed
                _dissolve(stacks)
                remaining = {k: member for k, member in remaining.items() if k not in ended}
                stacks = form_stacks([member.trainer for member in remaining.values()], warn)
                for index, error in ended.items():
                    on_end(index, error)
            if remaining and step < until and pause.is_over:
                pause.save(partial(_save, [*remaining.values()]))
    finally:
        _dissolve(stacks)
    # All are saved before `on_end` evaluates one, which takes long.
    errors = {index: member.save_last() for index, member in remaining.items()}
    for index, save_error in errors.items():
        on_end(index, save_error)


def _save(members: Sequence[Member]) -> bool:
    saved = [member.save() for member in members]  # all of them, whichever fails
    return all(saved)


def form_stacks(
    trainers: Sequence[Trainer], warn: Callable[[str], None] = logger.warning
) -> list["Stack"]:
    """Form one stack of all trainers, or stacks of four if only these have the same bits here.

    ``warn`` is called with a line if stacks of four are formed.
    """
    if not trainers:
        return []
    stack = Stack(trainers)
    key = (_describe_shape(trainers[0]), len(stack.rows))
    if len(stack.rows) > MIN_STACK and key not in _EQUAL_TO_FOURS:
        _EQUAL_TO_FOURS[key] = stack.is_equal_to_fours()
    if _EQUAL_TO_FOURS.get(key, True):
        return [stack]
    stack.dissolve()
    warn(f"a stack of {key[1]} has other bits here than stacks of four: fours are run")
    return [Stack(trainers[at : at + MIN_STACK]) for at in range(0, len(trainers), MIN_STACK)]


_EQUAL_TO_FOURS: dict[tuple[Any, int], bool] = {}
"""Whether stacks have the bits of stacks of four, by shape and number of rows."""


def _describe_shape(trainer: Trainer) -> tuple[Any, ...]:
    """Return everything that may decide which kernels a step of the trainer runs."""
    flow = trainer.flow
    shapes = flow.shape, *(parameter.shape for parameter in flow.parameters())
    return trainer.images.device, torch.get_num_threads(), trainer.optimization.batch, shapes


def _dissolve(stacks: list["Stack"]) -> None:
    while stacks:
        stacks.pop().dissolve()


class _StackedTensors:
    """The tensors of flows of equal shape, which are views of stacked tensors until `release`."""

    def __init__(self, flows: Sequence[Flow]) -> None:
        self.flow_tensors: list[Tensors] = [flow.state_dict(keep_vars=True) for flow in flows]
        first = self.flow_tensors[0]
        trained = [name for name, p in flows[0].named_parameters() if p.requires_grad]
        self.shapes = {name: first[name].shape for name in trained}
        self._lengths = [shape.numel() for shape in self.shapes.values()]
        self._lengths.append(-sum(self._lengths) % ALIGNMENT)
        # All that is trained, (rows, numbers), and what is not, each tensor (rows, ...).
        self.whole = first[trained[0]].new_zeros(len(flows), sum(self._lengths))
        self.others = {
            name: torch.stack([tensors[name].detach() for tensors in self.flow_tensors])
            for name in first
            if name not in self.shapes
        }
        for row, tensors in enumerate(self.flow_tensors):
            parts = self.split(self.whole[row])
            for name, part in parts.items():
                part.copy_(tensors[name].detach())
            for name, tensor in tensors.items():
                tensor.data = parts[name] if name in parts else self.others[name][row]

    def split(self, row: Tensor) -> Tensors:
        """Split a row (numbers,) into views of the trained tensors."""
        parts = row.split_with_sizes(self._lengths)
        return {
            name: part.view(shape)
            for (name, shape), part in zip(self.shapes.items(), parts, strict=False)
        }

    def release(self) -> None:
        """Give every flow its own memory."""
        for tensors in self.flow_tensors:
            for tensor in tensors.values():
                tensor.data = tensor.data.clone()


class Stack:
    """Trainers that make their steps together, until `dissolve`.

    Between steps each trainer can be evaluated and saved as usual: its tensors are views of its
    row.
    """

    def __init__(self, trainers: Sequence[Trainer]) -> None:
        self.trainers = list(trainers)
        count = len(self.trainers)
        # The index of each row's trainer. Rows after the last trainer are copies of the first ones.
        self.rows = [row % count for row in range(max(count, MIN_STACK))]
        first = self.trainers[0]
        self._optimization = first.optimization
        self._flows = self._add_copies([trainer.flow for trainer in self.trainers])
        self._flow_rows = _StackedTensors(self._flows)
        self._average_rows: _StackedTensors | None = None
        if first.average is not None:
            averages = self._add_copies([trainer.evaluated for trainer in self.trainers])
            self._average_rows = _StackedTensors(averages)
        self._optimizer = make_optimizer([self._flow_rows.whole], self._optimization)
        self._gather_moments()
        self._l2_mask = self._make_l2_mask()
        self._template = copy.deepcopy(first.flow).train()
        self._timer = StepTimer(first.images.device)
        self.repeated = RepeatedStep()

    def step(self) -> None:
        """Make one step of every trainer."""
        first, whole = self.trainers[0], self._flow_rows.whole
        self._timer.mark()
        images = [trainer.read_batch(trainer.step) for trainer in self.trainers]
        self._timer.mark()
        x, noise = self._augment(images)
        others = [*self._flow_rows.others.values()]
        log_probs, whole.grad, *at_splits = self.repeated(self._compute, [whole, x], others, noise)
        self._add_l2(whole.grad)
        self._clip(whole.grad)
        set_learning_rate(self._optimizer, first.learning_rate)
        self._optimizer.step()
        if not first.optimizer.state:
            self._spread_moments()
        self._average()
        bits = first.flow.bits_per_dim(log_probs)
        for row, (trainer, loss) in enumerate(zip(self.trainers, bits, strict=False)):
            trainer.losses.append(loss)
            if trainer.online is not None:
                trainer.online.add([log_dets[row] for log_dets in at_splits], x.shape[1])
            trainer.step += 1
            trainer.images_seen += x.shape[1]
        self._timer.mark()

    def share_timer(self) -> None:
        """Share the time of the steps since the last call equally among the trainers."""
        self._timer.update()
        for trainer in self.trainers:
            trainer.timer.add_share(self._timer, len(self.trainers))
        self._timer = StepTimer(self._timer.device)

    def dissolve(self) -> None:
        """Give every trainer its own memory."""
        self._flow_rows.release()
        if self._average_rows is not None:
            self._average_rows.release()
        for trainer in self.trainers:
            for moments in trainer.optimizer.state.values():
                moments.update({name: moment.clone() for name, moment in moments.items()})

    def is_equal_to_fours(self) -> bool:
        """Return whether losses and gradients of the next step are those of stacks of four."""
        count = len(self.rows)
        x, _ = self._augment([trainer.read_batch(trainer.step) for trainer in self.trainers])
        together = self._try_step(x, slice(0, count))
        for start in range(0, count, MIN_STACK):
            rows = slice(min(start, count - MIN_STACK), min(start + MIN_STACK, count))
            four = self._try_step(x, rows)
            if not all(are_equal(a[rows], b) for a, b in zip(together, four, strict=True)):
                return False
        return True

    def _add_copies(self, flows: Sequence[Flow]) -> list[Flow]:
        copies = [copy.deepcopy(flows[index]) for index in self.rows[len(flows) :]]
        return [*flows, *copies]

    def _try_step(self, x: Tensor, rows: slice) -> tuple[Tensor, Tensor]:
        """Return the log-likelihoods and gradients of some rows' next step; change nothing."""
        others = {name: tensor[rows].clone() for name, tensor in self._flow_rows.others.items()}
        generators = [t.augment(t.read_batch(t.step), t.step)[1] for t in self.trainers]
        noise = StackNoise(generators, self.rows[rows])
        return self._gradient(self._flow_rows.whole[rows], others, x[rows], noise)[:2]

    def _augment(self, images: Sequence[Tensor]) -> tuple[Tensor, StackNoise]:
        pairs = [t.augment(x, t.step) for t, x in zip(self.trainers, images, strict=True)]
        batches = torch.stack([pairs[index][0] for index in self.rows])
        return batches, StackNoise([generator for _, generator in pairs], self.rows)

    def _compute(self, tensors: Sequence[Tensor], noise: Noise) -> list[Tensor]:
        whole, x, *others = tensors
        by_name = dict(zip(self._flow_rows.others, others, strict=True))
        log_probs, gradient, at_splits = self._gradient(whole, by_name, x, noise)
        return [log_probs, gradient, *at_splits]

    def _gradient(
        self, whole: Tensor, others: Tensors, x: Tensor, noise: Noise
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Return the mean log-likelihood of each row's batch in nats per image (rows,), the
        gradient (rows, numbers) of the loss, and, if tables change, what `Flow.forward` has
        accumulated at each split (rows, C, H, W)."""
        template, split = self._template, self._flow_rows.split
        leaf = whole.detach().requires_grad_()
        tables_change = any(trainer.online is not None for trainer in self.trainers)

        def log_prob(row: Tensor, rest: Tensors, images: Tensor) -> tuple[Tensor, list[Tensor]]:
            at_splits: list[Tensor] | None = [] if tables_change else None
            arguments = images, noise.as_generator(), at_splits
            tensors = {**split(row), **rest}
            likelihood = functional_call(template, tensors, arguments, tie_weights=False)
            mean: Tensor = likelihood.log_prob.mean()
            return mean, at_splits or []

        with in_stack():
            log_probs, at_splits = vmap(log_prob)(leaf, others, x)
        (gradient,) = torch.autograd.grad(-log_probs.sum(), leaf)
        return log_probs.detach(), gradient, at_splits

    def _make_l2_mask(self) -> Tensor | None:
        """Return 1 for the numbers of a row in the recipe's L2 term, else 0, (numbers,); None
        without such a term."""
        if not self._optimization.l2:
            return None
        mask = torch.zeros_like(self._flow_rows.whole[0])
        shrunk = {id(parameter) for parameter in self.trainers[0].flow.shrunk_parameters()}
        for name, part in self._flow_rows.split(mask).items():
            part.fill_(id(self._flow_rows.flow_tensors[0][name]) in shrunk)
        return mask

    def _add_l2(self, gradient: Tensor) -> None:
        """Add the gradient of l2 times the sum of squares, before clipping."""
        if self._l2_mask is not None:
            shrunk = self._flow_rows.whole.detach() * self._l2_mask
            gradient.add_(shrunk, alpha=2 * self._optimization.l2)

    def _clip(self, gradient: Tensor) -> None:
        """Clip the gradient of each row as `torch.nn.utils.clip_grad_norm_` clips one."""
        if self._optimization.clip is not None:
            # Row by row: CUDA sums all rows at once in an order that depends on their number.
            norms = torch.stack([torch.linalg.vector_norm(row) for row in gradient])
            gradient.mul_((self._optimization.clip / (norms + 1e-6)).clamp(max=1.0)[:, None])

    def _gather_moments(self) -> None:
        """Stack the moments of the trainers' optimizers, if they have made a step."""
        rows, whole = self._flow_rows, self._flow_rows.whole
        if not self.trainers[0].optimizer.state:
            return
        moments = self._optimizer.state[whole]
        for row, index in enumerate(self.rows):
            state, tensors = self.trainers[index].optimizer.state, rows.flow_tensors[index]
            for name in rows.shapes:
                for kind, value in state[tensors[name]].items():
                    if kind == "step":
                        moments[kind] = value.clone()
                    else:
                        stacked = moments.setdefault(kind, torch.zeros_like(whole))
                        rows.split(stacked[row])[name].copy_(value)
        self._spread_moments()

    def _spread_moments(self) -> None:
        """Make the moments of each trainer's optimizer views of its row."""
        rows, moments = self._flow_rows, self._optimizer.state[self._flow_rows.whole]
        for row, trainer in enumerate(self.trainers):
            parts = {k: rows.split(m[row]) for k, m in moments.items() if k != "step"}
            for name in rows.shapes:
                state = {kind: by_name[name] for kind, by_name in parts.items()}
                parameter = rows.flow_tensors[row][name]
                trainer.optimizer.state[parameter] = {"step": moments["step"], **state}

    @torch.no_grad()
    def _average(self) -> None:
        """Average as `MovingAverage.update_parameters` does."""
        if self._average_rows is None:
            return
        averages = [t.average for t in self.trainers if t.average is not None]
        pairs = [(self._average_rows.whole, self._flow_rows.whole)]
        others = self._average_rows.others
        pairs += [(others[name], self._flow_rows.others[name]) for name in others]
        averages[0].move(pairs)
        for average in averages:
            average.n_averaged += 1
