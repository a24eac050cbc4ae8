"""Preparation: complete or not at all, never over other files, with several runs at once."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
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

Refused = Callable[[Path, Callable[[], object]], str]
MakeBatches = Callable[..., Path]


def python(script: str, *arguments: object) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_an_existing_set_is_returned_unchanged(tmp_path: Path, batches: Path) -> None:
    first = prepare("cifar10", tmp_path, source=batches)
    stamps = {path: path.stat().st_mtime_ns for path in first.folder.iterdir()}
    assert prepare("cifar10", tmp_path, source=batches) == first
    assert prepare("cifar10", tmp_path) == first
    assert {path: path.stat().st_mtime_ns for path in first.folder.iterdir()} == stamps


def test_other_content_is_never_overwritten(
    tmp_path: Path,
    batches: Path,
    make_batches: MakeBatches,
    refused: Refused,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    root = tmp_path / "root"
    prepare("cifar10", root, source=batches)
    other = make_batches(tmp_path / "other", seed=1)
    message = refused(root, lambda: prepare("cifar10", root, source=other))
    assert "use another root or remove the folder" in message
    monkeypatch.setattr("lcma.harness.data.cifar10._HOLDOUT_EVERY", 20)
    message = refused(root, lambda: prepare("cifar10", root, source=batches))
    assert "by other rules" in message


def test_a_foreign_folder_with_that_name_stays(
    tmp_path: Path, batches: Path, refused: Refused
) -> None:
    foreign = tmp_path / "root" / "cifar10"
    foreign.mkdir(parents=True)
    (foreign / "notes.txt").write_text("mine")
    root = foreign.parent
    message = refused(root, lambda: prepare("cifar10", root, source=batches))
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


KILLED = """
import os, signal, sys
from pathlib import Path
from lcma.harness.data import prepare
at = int(sys.argv[3])
prepare("cifar10", Path(sys.argv[1]), source=Path(sys.argv[2]),
        progress=lambda label, done, total: done == at and os.kill(os.getpid(), signal.SIGKILL))
"""


@pytest.mark.integration
@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_killed_runs_end_with_the_same_bits_as_an_undisturbed_run(
    tmp_path: Path, batches: Path, refused: Refused
) -> None:
    root = tmp_path / "root"
    for at in (1, 4, 6):
        killed = python(KILLED, root, batches, at)
        killed.communicate(timeout=60)
        assert killed.returncode == -signal.SIGKILL
        assert all(path.name.startswith(".") for path in root.iterdir())
        assert "is not prepared" in refused(root, lambda: load("cifar10", root))
    prepared = prepare("cifar10", root, source=batches)
    prepared.verify()
    assert prepared.manifest == prepare("cifar10", tmp_path / "alone", source=batches).manifest
    assert [path.name for path in root.iterdir()] == ["cifar10"]


WAITS = """
import sys
from pathlib import Path
from lcma.harness.data import prepare
from lcma.sweeps.errors import UserError
try:
    prepare("cifar10", Path(sys.argv[1]), source=Path(sys.argv[2]),
            waiting=lambda: print("waits", flush=True))
    print("made", flush=True)
except UserError as error:
    print(error)
"""


@pytest.mark.slow_on("0-made")
@pytest.mark.parametrize(("seed", "says"), [(0, "made"), (1, "other files or by other rules")])
def test_a_second_process_waits_for_the_first(
    tmp_path: Path, make_batches: MakeBatches, seed: int, says: str
) -> None:
    source = make_batches(tmp_path / "source")
    other = make_batches(tmp_path / "other", seed=seed)
    root = tmp_path / "root"
    runs: list[subprocess.Popen[str]] = []

    def second(label: str, done: int, total: int) -> None:
        if done == 3:
            runs.append(python(WAITS, root, other))
            assert runs[0].stdout is not None
            assert runs[0].stdout.readline() == "waits\n"

    first = prepare("cifar10", root, source=source, progress=second)
    out, err = runs[0].communicate(timeout=60)
    assert err == ""
    assert says in out
    assert load("cifar10", root) == first
    assert [path.name for path in root.iterdir()] == ["cifar10"]


FULL = """
import resource, signal, sys
from pathlib import Path
from lcma.harness.data import prepare
from lcma.sweeps.errors import UserError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
try:
    prepare("photos8", Path(sys.argv[1]))
except UserError as error:
    print(error)
"""


@pytest.mark.skipif(os.name != "posix", reason="limits of POSIX")
@pytest.mark.parametrize("limit", [pytest.param(0, marks=pytest.mark.slow), 50_000])
def test_no_room_leaves_earlier_sets_untouched(tmp_path: Path, batches: Path, limit: int) -> None:
    earlier = prepare("cifar10", tmp_path / "root", source=batches)
    run = python(FULL, tmp_path / "root", limit)
    out, err = run.communicate(timeout=60)
    assert err == ""
    assert out.startswith(f"cannot write in {tmp_path / 'root'} (File too large)")
    assert out.count("\n") == 1
    assert [path.name for path in (tmp_path / "root").iterdir()] == ["cifar10"]
    earlier.verify()


def test_a_root_that_cannot_be_written_is_named(
    tmp_path: Path, batches: Path, refused: Refused
) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    for root in (file, file / "below"):
        message = refused(tmp_path, partial(prepare, "cifar10", root, source=batches))
        assert message.startswith(f"cannot write in {root}")
    assert file.read_text() == "mine"


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
