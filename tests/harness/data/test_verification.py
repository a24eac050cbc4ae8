"""A host hashes a set once, and again as soon as a file is another one."""

import os
import shutil
from pathlib import Path

import pytest

from lcma.harness.data import PreparedSet, load
from lcma.harness.data.verification import verify_once
from lcma.harness.files import CACHE_VARIABLE
from lcma.sweeps.errors import UserError
from tests.processes import race


@pytest.fixture
def mine(photos8: PreparedSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PreparedSet:
    """A set of one's own to damage, on a host that remembers nothing."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    shutil.copytree(photos8.folder, tmp_path / "data" / "photos8")
    return load("photos8", tmp_path / "data")


def flip(path: Path, *, keep_times: bool = False) -> None:
    """Another last byte; the size stays."""
    status = path.stat()
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)
    if keep_times:
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_a_set_is_hashed_the_first_time_alone(mine: PreparedSet) -> None:
    assert [verify_once(mine) for _ in range(3)] == [True, False, False]


@pytest.mark.parametrize("part", ["train", "holdout", "test", "train_groups"])
def test_a_byte_that_changes_after_the_first_time_is_found(mine: PreparedSet, part: str) -> None:
    assert verify_once(mine)
    path = mine.folder / f"{part}.npy"
    flip(path)
    for _ in range(2):
        with pytest.raises(UserError, match=f"{part}.npy is damaged .its bytes differ"):
            verify_once(mine)
    flip(path)
    assert verify_once(mine), "mended, and another file than before"
    assert not verify_once(mine)


def test_another_file_under_the_same_name_is_hashed(mine: PreparedSet) -> None:
    """As large and as old, but not the one that was hashed."""
    assert verify_once(mine)
    path = mine.folder / "test.npy"
    other = path.with_name("other.npy")
    shutil.copy2(path, other)
    flip(other, keep_times=True)
    other.replace(path)
    with pytest.raises(UserError, match=r"test\.npy is damaged"):
        verify_once(mine)


def test_a_damaged_memory_costs_only_the_time_to_hash(mine: PreparedSet, tmp_path: Path) -> None:
    assert verify_once(mine)
    (stamp,) = (tmp_path / "cache").glob("*.json")
    stamp.write_bytes(b"\xff{")
    assert [verify_once(mine) for _ in range(2)] == [True, False]
    assert sorted(p.suffix for p in (tmp_path / "cache").iterdir()) in (
        [".json"],
        [".json", ".lock"],
    ), "nothing else is left"


def test_a_folder_that_cannot_be_written_is_no_hindrance(
    mine: PreparedSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv(CACHE_VARIABLE, str(blocked / "cache"))
    assert [verify_once(mine) for _ in range(2)] == [True, True]
    flip(mine.folder / "test.npy")
    with pytest.raises(UserError):
        verify_once(mine)


@pytest.mark.integration
def test_of_several_processes_at_once_one_hashes(mine: PreparedSet, tmp_path: Path) -> None:
    def verify(index: int) -> None:
        found = verify_once(load("photos8", mine.root))
        (tmp_path / f"said {index}").write_text(str(found))

    race(3, verify)
    said = sorted((tmp_path / f"said {index}").read_text() for index in range(3))
    assert said == ["False", "False", "True"]
