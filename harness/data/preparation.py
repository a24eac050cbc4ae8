"""Preparation of a data set: from a source to a folder that is complete or absent."""

import contextlib
import hashlib
import importlib.metadata
import os
import shlex
import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from lcma.harness.data.manifest import (
    FILE_NAME,
    PARTS,
    ByPart,
    Manifest,
    PartDigest,
    content_digest,
    seal_fields,
)
from lcma.harness.data.prepared_set import GROUPS_DTYPE, PreparedSet, groups_file, images_file, load
from lcma.harness.data.registry import PreparableSet, find_set, list_sets, make_own_set
from lcma.harness.data.source import OpenedSource, ReportStep, SourceOptions
from lcma.harness.files import sync_folder
from lcma.sweeps.errors import UserError, suggest
from lcma.sweeps.known_sets import can_be_own

_PLAIN: Final = SourceOptions()


def prepare(
    name: str,
    root: Path,
    *,
    source: Path | None = None,
    options: SourceOptions = _PLAIN,
    progress: ReportStep | None = None,
    waiting: Callable[[], None] | None = None,
) -> PreparedSet:
    """Prepare ``<root>/<name>`` from its source, or return it if it exists.

    An existing set is never overwritten. It is verified and returned if it came from the same files
    by the same rules, or if no source is given. The folder appears complete, by a rename. A run
    that is killed leaves a hidden folder, which the next run removes.

    Args:
        name: Name of the set, or a new name for the user's own images.
        root: Folder of prepared sets.
        source: Folder or archive of the files, for sets that need it; with ``options.size`` the
            folder of the user's own images.
        options: Options of reading the source.
        progress: Called with the step just done, the number of steps done, and of all.
        waiting: Called if another run prepares the same set. This run then waits and returns that
            set.

    Returns:
        The prepared set.

    Raises:
        UserError: If the set is unknown, the source does not have its layout, the folder holds
            something else, or the root cannot be written.
    """
    data_set = _find(name, root, source, options)
    if source is not None and not data_set.source.needs_path:
        raise UserError(f"{name} is read from an installed package: leave --from out")
    if options.skip_bad and not data_set.source.can_skip:
        raise UserError(f"{name} is not read from a file for each image: leave --skip-bad out")
    exists = (root / name).exists()
    if exists and not (root / name / FILE_NAME).exists():
        raise UserError(
            f"{root / name} is not a prepared data set: move it away, or give another --to"
        )
    if source is None and data_set.source.needs_path and exists:
        return _load_verified(name, root)
    if source is None and data_set.source.needs_path:
        raise UserError(f"{name} needs its files: add --from PATH, of {data_set.source.needed}")
    report = progress or (lambda label, done, total: None)
    opened = data_set.source.open(source or Path(), options, report)
    if exists:
        return _require_same_origin(_load_verified(name, root), data_set, opened)
    with _lock_root(root, name, waiting):
        if (root / name).exists():
            return _require_same_origin(_load_verified(name, root), data_set, opened)
        return _make_folder(root, data_set, opened, report)


def _find(name: str, root: Path, source: Path | None, options: SourceOptions) -> PreparableSet:
    is_own = options.size is not None or options.grey_to_rgb
    if not is_own:
        names = [data_set.name for data_set in list_sets(root)]
        if source is None or name in names or not can_be_own(name):
            return find_set(name, root)
        near = suggest(name, names, "")
        command = shlex.join(["lcma", "data", "prepare", name, "--from", str(source)])
        raise UserError(
            f"unknown data set {name!r}: {near + ' ' if near.endswith('?') else ''}images of your "
            f"own need a size too: {command} --size S"
        )
    own = make_own_set(name)
    if source is None or options.size is None:
        raise UserError(
            f"images of your own need their folder and a size: lcma data prepare {name} "
            "--from FOLDER --size S"
        )
    return own


def _load_verified(name: str, root: Path) -> PreparedSet:
    prepared = load(name, root)
    prepared.verify()
    return prepared


