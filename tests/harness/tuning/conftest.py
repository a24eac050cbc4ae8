"""Small studies, tuned in this process, and what they leave."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
import yaml
from optuna.storages._rdb import storage as of_optuna
from PIL import Image

from lcma import db
from lcma.harness import data
from lcma.harness.cli import main as cli
from lcma.harness.data.source import SourceOptions
from lcma.harness.launch.plan import preparable_sets
from lcma.harness.launch.policy import Limits
from lcma.harness.launch.workers import Workers
from lcma.harness.place import Place
from lcma.harness.tuning.study import Tuner, make_storage
from lcma.harness.tuning.target import StudyTarget, make_target
from lcma.sweeps import plugins
from lcma.sweeps import spec as specs
from tests.db.conftest import SqliteTemplates
from tests.harness.conftest import SMALL, merged
from tests.harness.launch.conftest import Inline, Told

TUNE: dict[str, Any] = {
    "name": "tuned",
    "matrix": {"dataset": "few", "factorization": "conventional", "budget": []},
    "recipe": {"training": {"steps": 4}},
    "tune": {"budget": {"low": 10, "high": 15}, "trials": 5},
}
POINTS = (0, 10, 15)
STEPS = 4
"""Of a training: what is tested is not how well it goes, and each step costs time."""

LEASE = 3.0
"""Seconds, and longer than it takes a launch to look twice."""

Typed = Callable[..., tuple[int, str, str]]
History = list[tuple[int, int, str, list[float] | None]]


@dataclass
class Tuning:
    """A study of a small spec at one place."""

    place: Place
    target: StudyTarget

    @cached_property
    def store(self) -> db.Store:
        """To look at what is there; a tuner has a store of its own."""
        return db.connect(self.place.db)

    def run(self) -> Told:
        """Tune until nothing is left, without Ray; what was shown."""
        with self.opened() as tuner:
            while asked := tuner.ask():
                tuner.run(asked)
        assert isinstance(tuner.display, Told)
        return tuner.display

    @contextmanager
    def opened(self, limits: Limits | None = None) -> Iterator[Tuner]:
        """A tuner whose launches run in this process."""
        resources = self.target.spec.resources.model_copy(update={"gpus": 0.0})
        workers = Workers(resources, 1, nullcontext, {"local": True})
        workers.executor, workers.store = Inline(), db.connect(self.place.db)
        with ExitStack() as stack:
            stack.push(workers)
            yield Tuner(
                self.target,
                self.place,
                workers.store,
                workers,
                Told(),
                limits=limits,
                lease_seconds=LEASE,
            )

    def elsewhere(self) -> "Tuning":
        """The same study at a new place beside this one."""
        folder = self.place.runs.parent / "elsewhere"
        folder.mkdir()
        return Tuning(
            Place(f"sqlite:///{folder / 'lcma.db'}", folder, self.place.data), self.target
        )

    def changed(self, change: dict[str, Any]) -> "Tuning":
        """The same place, the spec changed."""
        return make(self.place, change)

    @property
    def study(self) -> optuna.Study:
        """As anybody opens it with Optuna."""
        return optuna.load_study(
            study_name=self.target.spec.name, storage=make_storage(db.locate(self.place.db))
        )

    def history(self) -> History:
        """What the study tells of its trials."""
        return [(t.number, t.params["budget"], t.state.name, t.values) for t in self.study.trials]

    def steps(self, kind: str) -> int:
        """Training steps that all attempts at jobs of a kind have taken."""
        rows = self.store.database.query(
            "select sum(last_step - first_step) from attempts join jobs on jobs.id = job_id "
            f"where kind = '{kind}' and protocol is null",
            limit=1,
            timeout=10,
        ).rows
        return int(rows[0][0] or 0)

    def bits(self) -> dict[str, float]:
        """Of every result, by trial."""
        frame = self.store.view("results")
        return dict(zip(frame.trial_id, frame.bits_per_dim, strict=True))


def content(change: dict[str, Any] | None = None) -> dict[str, Any]:
    """Of the spec's file, changed as said."""
    return merged(merged(SMALL, TUNE), change or {})


def make(place: Place, change: dict[str, Any] | None = None) -> Tuning:
    data.register_own_sets(place.data)
    spec = specs.check(content(change), "test")
    return Tuning(place, make_target(spec, "test", preparable_sets(place)))


def tuned_in(folder: Path, few_root: Path, change: dict[str, Any] | None = None) -> Tuning:
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
    """Optuna executes the files of all its revisions three times for each new database, which was
    a sixth of what these tests take."""
    manager = of_optuna._VersionManager
    read, found = manager._create_alembic_script, list[Any]()

    def read_once(self: Any) -> Any:
        if not found:
            found.append(read(self))
        return found[0]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manager, "_create_alembic_script", read_once)
        yield


@pytest.fixture(scope="session")
def few_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root with `few` prepared: few images, so that all that is not training is short."""
    folder, root = tmp_path_factory.mktemp("images"), tmp_path_factory.mktemp("data")
    noise = np.random.default_rng(0)
    for number in range(80):
        pixels = noise.integers(0, 256, 3) + noise.normal(0, 9, (8, 8, 3)).cumsum(0).cumsum(1)
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / f"{number}.png")
    data.prepare("few", root, source=folder, options=SourceOptions(size=8))
    return root


@pytest.fixture
def place(tmp_path: Path, few_root: Path, sqlite_templates: SqliteTemplates) -> Place:
    """An empty database and an empty folder for runs, beside prepared data."""
    sqlite_templates.copy("empty", tmp_path).rename(tmp_path / "lcma.db")
    return Place(f"sqlite:///{tmp_path / 'lcma.db'}", tmp_path / "runs", few_root)


@pytest.fixture
def tuning(place: Place) -> Callable[..., Tuning]:
    """Makes a study, changed as said, in a SQLite file."""
    return lambda change=None: make(place, change)


@pytest.fixture(params=["sqlite", "postgresql"])
def on_each(request: pytest.FixtureRequest, place: Place) -> Callable[..., Tuning]:
    """The same on each supported engine."""
    if request.param == "postgresql":
        place = replace(place, db=str(request.getfixturevalue("current_postgres_url")))
    return lambda change=None: make(place, change)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder to type in."""
    made = tmp_path / "here"
    made.mkdir()
    return made


@pytest.fixture
def here(folder: Path, few_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To type in that folder, in this process, with the data prepared."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("LCMA_DATA", str(few_root))
    monkeypatch.setenv("COLUMNS", "100")


@pytest.fixture
def tune(here: None, capsys: pytest.CaptureFixture[str]) -> Typed:
    """Types the verb on a spec, changed as said; gives the exit code and what it printed."""

    def run(change: dict[str, Any], *options: str) -> tuple[int, str, str]:
        made = {name: value for name, value in content(change).items() if value is not None}
        Path("tuned.yaml").write_text(yaml.safe_dump(made))
        with pytest.raises(SystemExit) as ended:
            cli.main(["tune", "tuned.yaml", *options])
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return run
