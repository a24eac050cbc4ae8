"""Prepared images and small sweeps for the tests of running."""

import copy
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import fsspec
import pytest

from lcma import db
from lcma.harness import data
from lcma.harness.data import packaged
from lcma.harness.launch.plan import make_plan, make_works, register_plan
from lcma.harness.place import Place
from lcma.harness.work.units import Work
from lcma.sweeps import spec as specs
from lcma.sweeps.settings import merge as merged
from tests.db.conftest import SqliteTemplates
from tests.db.conftest import current_postgres_url as current_postgres_url
from tests.db.conftest import filled_url as filled_url
from tests.db.conftest import new_place as new_place
from tests.db.conftest import new_store as new_store
from tests.db.conftest import new_url as new_url
from tests.db.conftest import postgres_templates as postgres_templates
from tests.db.conftest import sqlite_templates as sqlite_templates
from tests.harness.bucket import VARIABLE, BucketFileSystem

SMALL: dict[str, Any] = {
    "name": "small",
    "matrix": {
        "flow": "realnvp",
        "dataset": "photos8",
        "factorization": ["conventional", "low"],
        "budget": 10,
    },
    "recipe": {
        "model": {
            "splits": 1,
            "architecture": {
                "width": 4,
                "checkerboard_couplings": 1,
                "channel_couplings": 1,
                "last_couplings": 1,
            },
        },
        "optimization": {"batch": 8, "stacked": False},
        "training": {"steps": 20},
    },
}


@pytest.fixture
def small_sweep() -> dict[str, Any]:
    """The small sweep as parsed YAML, free to change."""
    return copy.deepcopy(SMALL)


@pytest.fixture(scope="session")
def photos_root(few_photos_root: Path) -> Path:
    """A root with photos8 prepared, of few images."""
    return few_photos_root


def prepare_few_photos(root: Path, nth: int) -> Path:
    """Prepare photos8 of few images: all work except training costs by the image.

    It has every n-th image of the test part, about as few of the holdout part, and as few of train
    as the bar with a full covariance takes.
    """
    with pytest.MonkeyPatch.context() as patch:
        whole = packaged.grid_corners
        patch.setattr(packaged, "grid_corners", lambda *size: whole(*size)[::nth])
        patch.setattr(packaged, "MAX_TRAIN", 160)
        patch.setattr(packaged, "MAX_HOLDOUT", 10)
        data.prepare("photos8", root)
    return root


@pytest.fixture(scope="session")
def few_photos_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root with photos8 prepared, of few images."""
    return prepare_few_photos(tmp_path_factory.mktemp("few"), 10)


@pytest.fixture
def place(tmp_path: Path, photos_root: Path, sqlite_templates: SqliteTemplates) -> Place:
    """An empty database and an empty folder for runs, beside prepared data."""
    sqlite_templates.copy("empty", tmp_path).rename(tmp_path / "lcma.db")
    return Place(f"sqlite:///{tmp_path / 'lcma.db'}", tmp_path / "runs", photos_root)


class LocalStore:
    """A folder of this machine as a place for files; `behind` is the folder that holds them."""

    def __init__(self, folder: Path) -> None:
        self.runs: Path | str = folder
        self.behind = folder

    def leftovers(self) -> list[Path]:
        """Return the files that killed writers have left."""
        return sorted(self.behind.rglob(".*.tmp"))


class Bucket:
    """An object store as a place for files. It can become unreachable."""

    def __init__(self, folder: Path) -> None:
        self.root = folder
        self.runs: Path | str = "bucket://runs/of/mine"
        self.behind = folder / "objects" / "runs" / "of" / "mine"
        (folder / "objects" / "runs").mkdir(parents=True)

    def leftovers(self) -> list[Path]:
        """Return the uploads that did not end."""
        return sorted(self.root.glob("uploads/*"))

    def off(self, message: str = "connection refused") -> None:
        (self.root / "away").write_text(message)

    def on(self) -> None:
        (self.root / "away").unlink()


@pytest.fixture
def bucket(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Bucket:
    """An object store that the test's process and its children see."""
    package = tmp_path_factory.mktemp("package")
    metadata = package / "bucket-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: bucket\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text(
        "[fsspec.specs]\nbucket = tests.harness.bucket.BucketFileSystem\n"
    )
    paths = [str(package), str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
    monkeypatch.syspath_prepend(str(package))
    monkeypatch.setenv(VARIABLE, str(tmp_path / "bucket"))
    fsspec.register_implementation("bucket", BucketFileSystem, clobber=True)
    BucketFileSystem.listings.clear()
    return Bucket(tmp_path / "bucket")


@pytest.fixture(params=["local", "bucket"])
def files(request: pytest.FixtureRequest, tmp_path: Path) -> LocalStore | Bucket:
    """An empty place of each kind for checkpoints and weights."""
    if request.param == "local":
        return LocalStore(tmp_path / "runs")
    return request.getfixturevalue("bucket")


def register(
    place: Place,
    change: dict[str, Any] | None = None,
    owner: str = "a launch",
    base: dict[str, Any] = SMALL,
) -> tuple[db.Store, list[Work]]:
    """Register the small sweep with changes; return its store and its works."""
    store = db.connect(place.db)
    spec = specs.check(merged(base, change or {}), "test", Path(place.runs).parent)
    plan = make_plan(spec, place, store)
    register_plan(plan, place, store)
    return store, make_works(plan, place, owner=owner, device="cpu")


@pytest.fixture
def registered(place: Place) -> Callable[..., tuple[db.Store, list[Work]]]:
    """A function that registers the small sweep with changes, for this process."""
    return partial(register, place, owner=f"test:{os.getpid()}")