def _describe_preprocessing(data_set: PreparableSet, opened: OpenedSource) -> str:
    box = data_set.box
    if box == 1:
        return opened.preprocessing
    how = "halves rounded to even" if opened.dtype == "uint8" else "in float64, rounded to float32"
    return (
        f"{opened.preprocessing}; box-filtered by {box} (exact mean of {box}x{box} pixels, {how})"
    )


def _require_same_origin(
    existing: PreparedSet, data_set: PreparableSet, opened: OpenedSource
) -> PreparedSet:
    # Contents of files and rules decide. Where the files lie, and which versions of packages read
    # them, does not matter.
    manifest = existing.manifest
    pairs = (
        (manifest.source.layout, opened.record.layout),
        (manifest.source.files, opened.record.files),
        (manifest.groups, opened.groups),
        (manifest.preprocessing, _describe_preprocessing(data_set, opened)),
        (manifest.holdout_rule, opened.holdout_rule),
        (manifest.variant, data_set.variant),
    )
    if any(old != new for old, new in pairs):
        raise UserError(
            f"{existing.folder} was prepared from other files or by other rules "
            f"(digest {manifest.digest[:12]}): use another root or remove the folder"
        )
    return existing


@contextlib.contextmanager
def _lock_root(root: Path, name: str, waiting: Callable[[], None] | None) -> Iterator[None]:
    """Hold the lock of a set below a root. Remove folders that it created and that stay empty."""
    from filelock import FileLock, Timeout

    created = [folder for folder in (root, *root.parents) if not folder.exists()]
    path = root / f".{name}.lock"
    try:
        root.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            if waiting is not None:
                waiting()
            lock.acquire()
    except OSError as error:
        raise _make_unwritable_error(root, error) from error
    try:
        yield
    finally:
        # Before the release: a waiting run notices that the file is gone, and creates another.
        path.unlink(missing_ok=True)
        lock.release()
        with contextlib.suppress(OSError):
            for folder in created:
                folder.rmdir()


def _make_unwritable_error(root: Path, error: OSError) -> UserError:
    return UserError(
        f"cannot write in {root} ({error.strerror or error}): "
        "make room there or give another root with --data"
    )


def _make_folder(
    root: Path, data_set: PreparableSet, opened: OpenedSource, progress: ReportStep
) -> PreparedSet:
    folder = root / f".{data_set.name}.{uuid.uuid4().hex[:8]}.partial"
    try:
        for leftover in root.glob(f".{data_set.name}.*.partial"):  # of a run that was killed
            shutil.rmtree(leftover)
        folder.mkdir()
        prepared = PreparedSet(_write(folder, data_set, opened, progress), root)
        folder.rename(prepared.folder)
        sync_folder(root)
        return prepared
    except OSError as error:
        raise _make_unwritable_error(root, error) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)  # unless it was renamed


