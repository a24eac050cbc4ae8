"""Search of the `tiny` recipes: what a model reaches in a minute or two of one core.

`python -m benchmarks.recipes screen realnvp` trains every configuration of a flow's grid on
CIFAR-10 at 16x16 for `--seconds` of CPU time and appends what each reached on the holdout part to
`recipes.jsonl` beside this file; `final` trains the best ones again, with several seeds, in a stack
where the flow has one. A configuration that is there is not run again. benchmarks/README.md has
the table.
"""

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lcma.harness.data.prepared import Prepared, load
from lcma.harness.place import find_place
from lcma.harness.train.batches import Images
from lcma.harness.train.evaluate import evaluate
from lcma.harness.train.protocol import PLAIN
from lcma.harness.train.stack import Stack
from lcma.harness.train.trainer import Trainer
from lcma.models import build
from lcma.sweeps.architectures import REGISTERED
from lcma.sweeps.catalog import flows
from lcma.sweeps.recipe import Recipe
from lcma.sweeps.settings import merge
from lcma.sweeps.validation import validate

KEPT = Path(__file__).with_name("recipes.jsonl")
DATASET = "cifar10-16"
FIRST_SEED = 1000
"""Searches use seeds from here on, evidence those from 0 on."""

TIMED_STEPS = 24
HOLDOUT_IMAGES = 2000

BASES: dict[str, dict[str, Any]] = {
    "realnvp": {
        "model": {
            "splits": 3,
            "preprocess": "logit",
            "architecture": {
                "width": 32,
                "growth": 1,
                "blocks": 0,
                "checkerboard_couplings": 2,
                "channel_couplings": 2,
                "last_couplings": 2,
                "flow_norm": "actnorm",
                "net_norm": "none",
            },
        },
        "optimization": {"learning_rate": 0.005, "batch": 64, "warmup": 50},
    },
    "glow": {
        "model": {
            "splits": 2,
            "preprocess": "center",
            "architecture": {"steps": 4, "width": 16},
        },
        "optimization": {
            "optimizer": "adamax",
            "learning_rate": 0.005,
            "batch": 32,
            "warmup": 50,
        },
    },
    "iresnet": {
        "model": {
            "splits": 2,
            "preprocess": "center",
            "architecture": {"blocks": 4, "width": 16},
        },
        "optimization": {"optimizer": "adamax", "learning_rate": 0.01, "batch": 32, "warmup": 50},
    },
    "resflow": {
        "model": {
            "splits": 2,
            "preprocess": "logit",
            "architecture": {"blocks": 4, "width": 16, "fully_connected": 1, "fc_width": 16},
        },
        "optimization": {
            "learning_rate": 0.004,
            "betas": [0.9, 0.99],
            "clip": 532,
            "batch": 32,
            "warmup": 50,
        },
    },
}
"""What each grid varies; the learning rate falls over the second half of the steps."""

# Short names of the settings that the grids vary.
_PLACES = {
    "lr": "optimization.learning_rate",
    "batch": "optimization.batch",
    "clip": "optimization.clip",
    "betas": "optimization.betas",
    "optimizer": "optimization.optimizer",
    "schedule": "training.schedule",
    "decay": "training.decay",
    "ema": "training.ema",
    "preprocess": "model.preprocess",
}

