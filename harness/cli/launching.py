"""What `lcma launch` does, step by step."""

import os
import signal
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Literal, NoReturn

from rich.console import Console
from rich.markup import escape

import db
import harness.data
from harness.cli import planning
from harness.place import Place
from harness.run import launch as launches
from harness.run import plan as plans
from harness.run.executor import Executor
from harness.run.launch import Ended, Launch
from harness.run.plan import Node, Plan
from harness.run.progress import Bars
from sweeps.errors import UserError
from sweeps.spec import Resources, Spec


@dataclass(frozen=True)
class Asked:
    """The options of a launch."""

    spec: str
    dataset: str | None
    profile: str | None
    seeds: str | None
    local: bool
    ray: str | None
    gpus: float | None
    retry: bool
    skip_invalid: bool
    pictures: Path | None


class _InterruptedError(BaseException):
    """SIGINT or SIGTERM; a BaseException, so that no handler on the way takes it for its own."""

    def __init__(self, number: int) -> None:
        self.number = number


def run(asked: Asked, place: Place) -> None:
    """Plan, prepare, register, run, report. Everything that can be refused is refused before
    the database or the disk is touched."""
    console = Console()
    if asked.local and asked.ray:
        raise UserError("--local and --ray exclude each other: leave one out")
    spec = planning.read(
        asked.spec, dataset=asked.dataset, profile=asked.profile, seeds=asked.seeds
    )
    resources = _resources(spec, asked)
    plans.require_valid(plans.make(spec, place, None), skip_invalid=asked.skip_invalid)
    missing = _missing_data(spec, place)
    store = db.connect(place.db)
    for name in missing:
        with console.status(f"preparing {name}"):
            harness.data.prepare(name, place.data)
    plan = plans.make(spec, place, store)
    sweep_id = plans.register(plan, place, store)
    digests = plans.digests_of(plan, place)
    owner = launches.new_owner()
    device: Literal["cpu", "cuda"] = "cuda" if resources.gpus else "cpu"
    nodes = plans.nodes(plan, place, digests, owner=owner, device=device)
    if asked.retry:
        store.retry([node.work.job_id for node in nodes])
        plan = plans.make(spec, place, store)
    console.print(f"{escape(spec.name)}: {planning.summary(plan)}", highlight=False)
    ended = Ended()
    if plan.trainings_left or plan.pretrainings_left:
        place.runs.mkdir(parents=True, exist_ok=True)
        ended = _run(nodes, store, resources, asked, console, owner)
    _report(sweep_id, store, place, asked, console, ended, plan)


def _resources(spec: Spec, asked: Asked) -> Resources:
    if asked.gpus is None:
        resources = spec.resources
    elif 0 <= asked.gpus <= 1:
        resources = spec.resources.model_copy(update={"gpus": asked.gpus})
    else:
        raise UserError(f"--gpus {asked.gpus:g}: a trial uses between 0 and 1 GPU")
    if resources.gpus and asked.ray is None:
        import torch

        if not torch.cuda.is_available():
            raise UserError(
                f"a trial asks for {resources.gpus:g} GPU, and this machine has none that "
                f"PyTorch can use: give --gpus 0, or a cluster with --ray ADDRESS"
            )
    return resources


def _missing_data(spec: Spec, place: Place) -> list[str]:
    """The sets still to be prepared; UserError for one that needs files named by a person."""
    missing = []
    for known in harness.data.names():
        if known.name not in spec.matrix.dataset:
            continue
        if known.needs_path or (place.data / known.name).exists():
            harness.data.load(known.name, place.data)
        else:
            missing.append(known.name)
    return missing


def _run(
    nodes: list[Node],
    store: db.Store,
    resources: Resources,
    asked: Asked,
    console: Console,
    owner: str,
) -> Ended:
    threads = max(node.work.threads for node in nodes)
    executor: Executor | None = None
    before = {s: signal.signal(s, _interrupt) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        with console.status("starting workers"):
            executor = _executor(resources, threads, asked)
        for number in before:  # Ray has put its own handlers in place
            signal.signal(number, _interrupt)
        with Bars(console) as bars:
            ended = Launch(store, nodes, executor, bars).run()
        executor.close(kill=False)
        return ended
    except _InterruptedError as interrupted:
        for number in before:
            signal.signal(number, signal.SIG_IGN)
        _stop(executor, store, owner, console, asked, interrupted.number)
    except BaseException:
        if executor is not None:
            executor.close(kill=True)
        with suppress(UserError):
            store.release(owner)
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _executor(resources: Resources, threads: int, asked: Asked) -> Executor:
    if asked.local:
        from harness.run.local import LocalExecutor

        share = resources.cpus if resources.cpus is not None else threads
        workers = max(1, int((os.cpu_count() or 1) // share))
        if resources.gpus:
            import torch

            per_gpu = max(1, int(1 / resources.gpus))
            workers = min(workers, per_gpu * torch.cuda.device_count())
        return LocalExecutor(workers)
    from harness.run.cluster import RayExecutor

    executor = RayExecutor(resources, asked.ray)
    try:
        executor.check(threads)
    except UserError:
        executor.close(kill=True)
        raise
    return executor


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise _InterruptedError(number)


def _stop(
    executor: Executor | None,
    store: db.Store,
    owner: str,
    console: Console,
    asked: Asked,
    number: int,
) -> NoReturn:
    if executor is not None:
        executor.close(kill=True)
    released = store.release(owner)
    console.print(
        f"Stopped; {released} running jobs keep their last checkpoint. "
        f"Go on with [bold]lcma launch {escape(asked.spec)}[/]"
    )
    sys.exit(128 + number)


def _report(
    sweep_id: str,
    store: db.Store,
    place: Place,
    asked: Asked,
    console: Console,
    ended: Ended,
    plan: Plan,
) -> None:
    from harness.report import board, gallery

    table = board.read(store, sweep_id=sweep_id)
    console.print(board.render(table))
    for report in ended.of("failed", "blocked", "diverged"):
        last = report.message.strip().splitlines()[-1:] or [""]
        console.print(f"[red]{report.ending}[/] {report.job_id[:12]}: {escape(last[0])}")
    if asked.pictures is not None and table.groups:
        with console.status("drawing"):
            drawn = gallery.draw_sweep(store, place, sweep_id, asked.pictures)
        console.print("Pictures:")
        for path in drawn:
            console.print(f"  {escape(str(path))}", highlight=False, soft_wrap=True)
    failed = ended.of("failed", "blocked")
    if failed:
        console.print(
            f"{len(failed)} jobs failed: [bold]lcma status[/] says why, "
            f"[bold]lcma launch {escape(asked.spec)} --retry[/] runs them again"
        )
        sys.exit(1)
    console.print(
        "Next: [bold]lcma board[/], [bold]lcma maps[/], [bold]lcma samples[/],\n"
        '      [bold]lcma sql "select factorization, seed, bits_per_dim from trial_results"[/],\n'
        "      [bold]lcma export --format md[/]"
    )
