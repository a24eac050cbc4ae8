"""Valid inputs of every kind, made once: a case changes a copy of them."""

import io
import pickle
import shutil
import sqlite3
import tarfile
import zipfile
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

from lcma import db
from lcma.harness.place import Place
from lcma.harness.run.plan import Node, make_nodes, make_plan, register_plan
from lcma.harness.run.worker import run_work
from lcma.sweeps import spec as specs
from tests.db import crowd
from tests.harness.conftest import SMALL, few_photos, merged

RULE = """\
import numpy as np
import lcma

@lcma.factorization("stripes")
def stripes(shape, split, seed, values):
    stays = np.zeros(shape, dtype=bool)
    stays[:, 0::2] = True
    return stays

@lcma.measure("brightness", unit="levels", direction="lower", meaning="mean of the images")
def brightness(flow, images, seed):
    return float(images.float().mean())
"""

TRAINED: dict[str, Any] = merged(
    SMALL, {"matrix": {"budget": [10, 20]}, "keep": {"checkpoints": "last", "snapshots": "all"}}
)

SPEC: dict[str, Any] = merged(
    SMALL,
    {
        "description": "a sweep with every key",
        "plugins": ["rule.py"],
        "matrix": {
            "flow": ["realnvp"],
            "dataset": ["photos8"],
            "factorization": ["conventional", "low", "stripes"],
            "budget": [10],
            "recipe": [{"training": {"steps": 20}}, {"training": {"steps": 30}}],
        },
        "profile": "tiny",
        "seeds": [0, 1],
        "recipe": {
            "model": {"preprocess": "logit"},
            "optimization": {
                "optimizer": "adam",
                "learning_rate": 0.001,
                "betas": [0.9, 0.999],
                "l2": 0.0001,
                "clip": 100.0,
                "warmup": 2,
                "flips": True,
                "shift": 1,
                "shift_fill": "edge",
                "threads": 1,
                "autocast": "none",
                "compile": False,
            },
            "training": {"ema": 0.9, "select": "best", "holdout_every": 10},
            "maps": {
                "score": "cumulative",
                "nms": "squeezed",
                "order": "raster",
                "masks": "same",
                "conv1x1": "output",
            },
        },
        "exclude": [
            {"flow": "realnvp", "dataset": "photos8", "factorization": "stripes", "seed": [1]},
            {"factorization": "low", "budget": 10, "seed": 1},
        ],
        "resources": {
            "gpus": 0,
            "cpus": 1,
            "memory_gb": 1,
            "hours": 1,
            "parallel": 1,
            "max_device_hours": 9,
        },
        "failures": {
            "oom": 1,
            "timeout": 1,
            "code_error": 0,
            "diverged": 0,
            "preempted": "always",
            "node_lost": "always",
        },
        "keep": {"checkpoints": "none", "weights": True, "snapshots": "longest"},
        "tune": {
            "budget": {"low": 10, "high": 100},
            "factorization": "low",
            "seeds": [0],
            "trials": 2,
            "cost_hours": 1,
            "parallel": 1,
            "measure": "bits_per_dim",
            "objective": "weighted",
            "cost_weight": 0.1,
            "cost": "images",
            "sampler": "tpe",
            "stop": {"rungs": [10], "pruner": "median", "startup": 3, "reduction": 2},
        },
    },
)
"""A sweep with every key."""

BATCHES = (*(f"data_batch_{k}" for k in range(1, 6)), "test_batch")
NPZ = (*(f"train_data_batch_{k}.npz" for k in range(1, 11)), "val_data.npz")


