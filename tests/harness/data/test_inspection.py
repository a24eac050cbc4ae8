"""Statistics and duplicates of a prepared set, held against NumPy on the whole of it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lcma.harness.data import PARTS, ByPart, Manifest, PartDigest, Prepared, load
from lcma.harness.data.build import NpyWriter
from lcma.harness.data.inspection import Duplicates, inspect_set
from lcma.harness.data.manifest import FILE_NAME, content_digest, to_json


@pytest.fixture
def put(tmp_path: Path, photos8: Prepared):
    """Puts arrays in place of the parts of photos8, with a manifest that fits them."""

    def put(**parts: np.ndarray[Any, Any]) -> Prepared:
        folder = tmp_path / "photos8"
        folder.mkdir()
        digests = {}
        for part, array in parts.items():
            with NpyWriter(folder / f"{part}.npy", array.dtype.name, array.shape[1:]) as writer:
                writer.append(array)
                writer.finish()
                digests[part] = PartDigest(images=writer.digest)
        array = parts["train"]
        shape: Any = tuple(map(int, array.shape[1:]))
        counts = ByPart[int](**{part: len(array) for part, array in parts.items()})
        fields = photos8.manifest.model_dump()
        fields |= {
            "shape": shape,
            "dtype": array.dtype.name,
            "counts": counts.model_dump(),
            "digests": {part: digest.model_dump() for part, digest in digests.items()},
            "digest": content_digest(
                shape, array.dtype.name, counts, ByPart[PartDigest](**digests)
            ),
            "groups": None,
        }
        manifest = Manifest.model_validate(json.loads(json.dumps(fields)))
        (folder / FILE_NAME).write_text(to_json(manifest))
        return load("photos8", tmp_path)

    return put


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("piece", [1, 1000, 2**24])
def test_numbers_are_those_of_the_whole_array(
    put, dtype: str, piece: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the size of the pieces in which it is read."""
    monkeypatch.setattr("lcma.harness.data.prepared._PIECE", piece)
    state = np.random.RandomState(0)
    parts = {
        part: (state.rand(n, 3, 8, 8) * (50, 256)[part == "test"]).astype(dtype)
        for part, n in zip(PARTS, (40, 11, 7), strict=True)
    }
    prepared = put(**parts)
    assert np.array_equal(np.concatenate(list(prepared.pieces("train"))), parts["train"])
    seen = []
    found = inspect_set(prepared, lambda part, done, total: seen.append((part, done, total)))
    for part, array in parts.items():
        for index, channel in enumerate(found.channels[part]):
            values = array[:, index].astype(np.float64)
            assert channel.mean == pytest.approx(values.mean(), rel=1e-12)
            assert (channel.low, channel.high) == (values.min(), values.max())
    assert seen[-1] == ("test", 58, 58)
    nothing = ByPart[int](train=0, holdout=0, test=0)
    assert found.duplicates == Duplicates(nothing, 0, 0, 0)


def test_copies_are_counted_inside_and_across_parts(put) -> None:
    state = np.random.RandomState(1)
    a, b, c, d, e = state.randint(0, 256, (5, 1, 8, 8)).astype(np.uint8)
    almost = a.copy()
    almost[0, 0, 0] ^= 1
    prepared = put(
        train=np.stack([a, b, a, a, c]),
        holdout=np.stack([d, almost]),
        test=np.stack([b, b, d, e, c]),
    )
    found = inspect_set(prepared).duplicates
    assert found == Duplicates(
        within=ByPart[int](train=2, holdout=0, test=1),
        train_holdout=0,
        train_test=3,
        holdout_test=1,
    )
