"""What a trial costs beyond its training: many with almost none, beside Ray Tune's loop."""

import math
import os
import socket
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import redirect_stdout, suppress
from dataclasses import asdict, dataclass
from io import StringIO
from multiprocessing import get_context
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import psutil
import torch
from PIL import Image

from benchmarks.places import Site
from lcma import db, models
from lcma.harness import data
from lcma.harness.place import Place
from lcma.harness.run.driver import Launch
from lcma.harness.run.evaluation import measure_flow, settle_device
from lcma.harness.run.executor import Executor
from lcma.harness.run.plan import Node, make_nodes, make_plan, register_plan
from lcma.harness.run.work import Report
from lcma.harness.train.batches import Images
from lcma.harness.train.checkpoint import CheckpointFolder
from lcma.harness.train.protocol import PLAIN
from lcma.harness.train.trainer import Hooks, Trainer
from lcma.sweeps.expansion import Trial, expand
from lcma.sweeps.spec import Resources, Spec, check

DATASET = "dots"
IMAGES = 40
SEEDS = 10
WARM = 4
"""Trials before those that count: processes start, libraries are imported."""


@dataclass(frozen=True)
class Each:
    """Seconds for which one trial holds a slot, and of CPU."""

    slot: float
    cpu: float | None

    def beyond(self, *others: "Each") -> "Each":
        """What is more than the mean of the others, all of which know their CPU time."""
        cpu = None if self.cpu is None else self.cpu - fmean(o.cpu or 0.0 for o in others)
        return Each(self.slot - fmean(o.slot for o in others), cpu)


@dataclass(frozen=True)
class Run:
    """So many trials by one side on that many slots: wall time, and CPU time of the driver and of
    all processes below it, Ray's own included, in seconds; None where some of them ended meanwhile,
    since Ray does not count those."""

    side: str
    trials: int
    slots: int
    seconds: float
    cpu_seconds: float | None
    load: float

    @property
    def each(self) -> Each:
        """What one trial takes, with what lies between it and the next one."""
        cpu = None if self.cpu_seconds is None else self.cpu_seconds / self.trials
        return Each(self.seconds * self.slots / self.trials, cpu)


class Stopwatch:
    """Wall and CPU time of a run from now on."""

    def __init__(self, side: str, trials: int, slots: int) -> None:
        self._of = side, trials, slots
        self._load, self._cpu, self._began = os.getloadavg()[0], _cpu(), time.perf_counter()

    def stop(self, *, counted: bool = True) -> Run:
        """The run as it was; ``counted`` says whether none of its processes ended meanwhile."""
        seconds = time.perf_counter() - self._began
        used = _cpu() - self._cpu  # below zero where processes of an earlier run have ended
        run = Run(*self._of, seconds, used if counted and used >= 0 else None, self._load)
        cpu = "" if run.each.cpu is None else f", {1000 * run.each.cpu:.0f} ms of CPU"
        print(
            f"{run.side}: {run.trials} trials in {run.seconds:.1f} s on {run.slots} slots: each "
            f"{1000 * run.each.slot:.0f} ms of a slot{cpu} (load {run.load:.1f})",
            flush=True,
        )
        return run


