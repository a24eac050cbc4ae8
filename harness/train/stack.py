"""Stacks: trainings of one recipe, of other seeds and factorizations, that make their steps as one.

The weights of all members are rows of stacked tensors, and one vectorized pass over those is a step
of each. A member's bits do not depend on its company: a stack has at least `STACK_LEAST` rows,
filled up with copies, and all that is not in the pass is done for each member apart. They are not
the bits of the same model trained alone. docs/method.md has the definition.
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
from lcma.sweeps.recipe import LOG_EVERY, STACK_LEAST

ALIGNED = 64
"""A multiple of the places in a vector of any processor: a fused step rounds otherwise in the last
places of a tensor, which fill no vector, than in those before."""

logger = logging.getLogger("lcma")

Tensors = dict[str, Tensor]


@dataclass
class Member:
    """A training in a stack, with its own checkpoints and hooks."""

    trainer: Trainer
    folder: CheckpointFolder
    hooks: Hooks

    def check(self, until: int) -> Exception | None:
        """Look at the losses as `Trainer.check` does; return why the member leaves, or None."""
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
    leave: Callable[[int, Exception | None], None],
    note: Callable[[str], None] = logger.warning,
) -> None:
    """Train members that stand at one step up to another, as `Trainer.run` trains one.

    ``leave`` is called once for each member: with its index and None when it is there and its last
    checkpoint is written, or with the error that ends it (DivergedError, StoppedError,
    OutOfTimeError, StorageError), at the next look at the losses. Its trainer is then one like any
    other, and the others go on. Anything else that goes wrong is raised, and members for which
    ``leave`` was not called are left as they stand. ``note`` gets a line if they are trained in
    fours.
    """
    left = dict(enumerate(members))
    if len({member.trainer.step for member in members}) != 1:
        raise ValueError("the members of a stack begin at one step")
    step = members[0].trainer.step
    pause = CheckpointPause(members[0].hooks.checkpoint_seconds)
    stacks = form_stacks([member.trainer for member in members], note)
    try:
        while left and step < until:
            for stack in stacks:
                stack.step()
            step += 1
            if step % LOG_EVERY and step != until:
                continue
            for stack in stacks:
                stack.share_timer()
            ends = {index: member.check(until) for index, member in left.items()}
            gone = {index: why for index, why in ends.items() if why is not None}
            if gone:
                del stack  # or it would be there beside those that are formed anew
                _dissolve(stacks)
                left = {index: member for index, member in left.items() if index not in gone}
                stacks = form_stacks([member.trainer for member in left.values()], note)
                for index, why in gone.items():
                    leave(index, why)
            if left and step < until and pause.over:
                pause.save(partial(_save, [*left.values()]))
    finally:
        _dissolve(stacks)
    ends = {index: member.save_last() for index, member in left.items()}  # before any is evaluated
    for index, end in ends.items():
        leave(index, end)


def _save(members: Sequence[Member]) -> bool:
    saved = [member.save() for member in members]
    return all(saved)


def form_stacks(
    trainers: Sequence[Trainer], note: Callable[[str], None] = logger.warning
) -> list["Stack"]:
    """Form the stack of all trainers; where this device needs it for equal bits, stacks of four,
    of which ``note`` gets a line."""
    if not trainers:
        return []
    stack = Stack(trainers)
    key = (_shape_of(trainers[0]), len(stack.rows))
    if len(stack.rows) > STACK_LEAST and key not in _EQUAL_TO_FOURS:
        _EQUAL_TO_FOURS[key] = stack.is_equal_to_fours()
    if _EQUAL_TO_FOURS.get(key, True):
        return [stack]
    stack.dissolve()
    note(f"a stack of {key[1]} has other bits here than one of four: fours are run")
    return [Stack(trainers[at : at + STACK_LEAST]) for at in range(0, len(trainers), STACK_LEAST)]


_EQUAL_TO_FOURS: dict[tuple[Any, int], bool] = {}
"""Whether stacks have the bits of smaller ones in this process, by shape and number of rows."""


def _shape_of(trainer: Trainer) -> tuple[Any, ...]:
    flow = trainer.flow
    shapes = flow.shape, *(parameter.shape for parameter in flow.parameters())
    return trainer.images.device, torch.get_num_threads(), trainer.optimization.batch, shapes


def _dissolve(stacks: list["Stack"]) -> None:
    while stacks:
        stacks.pop().dissolve()


class _StackedTensors:
    """The tensors of flows of one shape as rows of stacked ones, until `release`.

    ``whole`` (rows, places) holds all that is trained, ``others`` the rest by name.
    """

    def __init__(self, flows: Sequence[Flow]) -> None:
        self.own = [dict(flow.state_dict(keep_vars=True)) for flow in flows]
        """The tensors of each row's flow, by name."""
        trained = [name for name, p in flows[0].named_parameters() if p.requires_grad]
        self.shapes = {name: self.own[0][name].shape for name in trained}
        self._lengths = [shape.numel() for shape in self.shapes.values()]
        self._lengths.append(-sum(self._lengths) % ALIGNED)
        like = self.own[0][trained[0]]
        self.whole = like.new_zeros(len(flows), sum(self._lengths))
        kept = [name for name in self.own[0] if name not in self.shapes]
        self.others = {n: torch.stack([own[n].detach() for own in self.own]) for n in kept}
        for row, own in enumerate(self.own):
            parts = self.parts(self.whole[row])
            for name, part in parts.items():
                part.copy_(own[name].detach())
            for name, tensor in own.items():
                tensor.data = parts[name] if name in parts else self.others[name][row]

    def parts(self, row: Tensor) -> Tensors:
        """Return the tensors of which a row (places,) consists, by name."""
        pieces = row.split_with_sizes(self._lengths)
        return {
            n: p.view(shape) for (n, shape), p in zip(self.shapes.items(), pieces, strict=False)
        }

    def release(self) -> None:
        """Give every flow tensors of its own."""
        for own in self.own:
            for tensor in own.values():
                tensor.data = tensor.data.clone()


