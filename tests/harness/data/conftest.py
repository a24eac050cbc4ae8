"""Small data sets in the official layouts, and the check that a refusal changes nothing."""

import hashlib
import pickle
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from lcma.harness.data import PreparedSet, load, prepare
from lcma.sweeps.errors import UserError
from tests.harness.cli.conftest import lcma as lcma
from tests.hostile.layouts import copy_layout, write_batches, write_layouts


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


@pytest.fixture
def batches(tmp_path: Path) -> Path:
    """A folder with synthetic CIFAR-10 batches."""
    return write_batches(tmp_path / "source")


@pytest.fixture(scope="session")
def photos8(tmp_path_factory: pytest.TempPathFactory) -> PreparedSet:
    """photos8, prepared once: copy it before changing it."""
    return prepare("photos8", tmp_path_factory.mktemp("photos"))


@pytest.fixture
def prepared(photos8: PreparedSet, tmp_path: Path) -> PreparedSet:
    """A copy of photos8, free to change."""
    shutil.copytree(photos8.root, tmp_path / "root")
    return load("photos8", tmp_path / "root")


def rewrite_batch(folder: Path, name: str, **fields: object) -> None:
    """Change fields of one CIFAR-10 batch; None removes a field."""
    path = folder / "cifar-10-batches-py" / name
    batch = pickle.loads(path.read_bytes())
    batch |= {key.encode(): value for key, value in fields.items()}
    kept = {key: value for key, value in batch.items() if value is not None}
    path.write_bytes(pickle.dumps(kept, 2))


def hash_files(root: Path) -> dict[str, str]:
    """Return the hash of each file below a root, and where there are folders."""
    if not root.is_dir():
        return {str(root): "missing" if not root.exists() else "file"}
    return {
        str(path.relative_to(root)): (
            hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
        )
        for path in sorted(root.rglob("*"))
    }


def read_refusal(
    root: Path, function: Callable[..., object], *arguments: object, **options: object
) -> str:
    """Call a function that must raise a UserError of one line and change nothing below a root.

    Return the line.
    """
    before = hash_files(root)
    with pytest.raises(UserError) as error:
        function(*arguments, **options)
    message = str(error.value)
    assert message
    assert "\n" not in message
    assert hash_files(root) == before
    return message


def read_set_refusal(name: str, source: Path | None, **options: object) -> str:
    """Prepare a set in a new place, which must be refused; return the line."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "root"
        return read_refusal(root, prepare, name, root, source=source, **options)
