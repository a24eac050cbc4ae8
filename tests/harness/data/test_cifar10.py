"""The CIFAR-10 layout: what is read, and what is refused. No code in a pickle is run."""

import hashlib
import pickle
from pathlib import Path

import numpy as np
import pytest

from lcma.harness.data import load, prepare
from lcma.harness.data.cifar10 import OFFICIAL_MD5
from tests.harness.data.conftest import read_set_refusal, rewrite_batch
from tests.hostile.layouts import write_batches


@pytest.mark.parametrize("protocol", range(6))
def test_every_tenth_image_is_held_out(tmp_path: Path, protocol: int) -> None:
    source = write_batches(tmp_path / "source", protocol=protocol)
    prepared = prepare("cifar10", tmp_path / "root", source=source)
    files = [source / "cifar-10-batches-py" / f"data_batch_{k}" for k in range(1, 6)]
    rows = np.concatenate([pickle.loads(file.read_bytes())[b"data"] for file in files])
    images = rows.reshape(-1, 3, 32, 32)
    np.testing.assert_array_equal(prepared.part("holdout").images, images[9::10])
    rest = np.delete(images, np.s_[9::10], axis=0)
    np.testing.assert_array_equal(prepared.part("train").images, rest)


def test_batches_may_differ_in_length_and_order_in_memory(batches: Path, tmp_path: Path) -> None:
    rows = np.arange(4 * 3072).reshape(4, -1) % 251
    rewrite_batch(batches, "data_batch_2", data=rows.astype(np.uint8, order="F"), labels=[0] * 4)
    images = prepare("cifar10", tmp_path / "root", source=batches).part("train").images
    np.testing.assert_array_equal(images[12], rows[0].reshape(3, 32, 32))


def test_verdict_is_official_only_if_every_file_matches(
    batches: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for file in (batches / "cifar-10-batches-py").iterdir():
        monkeypatch.setitem(OFFICIAL_MD5, file.name, hashlib.md5(file.read_bytes()).hexdigest())
    prepared = prepare("cifar10", tmp_path / "a", source=batches)
    assert prepared.manifest.source.verdict == "official"
    (batches / "cifar-10-batches-py" / "batches.meta").unlink()
    prepared = prepare("cifar10", tmp_path / "b", source=batches)
    assert prepared.manifest.source.verdict == "subset or other (6 of 7 files match)"


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"data": None}, "no array under 'data'"),
        ({"data": np.zeros((13, 3072), np.int64)}, "an array of 'i8', not of uint8"),
        ({"data": np.zeros((13, 3071), np.uint8)}, "the shape (13, 3071), not (N, 3072)"),
        ({"data": np.zeros((0, 3072), np.uint8), "labels": []}, "the shape (0, 3072)"),
        ({"data": np.full((13, 3072), None, object)}, "an array of 'O8', not of uint8"),
        ({"labels": None}, "no list of 13 numbers under 'labels'"),
        ({"labels": [0] * 12}, "no list of 13 numbers under 'labels'"),
        ({"labels": [10] * 13}, "integers 0..9"),
        ({"labels": [True] * 13}, "integers 0..9"),
    ],
)
def test_wrong_content_is_refused(batches: Path, fields: dict[str, object], says: str) -> None:
    rewrite_batch(batches, "data_batch_4", **fields)
    message = read_set_refusal("cifar10", batches)
    assert says in message
    assert "data_batch_4" in message


@pytest.mark.parametrize("kept", [0, 1, 100, -1])
def test_truncated_batches_are_refused(batches: Path, kept: int) -> None:
    path = batches / "cifar-10-batches-py" / "test_batch"
    path.write_bytes(path.read_bytes()[:kept])
    message = read_set_refusal("cifar10", batches)
    assert str(path) in message
    assert ("is empty" if kept == 0 else "cut short") in message


def test_wrong_paths_are_refused(batches: Path, tmp_path: Path) -> None:
    file = batches / "cifar-10-batches-py" / "test_batch"
    assert "does not exist" in read_set_refusal("cifar10", tmp_path / "absent")
    assert "is a file" in read_set_refusal("cifar10", file)
    assert "--from PATH" in read_set_refusal("cifar10", None)
    file.unlink()
    assert "lacks test_batch" in read_set_refusal("cifar10", batches)


def test_the_folder_itself_is_accepted_and_its_place_does_not_matter(
    batches: Path, tmp_path: Path
) -> None:
    first = prepare("cifar10", tmp_path / "a", source=batches)
    moved = batches.rename(tmp_path / "elsewhere") / "cifar-10-batches-py"
    second = prepare("cifar10", tmp_path / "b", source=moved)
    assert first.manifest == second.manifest
    assert str(tmp_path) not in (second.folder / "manifest.json").read_text()
    assert prepare("cifar10", tmp_path / "a", source=moved) == first
    assert load("cifar10", tmp_path / "a") == first