class Templates:
    """A folder with the inputs.

    ``place`` has small.yaml, spec.yaml, lcma.db, crowd.db, runs and data. ``sources`` has images
    and the layouts of the official data sets.
    """

    def __init__(self, folder: Path) -> None:
        self.place, self.sources = folder / "place", folder / "sources"
        self.place.mkdir()
        _write_sources(self.sources)
        few_photos(self.place / "data", 30)
        (self.place / "rule.py").write_text(RULE)
        for name, content in (("small", TRAINED), ("spec", SPEC)):
            (self.place / f"{name}.yaml").write_text(yaml.safe_dump(content))
        made = folder / "made"
        made.mkdir()
        crowd.fill(db.connect(f"sqlite:///{made / 'crowd.db'}"))
        _train(Place(f"sqlite:///{made / 'lcma.db'}", self.place / "runs", self.place / "data"))
        for file in ("lcma.db", "crowd.db"):
            with closing(sqlite3.connect(made / file)) as connection:
                connection.execute("VACUUM INTO ?", (str(self.place / file),))
        with closing(sqlite3.connect(self.place / "lcma.db")) as connection:
            self.trials = [row[0] for row in connection.execute("SELECT trial_id FROM results")]

    def copy_place(self, folder: Path) -> None:
        """Put all but the sources into a folder."""
        shutil.copytree(self.place, folder, dirs_exist_ok=True)

    def copy_source(self, name: str, folder: Path) -> Path:
        """Put one of the sources into a folder, and return its path."""
        return Path(shutil.copytree(self.sources / name, folder / name))


def plan_nodes(place: Place) -> list[Node]:
    """Return the jobs of the trained sweep at a place."""
    store = db.connect(place.db)
    plan = make_plan(specs.check(TRAINED, "fuzzing"), place, store)
    register_plan(plan, place, store)
    return make_nodes(plan, place, owner="fuzzing:1", device="cpu")


def is_left(node: Node) -> bool:
    """Return whether a job is the one that the templates leave to be run from a checkpoint."""
    return node.work.job.budget == 20 and node.work.trial is None


def _train(place: Place) -> None:
    done: dict[str, Any] = {}
    for node in plan_nodes(place):
        if not is_left(node) and (node.after is None or node.after in done):
            done[node.work.job_id] = run_work(node.work, done.get(node.after or ""))
    assert [report.ending for report in done.values()] == ["done"] * 3


def _write_sources(folder: Path) -> None:
    random = np.random.default_rng(0)

    def pixels(*shape: int) -> Any:
        return random.integers(0, 256, shape, dtype=np.uint8)

    _write_images(folder / "images", ((f"{k}.{e}", pixels(9, 8, 3)) for k, e in _endings(60)))
    batches = folder / "cifar10" / "cifar-10-batches-py"
    batches.mkdir(parents=True)
    for name in BATCHES:
        labels = random.integers(0, 10, 13).tolist()
        batch = {b"labels": labels, b"data": pixels(13, 3072), b"batch_label": name.encode()}
        (batches / name).write_bytes(pickle.dumps(batch, 2))
    (folder / "cifar10-tar").mkdir()
    with tarfile.open(folder / "cifar10-tar" / "cifar.tar.gz", "w:gz") as archive:
        archive.add(batches, batches.name)
    (folder / "imagenet32").mkdir()
    for name in NPZ:
        labels = random.integers(1, 1001, 5)
        np.savez(folder / "imagenet32" / name, data=pixels(5, 3072), labels=labels)
    for part, count in (("train", 60), ("valid", 7)):
        images = ((f"{k}.png", pixels(32, 32, 3)) for k in range(count))
        _write_images(folder / "imagenet32-png" / f"{part}_32x32", images)
    faces = [f"{k:06d}.jpg" for k in range(1, 9)]
    listed = "".join(f"{name} {k % 3}\r\n" for k, name in enumerate(faces))
    for layout in ("celeba64", "celeba64-zip"):
        at = folder / layout
        _write_images(at / "img_align_celeba", ((name, pixels(218, 178, 3)) for name in faces))
        (at / "list_eval_partition.txt").write_bytes(listed.encode())
    with zipfile.ZipFile(at / "img_align_celeba.zip", "w") as packed:
        for name in faces:
            packed.write(at / "img_align_celeba" / name, f"img_align_celeba/{name}")
    shutil.rmtree(at / "img_align_celeba")


def _endings(count: int) -> Iterable[tuple[int, str]]:
    kinds = ("png", "jpg", "webp", "bmp", "tif", "ppm", "gif")
    return ((k, kinds[k % len(kinds)]) for k in range(count))


def _write_images(folder: Path, images: Iterable[tuple[str, Any]]) -> None:
    folder.mkdir(parents=True)
    for name, pixels in images:
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, Image.registered_extensions()[Path(name).suffix])
        (folder / name).write_bytes(file.getvalue())