def _write(
    folder: Path, data_set: PreparableSet, opened: OpenedSource, progress: ReportStep
) -> Manifest:
    c, h, w = opened.shape
    box = data_set.box
    shape = (c, h // box, w // box)
    skipped: list[str] = []
    with contextlib.ExitStack() as stack:
        images = {
            part: stack.enter_context(NpyWriter(folder / images_file(part), opened.dtype, shape))
            for part in PARTS
        }
        groups = {
            part: stack.enter_context(NpyWriter(folder / groups_file(part), GROUPS_DTYPE, ()))
            for part in (() if opened.groups is None else PARTS)
        }
        for done, step in enumerate(opened.steps(), start=1):
            for part, pixels in step.images.items():
                images[part].append(pixels if box == 1 else box_filter(pixels, box))
            for part, clusters in (step.groups or {}).items():
                groups[part].append(clusters)
            skipped += step.skipped
            progress(step.label, done, opened.n_steps)
        empty = [part for part in PARTS if images[part].count == 0]
        if empty:
            raise UserError(
                f"the source gives no images for {' and '.join(empty)} of {data_set.name}: "
                f"give more images (held out: {opened.holdout_rule})"
            )
        for writer in (*images.values(), *groups.values()):
            writer.finish()
    counts = ByPart[int](**{part: images[part].count for part in PARTS})
    digests = ByPart[PartDigest](
        **{
            part: PartDigest(
                images=images[part].digest, groups=groups[part].digest if groups else None
            )
            for part in PARTS
        }
    )
    manifest = Manifest(
        name=data_set.name,
        dataset=data_set.dataset,
        variant=data_set.variant,
        box=box,
        shape=shape,
        dtype=opened.dtype,
        counts=counts,
        expected=opened.expected,
        digests=digests,
        digest=content_digest(shape, opened.dtype, counts, digests),
        groups=opened.groups,
        source=opened.record,
        skipped=tuple(skipped),
        preprocessing=_describe_preprocessing(data_set, opened),
        holdout_rule=opened.holdout_rule,
        tool_version=importlib.metadata.version("lcma"),
    )
    with (folder / FILE_NAME).open("wb") as file:
        file.write(seal_fields(manifest.model_dump(mode="json")))
        file.flush()
        os.fsync(file.fileno())
    sync_folder(folder)
    return manifest


class NpyWriter(contextlib.AbstractContextManager["NpyWriter"]):
    """Writer of a little-endian npy file of items with a shape, whose number is not known before.

    Raises OSError as the file system does.
    """

    def __init__(self, path: Path, dtype: str, shape: tuple[int, ...]) -> None:
        self._dtype = np.dtype(dtype).newbyteorder("<")
        self._shape = shape
        self._sha256 = hashlib.sha256()
        self.count = 0
        self._file = path.open("wb")
        self._write_header()

    def __exit__(self, *_: object) -> None:
        self._file.close()

    @property
    def digest(self) -> str:
        """sha256 (hex) of the content so far, without the header."""
        return self._sha256.hexdigest()

    def append(self, array: npt.NDArray[Any]) -> None:
        """Append N items, an array (N, *shape)."""
        assert array.dtype == self._dtype, array.dtype
        assert array.shape[1:] == self._shape, array.shape
        raw = np.ascontiguousarray(array, self._dtype).reshape(-1).view(np.uint8).data
        self._file.write(raw)
        self._sha256.update(raw)
        self.count += len(array)

    def finish(self) -> None:
        """Write the final header and wait for the disk."""
        self._file.seek(0)  # numpy left room for a larger number in the header
        self._write_header()
        self._file.flush()
        os.fsync(self._file.fileno())

    def _write_header(self) -> None:
        np.lib.format.write_array_header_1_0(
            self._file,
            {
                "descr": np.lib.format.dtype_to_descr(self._dtype),
                "fortran_order": False,
                "shape": (self.count, *self._shape),
            },
        )


def box_filter(images: npt.NDArray[Any], factor: int) -> npt.NDArray[Any]:
    """Return the mean of each factor x factor window of images (N, C, H, W).

    The mean of uint8 is exact, halves rounded to even. That of float32 is computed in float64 and
    rounded to float32. ``factor`` divides H and W, and is at most 16, so that 16-bit sums hold.
    """
    n, c, h, w = images.shape
    windows = images.reshape(n, c, h // factor, factor, w // factor, factor)
    if images.dtype != np.uint8:
        means: npt.NDArray[Any] = windows.mean(axis=(3, 5), dtype=np.float64).astype(images.dtype)
        return means
    area = factor * factor
    mean, rest = np.divmod(windows.sum(axis=(3, 5), dtype=np.uint16), np.uint16(area))
    rounds_up = (2 * rest > area) | ((2 * rest == area) & (mean % 2 == 1))
    filtered: npt.NDArray[np.uint8] = (mean + rounds_up).astype(np.uint8)
    return filtered
