"""Preparation: complete or not at all, never over other files, with several runs at once."""

import os
import resource
import signal
from fractions import Fraction
from functools import partial
from pathlib import Path

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcma.harness.data import load, prepare
from lcma.harness.data.preparation import box_filter
from lcma.sweeps.errors import UserError
from tests.faults.moments import in_child
from tests.harness.data.conftest import read_refusal
from tests.hostile.layouts import write_batches
from tests.processes import FORK


def test_an_existing_set_is_returned_unchanged(tmp_path: Path, batches: Path) -> None:
    first = prepare("cifar10", tmp_path, source=batches)
    stamps = {path: path.stat().st_mtime_ns for path in first.folder.iterdir()}
    assert prepare("cifar10", tmp_path, source=batches) == first
    assert prepare("cifar10", tmp_path) == first
    assert {path: path.stat().st_mtime_ns for path in first.folder.iterdir()} == stamps


def test_other_content_is_never_overwritten(
    tmp_path: Path, batches: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "root"
    prepare("cifar10", root, source=batches)
    other = write_batches(tmp_path / "other", seed=1)
    message = read_refusal(root, prepare, "cifar10", root, source=other)
    assert "use another root or remove the folder" in message
    monkeypatch.setattr("lcma.harness.data.cifar10._HOLDOUT_EVERY", 20)
    assert "by other rules" in read_refusal(root, prepare, "cifar10", root, source=batches)


def test_a_foreign_folder_with_that_name_stays(tmp_path: Path, batches: Path) -> None:
    foreign = tmp_path / "root" / "cifar10"
    foreign.mkdir(parents=True)
    (foreign / "notes.txt").write_text("mine")
    message = read_refusal(tmp_path, prepare, "cifar10", foreign.parent, source=batches)
    assert "is not a prepared data set" in message


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_an_interrupted_run_leaves_nothing(
    tmp_path: Path, batches: Path, error: type[BaseException]
) -> None:
    root = tmp_path / "root"

    def interrupt(label: str, done: int, total: int) -> None:
        if done == 3:
            raise error

    with pytest.raises(error):
        prepare("cifar10", root, source=batches, progress=interrupt)
    assert not root.exists()


@pytest.mark.integration
def test_killed_runs_end_with_the_same_bits_as_an_undisturbed_run(
    tmp_path: Path, batches: Path
) -> None:
    root = tmp_path / "root"
    for step in (1, 4, 6):

        def kill(label: str, done: int, total: int, step: int = step) -> None:
            if done == step:
                os.kill(os.getpid(), signal.SIGKILL)

        run = partial(prepare, "cifar10", root, source=batches, progress=kill)
        assert in_child(run) == signal.SIGKILL
        assert all(path.name.startswith(".") for path in root.iterdir())
        assert "is not prepared" in read_refusal(root, load, "cifar10", root)
    prepared = prepare("cifar10", root, source=batches)
    prepared.verify()
    assert prepared.manifest == prepare("cifar10", tmp_path / "alone", source=batches).manifest
    assert [path.name for path in root.iterdir()] == ["cifar10"]


@pytest.mark.parametrize(
    ("seed", "message"), [(0, "prepared"), (1, "other files or by other rules")]
)
def test_a_second_process_waits_for_the_first(tmp_path: Path, seed: int, message: str) -> None:
    source = write_batches(tmp_path / "source")
    other = write_batches(tmp_path / "other", seed=seed)
    root = tmp_path / "root"
    receiver, sender = FORK.Pipe(duplex=False)

    def prepare_too() -> None:
        try:
            prepare("cifar10", root, source=other, waiting=lambda: sender.send("waits"))
            sender.send("prepared")
        except UserError as error:
            sender.send(str(error))

    second = FORK.Process(target=prepare_too)

    def start_second(label: str, done: int, total: int) -> None:
        if done == 3:
            second.start()
            assert receiver.recv() == "waits"

    first = prepare("cifar10", root, source=source, progress=start_second)
    assert message in receiver.recv()
    second.join()
    assert load("cifar10", root) == first
    assert [path.name for path in root.iterdir()] == ["cifar10"]


@pytest.mark.parametrize("limit", [0, 50_000])
def test_no_room_leaves_earlier_sets_untouched(tmp_path: Path, batches: Path, limit: int) -> None:
    root = tmp_path / "root"
    earlier = prepare("cifar10", root, source=batches)

    def prepare_without_room() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        message = read_refusal(root, prepare, "photos8", root)
        assert message.startswith(f"cannot write in {root} (File too large)")

    assert in_child(prepare_without_room) == 0
    earlier.verify()


def test_a_root_that_cannot_be_written_is_named(tmp_path: Path, batches: Path) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    for root in (file, file / "below"):
        message = read_refusal(tmp_path, prepare, "cifar10", root, source=batches)
        assert message.startswith(f"cannot write in {root}")


@given(
    factor=st.sampled_from([2, 4]),
    images=hnp.arrays(np.uint8, (1, 2, 4, 8), elements=st.integers(0, 255)),
)
def test_a_box_filter_gives_means_with_halves_to_even(factor: int, images: np.ndarray) -> None:
    filtered = box_filter(images, factor)
    assert filtered.dtype == np.uint8
    assert filtered.shape == (1, 2, 4 // factor, 8 // factor)
    for (n, c, h, w), value in np.ndenumerate(filtered):
        window = images[n, c, h * factor : (h + 1) * factor, w * factor : (w + 1) * factor]
        # round() of a Fraction rounds halves to even.
        assert value == round(Fraction(int(window.sum(dtype=np.int64)), factor**2))