GRIDS: dict[str, list[dict[str, Any]]] = {
    "realnvp": [
        {
            "width": 8,
            "growth": 2,
            "blocks": 1,
            "checkerboard_couplings": 3,
            "channel_couplings": 3,
            "last_couplings": 4,
            "lr": 0.001,
            "batch": 32,
            "clip": 100.0,
            "schedule": "constant",
        },
        {"width": 16, "growth": 2, "lr": 0.003, "schedule": "constant", "ema": 0.98},
        {"width": 16, "growth": 2, "lr": 0.003},
        {},
        {"lr": 0.01},
        {"width": 16},
        {"width": 48},
        {"batch": 32},
        {"checkerboard_couplings": 3, "channel_couplings": 3},
        {"width": 16, "checkerboard_couplings": 4, "channel_couplings": 4, "last_couplings": 4},
        {"width": 16, "blocks": 1},
        {"channel_couplings": 4},
        {"preprocess": "center"},
        {"decay": 1.0},
        {"checkerboard_couplings": 3, "channel_couplings": 3, "batch": 32},
        {"checkerboard_couplings": 4, "channel_couplings": 4, "batch": 32},
        {
            "checkerboard_couplings": 3,
            "channel_couplings": 3,
            "last_couplings": 4,
            "batch": 32,
            "lr": 0.01,
        },
    ],
    "glow": [
        {"lr": 0.003, "schedule": "constant"},
        {},
        {"lr": 0.01},
        {"lr": 0.02},
        {"width": 32},
        {"width": 32, "lr": 0.01},
        {"steps": 6},
        {"steps": 3, "width": 32},
        {"batch": 64, "lr": 0.01},
        {"conv1x1": "dense"},
        {"scale": "exp"},
        {"decay": 1.0},
        {"preprocess": "logit"},
        {"preprocess": "logit", "width": 32, "lr": 0.02},
    ],
    "iresnet": [
        {"schedule": "constant"},
        {},
        {"lr": 0.02},
        {"train_terms": 3, "power_iterations": 2, "lr": 0.02},
        {"train_terms": 3, "power_iterations": 2, "width": 32},
        {"preprocess": "logit"},
        {"preprocess": "logit", "train_terms": 3, "power_iterations": 2, "lr": 0.02},
    ],
    "resflow": [
        {"schedule": "constant"},
        {},
        {"lr": 0.01},
        {"lr": 0.01, "clip": None},
        {"lr": 0.01, "tolerance": 0.05},
        {"lr": 0.01, "preprocess": "center"},
        {"lr": 0.02, "clip": None},
    ],
}


@dataclass(frozen=True)
class Speed:
    """CPU seconds of a step of one model, alone and in a stack of six (None without stacks)."""

    alone: float
    stacked: float | None


def recipe_of(flow: str, changes: dict[str, Any], steps: int) -> Recipe:
    """Return the recipe of a configuration with so many training steps."""
    settings: dict[str, Any] = merge(
        {"optimization": {"optimizer": "adam"}, "training": {"schedule": "linear"}}, BASES[flow]
    )
    for name, value in {"steps.": steps, **changes}.items():
        place = "training.steps" if name == "steps." else _PLACES.get(name)
        *sections, key = (place or f"model.architecture.{name}").split(".")
        inner: dict[str, Any] = {key: value}
        for section in reversed(sections):
            inner = {section: inner}
        settings = merge(settings, inner)
    settings = merge(settings, {"model": {"flow": flow, "size": 16, "channels": 3}})
    return validate(Recipe, settings, f"grid of {flow}")


def make_trainers(recipe: Recipe, data: Prepared, seeds: Sequence[int]) -> list[Trainer]:
    """Return started trainers of the flow's conventional factorization."""
    images = Images(data.part("train").images, torch.device("cpu"))
    found = []
    for seed in seeds:
        flow = build(recipe.model, flows()[recipe.model.flow], seed=seed)
        trainer = Trainer(flow, recipe.optimization, seed, images, training=recipe.training)
        trainer.start()
        trainer.flow.train()
        found.append(trainer)
    return found


def measure_speed(flow: str, changes: dict[str, Any], data: Prepared) -> Speed:
    """Measure the CPU seconds of a step, alone and in a stack in turns; medians."""
    recipe = recipe_of(flow, changes, 10**6)
    (alone,) = make_trainers(recipe, data, [FIRST_SEED])
    stack = None
    if REGISTERED[flow].stacks:
        stack = Stack(make_trainers(recipe, data, range(FIRST_SEED, FIRST_SEED + 6)))
    seconds: tuple[list[float], list[float]] = ([], [])
    for step in range(TIMED_STEPS):
        began = time.process_time()
        alone._one_step()
        seconds[0].append(time.process_time() - began)
        if stack is not None and step % 2 == 0:
            began = time.process_time()
            stack.step()
            seconds[1].append((time.process_time() - began) / 6)
    return Speed(
        float(np.median(seconds[0][3:])),
        None if stack is None else float(np.median(seconds[1][2:])),
    )


