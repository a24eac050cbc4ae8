"""Checkpoints are complete or absent, whatever kills their writer."""

import hashlib
import io
import os
import resource
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from lcma.harness import storage
from lcma.harness.storage import LocalFolder, StorageError, UnreachableError
from lcma.harness.train.checkpoint import CheckpointFolder
from tests.faults.moments import in_child
from tests.harness.bucket import BucketFileSystem
from tests.hostile.layouts import code_pickle


def make_state(step: int) -> dict[str, Any]:
    return {"step": step, "w": torch.arange(1000.0) + step, "inner": {"betas": (0.9, 0.99)}}


@pytest.fixture
def folder(files) -> CheckpointFolder:
    """The checkpoints of a run, in a place of each kind."""
    return CheckpointFolder(storage.open_folder(files.runs).subfolder("run"))


@pytest.fixture
def behind(files) -> Path:
    """The folder of this machine that holds its files."""
    return files.behind / "run"


def list_steps(folder: CheckpointFolder) -> list[int]:
    return [checkpoint.step for checkpoint in folder.list()]


def load_newest(folder: CheckpointFolder, at_most: int = 10**9) -> int | None:
    """Load the newest checkpoint, check its content, and return its step."""
    checkpoint = folder.load(at_most=at_most)
    if checkpoint is None:
        return None
    step, state = checkpoint
    torch.testing.assert_close(state, make_state(step), rtol=0, atol=0)
    return step


def test_a_missing_folder_holds_nothing(folder: CheckpointFolder) -> None:
    assert folder.list() == []
    assert load_newest(folder) is None
    folder.clear()


def test_the_two_newest_and_the_kept_ones_stay(folder: CheckpointFolder) -> None:
    for step in (10, 20, 30, 40, 50):
        name = folder.save(step, make_state(step), keep=step in (20, 30)).name
        assert name in {checkpoint.name for checkpoint in folder.list()}
    kept = [(checkpoint.step, checkpoint.kept) for checkpoint in folder.list()]
    assert kept == [(20, True), (30, True), (40, False), (50, False)]
    assert load_newest(folder) == 50
    assert load_newest(folder, 49) == 40
    assert load_newest(folder, 30) == 30
    assert load_newest(folder, 19) is None
    folder.clear()
    assert folder.list() == []


def test_the_name_has_the_digest_and_saving_again_changes_nothing(
    folder: CheckpointFolder, behind: Path
) -> None:
    checkpoint = folder.save(70, make_state(70))
    digest = hashlib.sha256((behind / checkpoint.name).read_bytes()).hexdigest()[:16]
    assert checkpoint.name == f"step-000000070.{digest}.pt"
    assert folder.save(70, make_state(70)) == checkpoint
    assert [listed.digest for listed in folder.list()] == [digest]


@pytest.mark.parametrize("share", [0.0, 0.5, 0.999])
def test_a_damaged_checkpoint_is_skipped(
    folder: CheckpointFolder, behind: Path, share: float
) -> None:
    folder.save(10, make_state(10))
    path = behind / folder.save(20, make_state(20)).name
    content = path.read_bytes()
    position = int(share * len(content))
    flipped = content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :]
    for damaged in (content[:position], flipped):
        path.write_bytes(damaged)
        assert load_newest(folder) == 10
    (behind / folder.list()[0].name).write_bytes(b"")
    assert load_newest(folder) is None


def test_other_files_are_ignored(folder: CheckpointFolder, behind: Path) -> None:
    path = behind / folder.save(10, make_state(10)).name
    others = [
        "weights.safetensors",
        ".77.20.tmp",
        "step-20.pt",
        f"{path.name}.tmp",
        f"x{path.name}",
    ]
    for name in others:
        (behind / name).write_bytes(path.read_bytes())
    assert list_steps(folder) == [10]
    folder.save(30, make_state(30))
    folder.save(40, make_state(40))
    assert all((behind / name).exists() for name in others)


def test_a_checkpoint_below_the_newest_is_kept(folder: CheckpointFolder) -> None:
    """A short run during or after a longer run of the same training."""
    for step in (800, 900, 300, 400, 500):
        folder.save(step, {"step": step})
    assert list_steps(folder) == [400, 500, 800, 900]


def test_a_checkpoint_of_another_format_is_skipped(
    folder: CheckpointFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.save(5, {"step": 5})
    monkeypatch.setattr("lcma.harness.train.checkpoint.FORMAT", 0)
    newer = folder.save(10, {"step": 10}).name
    monkeypatch.undo()
    assert folder.load(at_most=10) == (5, {"step": 5})
    assert folder.skipped == [newer]


@pytest.mark.parametrize("killed", [True, False], ids=["killed", "failed"])
def test_an_interrupted_save_leaves_nothing_that_looks_finished(
    folder: CheckpointFolder, files, killed: bool
) -> None:
    """The kernel kills the writer, or the write fails as on a full disk."""
    folder.save(10, make_state(10))

    def save() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL if killed else signal.SIG_IGN)
        with pytest.raises(StorageError, match=r"^cannot write in .* \(File too large\).*: "):
            folder.save(20, {"step": 20, "w": torch.zeros(100_000)})

    assert os.waitstatus_to_exitcode(in_child(save)) == (-signal.SIGXFSZ if killed else 0)
    assert list_steps(folder) == [10]
    assert load_newest(folder) == 10
    if isinstance(files.runs, Path):
        assert len(files.leftovers()) == killed, "a write that fails removes its file"
    folder.clear()
    assert files.leftovers() == []


