"""CIFAR-10 in the pickles of its official python version, whole or with fewer records."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Final

import numpy as np
import numpy.typing as npt

from harness.data import safe_pickle
from harness.data.manifest import SourceFile, SourceRecord
from harness.data.source import Chunk, Opened, Step, read_bytes, sha256, unchanged
from sweeps.errors import UserError

_FOLDER: Final = "cifar-10-batches-py"
_TRAIN: Final = tuple(f"data_batch_{k}" for k in range(1, 6))
_TEST: Final = "test_batch"
_META: Final = "batches.meta"
OFFICIAL_MD5: Final = {
    "data_batch_1": "c99cafc152244af753f735de768cd75f",
    "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    "data_batch_4": "634d18415352ddfa80567beed471001a",
    "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    "test_batch": "40351d587109b95175f43aff81a1287e",
    "batches.meta": "5ff9c542aee3614f3951f8cda6e48888",
}
# Twice the size of an official batch.
_LIMIT: Final = 62 * 10**6
_SHAPE: Final = (3, 32, 32)
_HOLDOUT_EVERY: Final = 10


class Cifar10:
    """The source of the CIFAR-10 sets: a folder cifar-10-batches-py, or the one above it."""

    needs_path: ClassVar[bool] = True

    def open(self, path: Path | None) -> Opened:
        """Find and hash the batches. Raises UserError where the path or a batch is missing."""
        if path is None:
            raise UserError(f"CIFAR-10 needs the folder {_FOLDER}: add --from PATH")
        folder = _locate(path)
        digests: dict[str, str] = {}
        official = 0
        for name in (*_TRAIN, _TEST, _META):
            if name == _META and not (folder / name).exists():
                continue
            raw = read_bytes(folder / name, _LIMIT)
            digests[name] = sha256(raw)
            official += hashlib.md5(raw, usedforsecurity=False).hexdigest() == OFFICIAL_MD5[name]
        everything = len(OFFICIAL_MD5)
        return Opened(
            record=SourceRecord(
                layout=f"{_FOLDER} pickles",
                package=None,
                reader="restricted unpickler",
                files=tuple(SourceFile(name=n, sha256=digest) for n, digest in digests.items()),
                verdict=(
                    "official"
                    if official == everything
                    else f"subset or other ({official} of {everything} files match)"
                ),
            ),
            shape=_SHAPE,
            dtype="uint8",
            groups=None,
            preprocessing="pixels as stored",
            holdout_rule=(
                f"training image i, counted from 0 over the batches in order, is held out where "
                f"i mod {_HOLDOUT_EVERY} = {_HOLDOUT_EVERY - 1}"
            ),
            n_steps=len(_TRAIN) + 1,
            steps=lambda: _steps(folder, digests),
        )


def _locate(path: Path) -> Path:
    if not path.exists():
        raise UserError(f"{path} does not exist: give the folder {_FOLDER} with --from PATH")
    if not path.is_dir():
        raise UserError(
            f"{path} is a file: unpack the archive and give the folder {_FOLDER} with --from PATH"
        )
    inner = path / _FOLDER
    folder = inner if inner.is_dir() else path
    missing = [name for name in (*_TRAIN, _TEST) if not (folder / name).is_file()]
    if missing:
        raise UserError(
            f"{folder} lacks {', '.join(missing)}: give the folder {_FOLDER} with --from PATH"
        )
    return folder


def _steps(folder: Path, digests: dict[str, str]) -> Iterator[Step]:
    before = 0
    for name in _TRAIN:
        images = _batch(folder / name, digests[name])
        index = before + np.arange(len(images))
        held_out = index % _HOLDOUT_EVERY == _HOLDOUT_EVERY - 1
        before += len(images)
        chunks = (Chunk("train", images[~held_out]), Chunk("holdout", images[held_out]))
        yield Step(name, chunks)
    yield Step(_TEST, (Chunk("test", _batch(folder / _TEST, digests[_TEST])),))


def _batch(path: Path, digest: str) -> npt.NDArray[np.uint8]:
    """Images of one batch, N x 3 x 32 x 32."""
    fields = _fields(path, unchanged(path, read_bytes(path, _LIMIT), digest))
    data, labels = fields.get("data"), fields.get("labels")
    remedy = "give the original files"
    if not isinstance(data, safe_pickle.ArrayRecord):
        raise UserError(f"{path} has no array under 'data': {remedy}")
    if data.dtype != "u1":
        raise UserError(f"{path}: 'data' has dtype {data.dtype}, not u1 (uint8): {remedy}")
    width = int(np.prod(_SHAPE))
    if len(data.shape) != 2 or data.shape[1] != width or data.shape[0] == 0:
        raise UserError(f"{path}: 'data' has shape {data.shape}, not (N, {width}): {remedy}")
    if not isinstance(labels, list):
        raise UserError(f"{path} has no list under 'labels': {remedy}")
    if len(labels) != data.shape[0]:
        raise UserError(f"{path} has {len(labels)} labels for {data.shape[0]} images: {remedy}")
    if not all(type(label) is int and 0 <= label <= 9 for label in labels):
        raise UserError(f"{path}: 'labels' holds something other than integers 0..9: {remedy}")
    try:
        return data.uint8().reshape(-1, *_SHAPE)
    except ValueError as error:
        raise UserError(
            f"{path}: 'data' has fewer or more bytes than its shape says: {remedy}"
        ) from error


def _fields(path: Path, raw: bytes) -> dict[str, object]:
    try:
        value = safe_pickle.loads(raw)
    except safe_pickle.HoldsCodeError as error:
        raise UserError(
            f"{path} holds code ({error}) and was not run: give the original files"
        ) from error
    except safe_pickle.MalformedError as error:
        raise UserError(
            f"{path} is cut short or no CIFAR-10 batch: fetch or unpack it again"
        ) from error
    if not isinstance(value, dict):
        raise UserError(f"{path} is no CIFAR-10 batch (not a dict): give the original files")
    return {
        key.decode("latin-1") if isinstance(key, bytes) else str(key): item
        for key, item in value.items()
    }