def train(trainers: Sequence[Trainer], steps: int, *, stacked: bool) -> float:
    """Train up to a step, as one stack or one after the other; CPU seconds."""
    began = time.process_time()
    if stacked:
        stack = Stack(trainers)
        for _ in range(steps):
            stack.step()
        stack.dissolve()
    else:
        for trainer in trainers:
            for _ in range(steps):
                trainer._one_step()
    return time.process_time() - began


def reached(trainer: Trainer, images: np.ndarray[Any, Any]) -> float:
    """Return the bits/dim of a trained model on images."""
    found = evaluate(trainer.evaluated, Images(images, torch.device("cpu")), PLAIN)
    return found.bits_per_dim.value


def screen(flow: str, data: Prepared, seconds: float) -> None:
    """Train every configuration of the grid that is not kept yet, one seed each."""
    done = {json.dumps(row["changes"]) for row in read(flow, "screen")}
    for changes in GRIDS[flow]:
        if json.dumps(changes) not in done:
            speed = measure_speed(flow, changes, data)
            run("screen", flow, changes, data, speed, seconds / speed.alone, seeds=1)


def final(
    flow: str, data: Prepared, seconds: float, chosen: list[dict[str, Any]], seeds: int
) -> None:
    """Train configurations with several seeds for the steps that their speed in a stack allows."""
    # All speeds before the first training: what else the machine does then is the same for all.
    speeds = [measure_speed(flow, changes, data) for changes in chosen]
    for changes, speed in zip(chosen, speeds, strict=True):
        run("final", flow, changes, data, speed, seconds / (speed.stacked or speed.alone), seeds)


def run(
    stage: str,
    flow: str,
    changes: dict[str, Any],
    data: Prepared,
    speed: Speed,
    most_steps: float,
    seeds: int,
) -> None:
    """Train a configuration and keep what it reached; CPU seconds are those of a model."""
    steps = max(20, round(most_steps / 10) * 10)
    recipe = recipe_of(flow, changes, steps)
    trainers = make_trainers(recipe, data, range(FIRST_SEED, FIRST_SEED + seeds))
    used = train(trainers, steps, stacked=seeds > 1 and REGISTERED[flow].stacks) / seeds
    holdout = data.part("holdout").images[:HOLDOUT_IMAGES]
    keep(
        flow=flow,
        stage=stage,
        changes=changes,
        steps=steps,
        cpu_seconds=round(used, 1),
        step_ms=round(1e3 * speed.alone, 2),
        stacked_step_ms=None if speed.stacked is None else round(1e3 * speed.stacked, 2),
        parameters=sum(p.numel() for p in trainers[0].flow.parameters() if p.requires_grad),
        holdout_bits_per_dim=[round(reached(one, holdout), 4) for one in trainers],
    )


def read(flow: str, stage: str) -> Iterator[dict[str, Any]]:
    """Return the kept rows of a flow and a stage."""
    lines = KEPT.read_text().splitlines() if KEPT.exists() else []
    for row in map(json.loads, lines):
        if (row["flow"], row["stage"]) == (flow, stage):
            yield row


def keep(**row: Any) -> None:
    """Append a row to the file and show it."""
    line = json.dumps(row)
    with KEPT.open("a") as file:
        file.write(line + "\n")
    print(line, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recipes", description=__doc__)
    parser.add_argument("stage", choices=("screen", "final"))
    parser.add_argument("flow", choices=tuple(GRIDS))
    parser.add_argument("--seconds", type=float, help="CPU seconds of a model (60, final: 120)")
    parser.add_argument("--changes", help="final: one configuration as JSON (default: best three)")
    parser.add_argument("--seeds", type=int, default=4, help="final: how many (default: 4)")
    parser.add_argument("--data", type=Path, help="folder of prepared data sets")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    data = load(DATASET, find_place(None, None, given.data).data)
    if given.stage == "screen":
        screen(given.flow, data, given.seconds or 60.0)
        return 0
    rows = sorted(read(given.flow, "screen"), key=lambda row: row["holdout_bits_per_dim"][0])
    chosen = [json.loads(given.changes)] if given.changes else [r["changes"] for r in rows[:3]]
    done = [row["changes"] for row in read(given.flow, "final")]
    left = [changes for changes in chosen if changes not in done]
    final(given.flow, data, given.seconds or 120.0, left, given.seeds)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
