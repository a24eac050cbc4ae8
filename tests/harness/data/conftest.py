"""Small data sets in the official layouts, and the check that a refusal changes nothing."""

import hashlib
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lcma.harness.data import PreparedSet, prepare
from lcma.sweeps.errors import UserError
from tests.hostile.layouts import BATCHES, copy_layout, write_layouts


@pytest.fixture(scope="session")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of each layout, synthetic: copy it before changing it."""
    folder = tmp_path_factory.mktemp("layouts")
    write_layouts(folder / "sources")
    return folder / "sources"


@pytest.fixture
def npz(sources: Path, tmp_path: Path) -> Path:
    """A folder in the npz layout, 25 images a file."""
    return copy_layout(sources, "imagenet32", tmp_path)


@pytest.fixture(scope="session")
def make_batches() -> Callable[..., Path]:
    """Write synthetic batches: (folder, records a batch, seed, pickle protocol) -> folder."""

    def make(folder: Path, records: int = 13, seed: int = 0, protocol: int = 2) -> Path:
        rng = np.random.default_rng(seed)
        inner = folder / "cifar-10-batches-py"
        inner.mkdir(parents=True)
        for name in BATCHES:
            batch = {
                b"batch_label": name.encode(),
                b"labels": rng.integers(0, 10, records).tolist(),
                b"data": rng.integers(0, 256, (records, 3072), dtype=np.uint8),
                b"filenames": [b"%d.png" % i for i in range(records)],
            }
            (inner / name).write_bytes(pickle.dumps(batch, protocol))
        (inner / "batches.meta").write_bytes(pickle.dumps({"label_names": ["a"] * 10}, 2))
        return folder

    return make


@pytest.fixture
def batches(tmp_path: Path, make_batches: Callable[..., Path]) -> Path:
    """A folder with synthetic CIFAR-10 batches."""
    return make_batches(tmp_path / "source")


@pytest.fixture
def rewrite() -> Callable[..., None]:
    """Change fields of one batch; None removes a field."""

    def rewrite(folder: Path, name: str, **fields: object) -> None:
        path = folder / "cifar-10-batches-py" / name
        batch = pickle.loads(path.read_bytes())
        for key, value in fields.items():
            if value is None:
                del batch[key.encode()]
            else:
                batch[key.encode()] = value
        path.write_bytes(pickle.dumps(batch, 2))

    return rewrite


@pytest.fixture(scope="session")
def photos8(tmp_path_factory: pytest.TempPathFactory) -> PreparedSet:
    """photos8, prepared once: copy it before changing it."""
    return prepare("photos8", tmp_path_factory.mktemp("photos"))


def snapshot(root: Path) -> dict[str, str]:
    if not root.is_dir():
        return {str(root): "missing" if not root.exists() else "file"}
    return {
        str(path.relative_to(root)): (
            hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
        )
        for path in sorted(root.rglob("*"))
    }


@pytest.fixture
def refused() -> Callable[[Path, Callable[[], object]], str]:
    """Call it, expect a one-line UserError and an unchanged root, and return the message."""

    def refused(root: Path, call: Callable[[], object]) -> str:
        before = snapshot(root)
        with pytest.raises(UserError) as caught:
            call()
        message = str(caught.value)
        assert message
        assert "\n" not in message
        assert snapshot(root) == before
        return message

    return refused