def _cpu() -> float:
    """CPU seconds of this process and of all below it, those that have ended too."""
    own = psutil.Process()
    total = 0.0
    for process in (own, *own.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            total += sum(process.cpu_times()[:4])
    return total


def spec_of(trials: int) -> Spec:
    """Trials of one step on two images, evaluated on a dozen; ten seeds of each recipe, since the
    tables of all seeds of a recipe are held against each other."""
    architecture = {"width": 2, "checkerboard_couplings": 1, "channel_couplings": 1}
    rates = [1e-3 * (1 + k / trials) for k in range(math.ceil(trials / SEEDS))]
    matrix = {
        "flow": "realnvp",
        "dataset": DATASET,
        "factorization": "conventional",
        "recipe": [{"optimization": {"learning_rate": rate}} for rate in rates],
    }
    recipe = {
        "model": {"splits": 1, "architecture": architecture | {"last_couplings": 1}},
        "optimization": {"batch": 2},
        "training": {"steps": 1},
    }
    content = {"name": "trivial", "matrix": matrix, "seeds": SEEDS, "recipe": recipe}
    return check(content, "trivial")


def make_images(folder: Path, root: Path) -> None:
    """Prepare a few images of noise, 8x8, as a set of a person's own."""
    generator = np.random.default_rng(0)
    folder.mkdir()
    for number in range(IMAGES):
        pixels = generator.integers(256, size=(8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    data.prepare(DATASET, root, source=folder, options=data.SourceOptions(size=8))
    data.know_own(root)


class _Nowhere(CheckpointFolder):
    """Takes no checkpoint."""

    def save(self, step: int, state: dict[str, Any], *, keep: bool = False) -> Path:
        return self.folder


def bare(trial: Trial, root: Path) -> float:
    """Train and evaluate without a harness: no job, lease, curve, checkpoint or kept weights."""
    settle_device("cpu", 1)
    prepared = data.load(trial.set_name, root)
    device, recipe = torch.device("cpu"), trial.recipe
    trainer = Trainer(
        flow=models.build(recipe.model, trial.factorization, seed=trial.seed),
        optimization=recipe.optimization,
        seed=trial.seed,
        images=Images(prepared.part("train").images, device),
        training=recipe.training,
        holdout=Images(prepared.part("holdout").images, device),
    )
    trainer.start()
    trainer.run(recipe.training.steps, _Nowhere(root), Hooks())
    return measure_flow(trainer.evaluated, prepared, PLAIN, device).test.bits_per_dim.value


class Bare:
    """The training alone, in as many processes as there are slots."""

    def __init__(self, trials: Sequence[Trial], root: Path, slots: int) -> None:
        self.root, self.slots = root, slots
        self._pool = ProcessPoolExecutor(slots, mp_context=get_context("spawn"))
        self._run(trials[:WARM])

    def __call__(self, trials: Sequence[Trial]) -> Run:
        watch = Stopwatch("bare", len(trials), self.slots)
        self._run(trials)
        return watch.stop()

    def close(self) -> None:
        self._pool.shutdown()

    def _run(self, trials: Sequence[Trial]) -> None:
        list(self._pool.map(bare, trials, [self.root] * len(trials)))


class _Silent:
    """A display that shows nothing, and lets nothing pass that should not happen here."""

    def update(self, ended: int, total: int, running: Sequence[db.JobFacts]) -> None:
        pass

    def job_ended(self, title: str, report: Report) -> None:
        if report.ending != "done":
            raise RuntimeError(f"{title}: {report.message}")

    def unreachable(self, since: float, why: str) -> None:
        raise RuntimeError(why)

    def note(self, line: str) -> None:
        print(line)


def ours(
    side: str, make: Callable[[], Executor], site: Site, folder: Path, trials: int, slots: int
) -> Run:
    """A launch of that many trials in an empty database, by processes that have run some."""
    with site.fresh() as url:
        place = Place(url, folder / f"runs-{side}", folder / "data")
        store = db.connect(url)
        plan = make_plan(spec_of(trials + WARM), place, store)
        register_plan(plan, place, store)
        owner = f"{socket.gethostname()}:{os.getpid()}:benchmark"
        nodes = make_nodes(plan, place, owner=owner, device="cpu")
        executor = make()
        try:
            _launch(store, nodes[:WARM], executor)
            watch = Stopwatch(side, trials, slots)
            _launch(store, nodes[WARM : WARM + trials], executor)
            run = watch.stop()
        finally:
            executor.close(kill=True)
        store.close()
    return run


def _launch(store: db.Store, nodes: Sequence[Node], executor: Executor) -> None:
    ended = Launch(store, nodes, executor, _Silent()).run()
    assert len(ended.with_ending("done")) == len(nodes)


def _report_once(settings: dict[str, Any]) -> None:
    from ray import tune

    tune.report({"value": settings["number"]})


def tune_run(trials: int, slots: int, folder: Path, *, reuse: bool) -> Run:
    """As many trials of Ray Tune, none of which does more than to report a number, on the Ray that
    runs. Its settings are its own, but for where it writes, and what it prints."""
    from ray import tune

    def fit(count: int, name: str) -> None:
        cpus = (os.cpu_count() or 1) / slots
        tuner = tune.Tuner(
            tune.with_resources(_report_once, {"cpu": cpus}),
            param_space={"number": tune.grid_search(list(range(count)))},
            tune_config=tune.TuneConfig(reuse_actors=reuse),
            run_config=tune.RunConfig(name=name, storage_path=str(folder / "tune"), verbose=0),
        )
        with redirect_stdout(StringIO()):
            found = tuner.fit()
        assert len(found) == count
        assert not found.errors

    side = "tune-reused" if reuse else "tune"
    fit(WARM, f"warm-{side}")
    watch = Stopwatch(side, trials, slots)
    fit(trials, side)
    return watch.stop(counted=reuse)


def measure(
    site: Site, folder: Path, *, trials: int, tune_trials: int, slots: int
) -> dict[str, Any]:
    """All sides one after the other; the training alone before, between and after ours."""
    make_images(folder / "images", folder / "data")
    planned = expand(spec_of(trials)).trials
    training = Bare(planned, folder / "data", slots)
    some = planned[: max(WARM, trials // 5)]
    resources = Resources(cpus=(os.cpu_count() or 1) / slots)

    def local() -> Executor:
        from lcma.harness.run.local import LocalExecutor

        return LocalExecutor(slots)

    def on_ray() -> Executor:
        from lcma.harness.run.cluster import RayExecutor

        return RayExecutor(resources, None)

    alone = [training(some)]
    runs: list[Run] = []
    beyond: dict[str, Each] = {}
    for side, make in (("local", local), ("ray", on_ray)):
        runs.append(ours(side, make, site, folder, trials, slots))
        alone.append(training(some))
        beyond[side] = runs[-1].each.beyond(*(run.each for run in alone[-2:]))
    training.close()
    held = on_ray()
    try:
        for reuse in (True, False):
            runs.append(tune_run(tune_trials, slots, folder, reuse=reuse))
            beyond[runs[-1].side] = runs[-1].each
    finally:
        held.close(kill=True)
    return {
        "engine": site.engine,
        "runs": [asdict(run) | asdict(run.each) for run in (*alone, *runs)],
        "seconds_beyond_training": {side: asdict(each) for side, each in beyond.items()},
    }