class Stack:
    """Trainers that make their steps as one, until `dissolve`.

    Between steps each trainer can be evaluated and saved like one that is alone: its tensors are
    views of its row.
    """

    def __init__(self, trainers: Sequence[Trainer]) -> None:
        self.trainers = list(trainers)
        count = len(self.trainers)
        self.rows = [row % count for row in range(max(count, STACK_LEAST))]
        """The trainer of each row; the rows after the last trainer are copies."""
        first = self.trainers[0]
        self._optimization = first.optimization
        self._flows = self._with_copies([trainer.flow for trainer in self.trainers])
        self._flow_rows = _StackedTensors(self._flows)
        self._average_rows: _StackedTensors | None = None
        if first.average is not None:
            averaged = self._with_copies([trainer.evaluated for trainer in self.trainers])
            self._average_rows = _StackedTensors(averaged)
        self._optimizer = make_optimizer([self._flow_rows.whole], self._optimization)
        self._gather_moments()
        self._shrunk = self._mask_shrunk()
        self._template = copy.deepcopy(first.flow).train()
        self._timer = StepTimer(first.images.device)
        self.repeated = RepeatedStep()

    def step(self) -> None:
        """Make one step of every trainer."""
        first, whole = self.trainers[0], self._flow_rows.whole
        self._timer.mark()
        images = [trainer.feed.batch(trainer.step) for trainer in self.trainers]
        self._timer.mark()
        x, noise = self._augmented(images)
        for flow in self._flows:
            flow.before_step()
        others = [*self._flow_rows.others.values()]
        log_probs, whole.grad, *at_splits = self.repeated(self._compute, [whole, x], others, noise)
        self._shrink(whole.grad)
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
                trainer.online.add([one[row] for one in at_splits], x.shape[1])
            trainer.step += 1
            trainer.images_seen += x.shape[1]
        self._timer.mark()

    def share_timer(self) -> None:
        """Share what was measured of the steps' time among the trainers, equally."""
        self._timer.update()
        for trainer in self.trainers:
            trainer.timer.add_share(self._timer, len(self.trainers))
        self._timer = StepTimer(self._timer.device)

    def dissolve(self) -> None:
        """Give every trainer tensors of its own."""
        self._flow_rows.release()
        if self._average_rows is not None:
            self._average_rows.release()
        for trainer in self.trainers:
            for moments in trainer.optimizer.state.values():
                moments.update({kind: moment.clone() for kind, moment in moments.items()})

    def is_equal_to_fours(self) -> bool:
        """Return whether losses and gradients of the next step are those of stacks of four."""
        count = len(self.rows)
        x, _ = self._augmented([trainer.feed.batch(trainer.step) for trainer in self.trainers])
        whole = self._try_step(x, slice(0, count))
        for start in range(0, count, STACK_LEAST):
            some = slice(min(start, count - STACK_LEAST), min(start + STACK_LEAST, count))
            four = self._try_step(x, some)
            if not all(are_equal(a[some], b) for a, b in zip(whole, four, strict=True)):
                return False
        return True

    def _with_copies(self, flows: Sequence[Flow]) -> list[Flow]:
        copies = [copy.deepcopy(flows[index]) for index in self.rows[len(flows) :]]
        return [*flows, *copies]

    def _try_step(self, x: Tensor, some: slice) -> tuple[Tensor, Tensor]:
        """Return the log-likelihoods and gradients of some rows' next step; change nothing."""
        others = {name: tensor[some].clone() for name, tensor in self._flow_rows.others.items()}
        generators = [t.augmented(t.feed.batch(t.step), t.step)[1] for t in self.trainers]
        own = StackNoise(generators, self.rows[some])
        return self._gradient(self._flow_rows.whole[some], others, x[some], own)[:2]

    def _augmented(self, images: Sequence[Tensor]) -> tuple[Tensor, StackNoise]:
        pairs = [t.augmented(x, t.step) for t, x in zip(self.trainers, images, strict=True)]
        batches = torch.stack([pairs[index][0] for index in self.rows])
        return batches, StackNoise([generator for _, generator in pairs], self.rows)

    def _compute(self, given: Sequence[Tensor], noise: Noise) -> list[Tensor]:
        whole, x, *others = given
        named = dict(zip(self._flow_rows.others, others, strict=True))
        found, gradient, at_splits = self._gradient(whole, named, x, noise)
        return [found, gradient, *at_splits]

    def _gradient(
        self, whole: Tensor, others: Tensors, x: Tensor, noise: Noise
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Return the mean log-likelihood of each row's batch in nats per image (rows,), the
        gradient (rows, places) of the loss, and, if tables change, what `Flow.forward` has
        accumulated at each split (rows, C, H, W)."""
        template, parts = self._template, self._flow_rows.parts
        leaf = whole.detach().requires_grad_()

        changing = any(trainer.online is not None for trainer in self.trainers)

        def log_prob(row: Tensor, rest: Tensors, images: Tensor) -> tuple[Tensor, list[Tensor]]:
            at_splits: list[Tensor] | None = [] if changing else None
            given = images, noise.as_generator(), at_splits
            own = {**parts(row), **rest}
            mean: Tensor = functional_call(template, own, given, tie_weights=False).log_prob.mean()
            return mean, at_splits or []

        with in_stack():
            found, at_splits = vmap(log_prob)(leaf, others, x)
        (gradient,) = torch.autograd.grad(-found.sum(), leaf)
        return found.detach(), gradient, at_splits

    def _mask_shrunk(self) -> Tensor | None:
        """Return which places are in the recipe's L2 term, 1 or 0 (places,); None without one."""
        if not self._optimization.l2:
            return None
        flow, mask = self.trainers[0].flow, torch.zeros_like(self._flow_rows.whole[0])
        shrunk = {id(parameter) for parameter in flow.shrunk_parameters()}
        for name, part in self._flow_rows.parts(mask).items():
            part.fill_(id(self._flow_rows.own[0][name]) in shrunk)
        return mask

    def _shrink(self, gradient: Tensor) -> None:
        """Add the gradient of l2 times the sum of squares, before clipping."""
        if self._shrunk is not None:
            shrunk = self._flow_rows.whole.detach() * self._shrunk
            gradient.add_(shrunk, alpha=2 * self._optimization.l2)

    def _clip(self, gradient: Tensor) -> None:
        """Clip the gradient of each row as `torch.nn.utils.clip_grad_norm_` clips one."""
        if self._optimization.clip is not None:
            # Row by row: CUDA sums all rows at once in an order that depends on how many they are.
            norms = torch.stack([torch.linalg.vector_norm(row) for row in gradient])
            gradient.mul_((self._optimization.clip / (norms + 1e-6)).clamp(max=1.0)[:, None])

    def _gather_moments(self) -> None:
        """Stack the moments of the trainers' optimizers, if they have made a step."""
        rows, whole = self._flow_rows, self._flow_rows.whole
        if not self.trainers[0].optimizer.state:
            return
        moments = self._optimizer.state[whole]
        for row, index in enumerate(self.rows):
            state, own = self.trainers[index].optimizer.state, rows.own[index]
            for name in rows.shapes:
                for kind, value in state[own[name]].items():
                    if kind == "step":
                        moments[kind] = value.clone()
                    else:
                        stacked = moments.setdefault(kind, torch.zeros_like(whole))
                        rows.parts(stacked[row])[name].copy_(value)
        self._spread_moments()

    def _spread_moments(self) -> None:
        """Make the moments of each trainer's optimizer views of its row."""
        rows, moments = self._flow_rows, self._optimizer.state[self._flow_rows.whole]
        for row, trainer in enumerate(self.trainers):
            parts = {k: rows.parts(m[row]) for k, m in moments.items() if k != "step"}
            for name in rows.shapes:
                own = {kind: part[name] for kind, part in parts.items()}
                trainer.optimizer.state[rows.own[row][name]] = {"step": moments["step"], **own}

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
