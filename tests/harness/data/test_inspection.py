"""Statistics and copies in a prepared set, compared with NumPy on the whole arrays."""

from pathlib import Path

import numpy as np
import pytest

from lcma.harness.data import PARTS
from lcma.harness.data.inspection import inspect_set
from tests.harness.data.test_bars import make_prepared_set


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("piece", [1, 1000, 2**24])
def test_numbers_are_those_of_the_whole_array(
    tmp_path: Path, dtype: str, piece: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For any size of the pieces."""
    monkeypatch.setattr("lcma.harness.data.prepared_set._PIECE_BYTES", piece)
    state = np.random.RandomState(0)
    parts = {
        part: (state.rand(n, 3, 8, 8) * (50, 256)[part == "test"]).astype(dtype)
        for part, n in zip(PARTS, (40, 11, 7), strict=True)
    }
    prepared = make_prepared_set(tmp_path, **parts)
    assert np.array_equal(np.concatenate(list(prepared.pieces("train"))), parts["train"])
    progress = []
    inspection = inspect_set(
        prepared, lambda part, done, total: progress.append((part, done, total))
    )
    for part, array in parts.items():
        for index, channel in enumerate(inspection.channels[part]):
            values = array[:, index].astype(np.float64)
            assert channel.mean == pytest.approx(values.mean(), rel=1e-12)
            assert (channel.low, channel.high) == (values.min(), values.max())
    assert progress[-1] == ("test", 58, 58)
    assert set(inspection.copies.values()) == {0}


def test_copies_are_counted_inside_and_across_parts(tmp_path: Path) -> None:
    state = np.random.RandomState(1)
    a, b, c, d, e = state.randint(0, 256, (5, 1, 8, 8)).astype(np.uint8)
    almost = a.copy()
    almost[0, 0, 0] ^= 1
    prepared = make_prepared_set(
        tmp_path,
        train=np.stack([a, b, a, a, c]),
        holdout=np.stack([d, almost]),
        test=np.stack([b, b, d, e, c]),
    )
    within = {"within_train": 2, "within_holdout": 0, "within_test": 1}
    between = {"train_holdout": 0, "train_test": 3, "holdout_test": 1}
    assert inspect_set(prepared).copies == within | between
