"""A host hashes a set once, and again when a file has changed."""

import shutil
from pathlib import Path

import pytest

from lcma.harness.data import PreparedSet, load
from lcma.harness.data.verification import verify_once
from lcma.harness.files import CACHE_VARIABLE
from lcma.sweeps.errors import UserError
from tests.hostile.layouts import flip_bit
from tests.processes import race


@pytest.fixture(autouse=True)
def _empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))


@pytest.mark.parametrize("part", ["train", "holdout", "test", "train_groups"])
def test_a_byte_that_changes_later_is_found(prepared: PreparedSet, part: str) -> None:
    assert verify_once(prepared)
    path = prepared.folder / f"{part}.npy"
    flip_bit(path)
    for _ in range(2):
        with pytest.raises(UserError, match=f"{part}.npy is damaged .its bytes differ"):
            verify_once(prepared)
    flip_bit(path)
    assert verify_once(prepared), "repaired, but changed since the stamp"
    assert not verify_once(prepared)


def test_another_file_under_the_same_name_is_hashed(prepared: PreparedSet) -> None:
    """With the size and time of the hashed file, but another inode."""
    assert verify_once(prepared)
    path = prepared.folder / "test.npy"
    other = path.with_name("other.npy")
    shutil.copy2(path, other)
    flip_bit(other)
    shutil.copystat(path, other)
    other.replace(path)
    with pytest.raises(UserError, match=r"test\.npy is damaged"):
        verify_once(prepared)


def test_a_damaged_stamp_is_replaced(prepared: PreparedSet, tmp_path: Path) -> None:
    assert verify_once(prepared)
    (stamp,) = (tmp_path / "cache").glob("*.json")
    stamp.write_bytes(b"\xff{")
    assert [verify_once(prepared) for _ in range(2)] == [True, False]
    assert {path.suffix for path in (tmp_path / "cache").iterdir()} <= {".json", ".lock"}


def test_without_a_folder_for_stamps_every_call_hashes(
    prepared: PreparedSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv(CACHE_VARIABLE, str(blocked / "cache"))
    assert [verify_once(prepared) for _ in range(2)] == [True, True]
    flip_bit(prepared.folder / "test.npy")
    with pytest.raises(UserError):
        verify_once(prepared)


@pytest.mark.integration
def test_of_several_processes_at_once_one_hashes(prepared: PreparedSet, tmp_path: Path) -> None:
    def verify(index: int) -> None:
        hashed = verify_once(load("photos8", prepared.root))
        (tmp_path / f"verified {index}").write_text(str(hashed))

    race(3, verify)
    hashed = sorted((tmp_path / f"verified {index}").read_text() for index in range(3))
    assert hashed == ["False", "False", "True"]
