"""Opening prepared sets, and detecting changes in their files."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lcma.harness.data import PARTS, PreparedSet, load
from tests.harness.data.conftest import read_refusal
from tests.hostile.layouts import flip_bit

FILES = [f"{part}{kind}.npy" for part in PARTS for kind in ("", "_groups")]


def test_parts_are_read_only_memory_maps(photos8: PreparedSet) -> None:
    for name in PARTS:
        part = photos8.part(name)
        assert isinstance(part.images, np.memmap)
        assert not part.images.flags.writeable
        assert part.images.flags.c_contiguous
        assert part.images.dtype == np.uint8
        assert part.images.shape == (photos8.manifest.counts[name], 3, 8, 8)
        assert part.groups.dtype == np.int32
        assert part.groups.shape == part.images.shape[:1]
        np.testing.assert_array_equal(np.load(photos8.folder / f"{name}.npy"), part.images)


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("photos8", "lcma data prepare photos8"),
        ("cifar10-16", "lcma data prepare cifar10-16 --from PATH"),
    ],
)
def test_missing_sets_name_the_command(tmp_path: Path, name: str, command: str) -> None:
    for root in (tmp_path, tmp_path / "absent"):
        assert read_refusal(root, load, name, root).endswith(f"run: {command} --to {root}")


@pytest.mark.parametrize("file", FILES)
def test_a_flipped_byte_is_found_and_named(prepared: PreparedSet, file: str) -> None:
    path = prepared.folder / file
    flip_bit(path, (path.stat().st_size + 128) // 2)
    load("photos8", prepared.root)
    assert read_refusal(prepared.root, prepared.verify).startswith(f"{path} is damaged")


HEADERS = (b"{'descr': (", b"[" * 90, b'"""', b"9**9**9", b"\0")


@pytest.mark.parametrize("file", ["test.npy", "train_groups.npy"])
def test_a_cut_or_unreadable_file_is_found(prepared: PreparedSet, file: str) -> None:
    path = prepared.folder / file
    whole = path.read_bytes()
    cut = [whole[:kept] for kept in (0, 5, 127, -1)]
    for damaged in (*cut, *(whole[:10] + bad + whole[10 + len(bad) :] for bad in HEADERS)):
        path.write_bytes(damaged)
        message = read_refusal(prepared.root, load, "photos8", prepared.root)
        assert message.startswith(f"{path} is damaged")
        assert "lcma data prepare photos8" in message


def test_a_file_with_another_array_is_refused(prepared: PreparedSet) -> None:
    path = prepared.folder / "test.npy"
    images = np.load(path)
    others = (images[1:], images.astype(np.int16), images[:, :1], np.asfortranarray(images))
    for other in (*others, np.array([None])):
        np.save(path, other)
        assert str(path) in read_refusal(prepared.root, load, "photos8", prepared.root)
    np.save(path, images)
    with path.open("ab") as file:
        file.write(b"more")
    assert "longer than" in read_refusal(prepared.root, load, "photos8", prepared.root)
    path.unlink()
    assert "No such file" in read_refusal(prepared.root, load, "photos8", prepared.root)


def changed(field: str, value: object) -> Callable[[str], str]:
    return lambda text: json.dumps({**json.loads(text), field: value})


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (changed("counts", {"train": 1, "holdout": 1, "test": 1}), "was changed"),
        (changed("preprocessing", "none"), "was changed"),
        (changed("note", "hello"), "was changed"),
        (changed("seal", None), "was changed"),
        (changed("schema_version", 1), "schema 1"),
        (lambda text: text[:-20], "not JSON"),
        (lambda text: "[]", "not a manifest"),
        (lambda text: "[" * 100_000, "not JSON"),
        (lambda text: "", "not JSON"),
    ],
)
def test_an_edited_manifest_is_refused(
    prepared: PreparedSet, edit: Callable[[str], str], says: str
) -> None:
    path = prepared.folder / "manifest.json"
    path.write_text(edit(path.read_text()))
    message = read_refusal(prepared.root, load, "photos8", prepared.root)
    assert says in message
    assert str(path) in message


def test_a_missing_manifest_or_a_renamed_folder_is_refused(prepared: PreparedSet) -> None:
    prepared.folder.rename(prepared.root / "photos16")
    message = read_refusal(prepared.root, load, "photos16", prepared.root)
    assert "belongs to photos8, not photos16" in message
    (prepared.root / "photos16" / "manifest.json").unlink()
    assert "no manifest.json" in read_refusal(prepared.root, load, "photos16", prepared.root)