def save_content(content: object) -> bytes:
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


@pytest.mark.parametrize(
    "raw",
    [
        *map(save_content, ([1, 2], 5, torch.zeros(2), {"format": None})),
        *(b"", b"hello" * 100, b"a" * 512, b"\x80\x02X\x01\0\0\0\xff."),
    ],
    ids=["list", "number", "tensor", "format", "empty", "text", "letters", "no-utf8"],
)
def test_another_file_under_the_name_of_a_checkpoint_is_skipped(
    folder: CheckpointFolder, behind: Path, raw: bytes
) -> None:
    """Even if its name has the right digest. The checkpoint before it is used."""
    folder.save(5, {"step": 5})
    name = plant(behind, raw)
    assert folder.load(at_most=10) == (5, {"step": 5})
    assert folder.skipped == [name]


def plant(behind: Path, raw: bytes) -> str:
    """Write a file under the name of a checkpoint of step 10; return the name."""
    name = f"step-000000010.{hashlib.sha256(raw).hexdigest()[:16]}.pt"
    (behind / name).write_bytes(raw)
    return name


def test_a_hostile_pickle_does_not_run(
    folder: CheckpointFolder, behind: Path, tmp_path: Path
) -> None:
    folder.save(5, {"step": 5})
    trap = tmp_path / "trap"
    plant(behind, code_pickle(trap))
    assert folder.load(at_most=10) == (5, {"step": 5})
    assert not trap.exists()


LOCAL = [(os, "fsync", "old", "old"), (Path, "rename", "old", "new")]
LOCAL += [(LocalFolder, "remove", "new", "new")]
REMOTE = [(BucketFileSystem, "put_file", "old", "new"), (BucketFileSystem, "rm_file", "new", "new")]


@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_at_any_moment_a_save_leaves_the_new_one_or_the_old(
    folder: CheckpointFolder, files, when: str
) -> None:
    for step in (10, 20):
        folder.save(step, make_state(step))
    for owner, name, before, after in LOCAL if isinstance(files.runs, Path) else REMOTE:
        step += 10
        old = load_newest(folder)

        def save_and_die(owner: Any = owner, name: str = name, step: int = step) -> None:
            real = getattr(owner, name)

            def call(*arguments: Any, **options: Any) -> None:
                if when == "after":
                    real(*arguments, **options)
                os.kill(os.getpid(), signal.SIGKILL)

            setattr(owner, name, call)
            folder.save(step, make_state(step))

        assert in_child(save_and_die) == signal.SIGKILL
        remaining = before if when == "before" else after
        assert load_newest(folder) == (step if remaining == "new" else old), name
        assert folder.skipped == []


def test_an_upload_that_is_killed_leaves_nothing_that_looks_finished(
    bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither in the bucket nor on the host's disk."""
    folder = CheckpointFolder(storage.open_folder(bucket.runs).subfolder("run"))
    folder.save(10, make_state(10))
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))

    def die(self: BucketFileSystem) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def upload() -> None:
        monkeypatch.setattr(BucketFileSystem, "_reach", die)  # only in the child
        folder.save(20, make_state(20))

    assert in_child(upload) == signal.SIGKILL
    assert len(bucket.leftovers()) == 1
    assert list_steps(folder) == [10]
    assert load_newest(folder) == 10
    assert list(temporary.iterdir()) == []


def test_an_unreachable_store_is_no_damage(bucket) -> None:
    """A checkpoint that cannot be read now is not skipped."""
    folder = CheckpointFolder(storage.open_folder(bucket.runs).subfolder("run"))
    folder.save(10, make_state(10))
    bucket.off()
    with pytest.raises(UnreachableError, match=r"cannot read bucket://runs/of/mine/run .*refused"):
        folder.load(at_most=10)
    with pytest.raises(UnreachableError):
        folder.save(20, make_state(20))
    bucket.on()
    assert load_newest(folder) == 10
    folder.save(20, make_state(20))
    assert load_newest(folder) == 20


def test_an_error_of_the_state_is_not_one_of_the_place(folder: CheckpointFolder) -> None:
    with pytest.raises(Exception, match=r"pickle|local object") as error:
        folder.save(10, {"step": lambda: 10})
    assert not isinstance(error.value, StorageError)
    assert folder.folder.files() == []


def test_a_folder_removed_before_its_first_file_is_created_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`lcma clean` removes empty folders."""
    folder, make, removed = LocalFolder(tmp_path / "run"), Path.mkdir, []

    def mkdir(path: Path, *arguments: Any, **options: Any) -> None:
        make(path, *arguments, **options)
        if not removed:
            folder.remove_if_empty()
            removed.append(path)

    monkeypatch.setattr(Path, "mkdir", mkdir)
    folder.put(lambda file: file.write(b"x"), lambda digest: "file")
    assert removed == [folder.path]
    assert folder.read("file") == b"x"
