"""The 8x8 grey digits that scikit-learn ships inside its wheel, for laptops and tests."""

import gzip
import importlib.metadata
import importlib.util
import io
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Final

import numpy as np
import numpy.typing as npt

from lcma.harness.data.manifest import ByPart, PartName, SourceFile, SourceRecord
from lcma.harness.data.source import (
    Chunk,
    OpenedSource,
    ReportStep,
    SourceOptions,
    SourceStep,
    read_bytes,
    sha256,
)
from lcma.sweeps.errors import UserError

_FILE: Final = "digits.csv.gz"
# As in scikit-learn 1.9.
_KNOWN: Final = "09f66e6debdee2cd2b5ae59e0d6abbb73fc2b0e0185d2e1957e9ebb51e23aa22"
_LIMIT: Final = 2**20
_REMEDY: Final = "pip install --force-reinstall scikit-learn"
_COUNT: Final = 1797
# Neighbours in the file are often by one writer, so parts are blocks.
_PARTS: Final[dict[PartName, slice]] = {
    "train": slice(0, 1437),
    "holdout": slice(1437, 1617),
    "test": slice(1617, None),
}


class Digits:
    """The source of digits: the installed scikit-learn."""

    needs_path: ClassVar[bool] = False
    can_skip: ClassVar[bool] = False

    def open(self, path: Path | None, options: SourceOptions, progress: ReportStep) -> OpenedSource:
        """Find and hash the file. Raises UserError if it is missing or another one."""
        file = _shipped() / _FILE
        raw = read_bytes(file, _LIMIT)
        digest = sha256(raw)
        return OpenedSource(
            record=SourceRecord(
                layout="digits of scikit-learn",
                package=f"scikit-learn {importlib.metadata.version('scikit-learn')}",
                reader="comma-separated values",
                files=(SourceFile(name=_FILE, sha256=digest),),
                verdict="known" if digest == _KNOWN else "other (the file does not match)",
            ),
            shape=(1, 8, 8),
            dtype="uint8",
            groups=None,
            expected=ByPart(train=1437, holdout=180, test=180),
            preprocessing="levels 0..16 times 15",
            holdout_rule="images 1437 to 1616, counted from 0; test: those after them",
            n_steps=1,
            steps=lambda: _steps(file, raw),
        )


def _steps(file: Path, raw: bytes) -> Iterator[SourceStep]:
    images = _images(file, raw)
    yield SourceStep(_FILE, tuple(Chunk(part, images[rows]) for part, rows in _PARTS.items()))


def _images(file: Path, raw: bytes) -> npt.NDArray[np.uint8]:
    """N x 1 x 8 x 8."""
    try:
        with gzip.open(io.BytesIO(raw)) as lines:
            # No more than the file is known to hold: it could unpack to anything.
            text = io.BytesIO(lines.read(_LIMIT))
        table = np.loadtxt(text, delimiter=",", dtype=np.int64, ndmin=2)
    except (OSError, EOFError, ValueError) as error:
        raise UserError(f"{file} is damaged: {_REMEDY}") from error
    levels = table[:, :-1]
    if levels.shape != (_COUNT, 64) or levels.min() < 0 or levels.max() > 16:
        raise UserError(f"{file} is no table of {_COUNT} digits: {_REMEDY}")
    return (15 * levels).astype(np.uint8).reshape(-1, 1, 8, 8)


def _shipped() -> Path:
    # find_spec does not import it: scikit-learn takes long, and only its file is wanted.
    spec = importlib.util.find_spec("sklearn")
    if spec is None or not spec.submodule_search_locations:
        raise UserError("scikit-learn is not installed: pip install 'lcma[digits]'")
    return Path(spec.submodule_search_locations[0]) / "datasets" / "data"
