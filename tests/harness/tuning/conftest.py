"""Small studies, tuned in this process, and what they leave."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
import yaml
from optuna.storages._rdb import storage as optuna_storage
from PIL import Image

from lcma import db
from lcma.harness import data
from lcma.harness.data.source import SourceOptions
from lcma.harness.launch import plan
from lcma.harness.launch.policy import Limits
from lcma.harness.launch.workers import Workers
from lcma.harness.place import Place
from lcma.harness.tuning.study import Tuner, make_storage
from lcma.harness.tuning.target import StudyTarget, make_target
from lcma.sweeps import plugins
from lcma.sweeps import spec as specs
from tests.db.conftest import Stage
from tests.harness.conftest import SMALL, merged
from tests.harness.launch.conftest import FakeDisplay, InlineExecutor, place_in, run_cli

TUNE: dict[str, Any] = {
    "name": "tuned",
    "matrix": {"dataset": "few", "factorization": "conventional", "budget": []},
    "recipe": {"training": {"steps": 4}},
    "tune": {"budget": {"low": 10, "high": 15}, "trials": 5},
}
POINTS = (0, 10, 15)
"""The budgets of the study."""
STEPS = 4
"""The steps of a training."""
LEASE = 3.0
"""Seconds; a launch polls the database more than once within a lease."""

Tune = Callable[..., tuple[int, str, str]]
History = list[tuple[int, int, str, list[float] | None]]


@dataclass
class Tuning:
    """A study of a small spec at one place."""

    place: Place
    target: StudyTarget

    @cached_property
    def store(self) -> db.Store:
        """The tests' own store, beside the tuner's."""
        return db.connect(self.place.db)

    def run(self) -> FakeDisplay:
        """Tune to the end, without Ray; return the display."""
        with self.opened() as tuner:
            run_to_the_end(tuner)
        assert isinstance(tuner.display, FakeDisplay)
        return tuner.display

    @contextmanager
    def opened(self, limits: Limits | None = None) -> Iterator[Tuner]:
        """Provide a tuner whose launches run in this process."""
        resources = self.target.spec.resources.model_copy(update={"gpus": 0.0})
        workers = Workers(resources, 1, nullcontext, {"local": True})
        workers.executor, workers.store = InlineExecutor(), db.connect(self.place.db)
        with ExitStack() as stack:
            stack.push(workers)
            patch = stack.enter_context(pytest.MonkeyPatch.context())
            patch.setattr(plan, "Work", partial(plan.Work, lease_seconds=LEASE))
            yield Tuner(
                *(self.target, self.place, workers.store, workers, FakeDisplay()), limits=limits
            )

    def elsewhere(self) -> "Tuning":
        """Return the same study at a new place beside this one."""
        folder = self.place.runs.parent / "elsewhere"
        folder.mkdir()
        return replace(self, place=place_in(folder, self.place.data))

    def changed(self, change: dict[str, Any]) -> "Tuning":
        """Return the study of a changed spec at the same place."""
        return make(self.place, change)

    @property
    def study(self) -> optuna.Study:
        """The study as Optuna itself opens it."""
        return optuna.load_study(
            study_name=self.target.spec.name, storage=make_storage(db.locate(self.place.db))
        )

    def history(self) -> History:
        """Return number, budget, state and values of the study's trials."""
        return [(t.number, t.params["budget"], t.state.name, t.values) for t in self.study.trials]

    def budgets(self) -> list[int]:
        """Return the budgets of the study's trials, sorted."""
        return sorted(trial.params["budget"] for trial in self.study.trials)

    def states(self) -> list[str]:
        return [trial.state.name for trial in self.study.trials]

    def steps(self, kind: str) -> int:
        """Return how many training steps all attempts at jobs of a kind have made."""
        query = f"""
            SELECT coalesce(sum(last_step - first_step), 0) AS n FROM attempts
            JOIN jobs ON jobs.id = job_id WHERE kind = '{kind}' AND protocol IS NULL
        """
        return int(self.store.sql(query).n[0])

    def bits(self) -> dict[str, float]:
        """Return the bits/dim of every result by trial."""
        frame = self.store.view("results")
        return dict(zip(frame.trial_id, frame.bits_per_dim, strict=True))


def run_to_the_end(tuner: Tuner) -> None:
    while trials := tuner.ask():
        tuner.run(trials)
    tuner.run(())


def make_spec(change: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the content of the spec's file with a change."""
    return merged(merged(SMALL, TUNE), change or {})


def make(place: Place, change: dict[str, Any] | None = None) -> Tuning:
    data.register_own_sets(place.data)
    spec = specs.check(make_spec(change), "test")
    return Tuning(place, make_target(spec, "test"))


def make_in(folder: Path, few_root: Path, change: dict[str, Any] | None = None) -> Tuning:
    place = Place(f"sqlite:///{folder / 'lcma.db'}", folder / "lcma-runs", few_root)
    return make(place, change)


def load_measure(name: str, folder: Path) -> None:
    """Load a plug-in's measure, the width of images."""
    (folder / "measure.py").write_text(
        "import lcma\n\n"
        f"@lcma.measure({name!r}, unit='pixels', direction='higher', meaning='their width')\n"
        "def width(flow, images, seed):\n"
        "    return float(images.shape[-1])\n"
    )
    plugins.load_file(folder / "measure.py")


@pytest.fixture(scope="session", autouse=True)
def revisions_read_once() -> Iterator[None]:
    """Let Optuna read its revisions once, and not three times for each new database.

    That took a sixth of the time of these tests.
    """
    manager = optuna_storage._VersionManager
    read, scripts = manager._create_alembic_script, list[Any]()

    def read_once(self: Any) -> Any:
        if not scripts:
            scripts.append(read(self))
        return scripts[0]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manager, "_create_alembic_script", read_once)
        yield


@pytest.fixture(scope="session")
def few_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root with the data set `few` prepared, of few small images."""
    folder, root = tmp_path_factory.mktemp("images"), tmp_path_factory.mktemp("data")
    noise = np.random.default_rng(0)
    for number in range(80):
        pixels = noise.integers(0, 256, 3) + noise.normal(0, 9, (8, 8, 3)).cumsum(0).cumsum(1)
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / f"{number}.png")
    data.prepare("few", root, source=folder, options=SourceOptions(size=8))
    return root


@pytest.fixture(scope="session")
def photos_root(few_root: Path) -> Path:
    """The data beside each test's place."""
    return few_root


@pytest.fixture
def tuning(place: Place) -> Callable[..., Tuning]:
    """Return a function that makes a study with a changed spec in a SQLite file."""
    return lambda change=None: make(place, change)


@pytest.fixture
def on_each(new_url: Callable[[Stage], str], place: Place) -> Callable[..., Tuning]:
    """The same on each engine."""
    return lambda change=None: make(replace(place, db=new_url("empty")), change)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder for commands."""
    folder = tmp_path / "here"
    folder.mkdir()
    return folder


@pytest.fixture
def tune(
    folder: Path,
    few_root: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Tune:
    """Return a function that runs `lcma tune` in that folder on a changed spec."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("LCMA_DATA", str(few_root))
    monkeypatch.setenv("COLUMNS", "100")

    def run(change: dict[str, Any], *options: str) -> tuple[int, str, str]:
        spec = {name: value for name, value in make_spec(change).items() if value is not None}
        Path("tuned.yaml").write_text(yaml.safe_dump(spec))
        return run_cli(capsys, "tune", "tuned.yaml", *options)

    return run
