"""Preparing a data set: from a source to a finished folder, in one step or not at all."""

import contextlib
import importlib.metadata
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

from harness.data import manifest as manifests
from harness.data.boxfilter import box_filter
from harness.data.manifest import PARTS, ByPart, Manifest, PartDigest, PartName
from harness.data.prepared import GROUPS_DTYPE, Prepared, groups_file, images_file, load
from harness.data.registry import DataSet, find
from harness.data.source import Opened
from harness.data.writer import NpyWriter
from sweeps.errors import UserError

Progress = Callable[[str, int, int], None]
"""Called with the file just done, how many are done, and how many there are."""


def prepare(
    name: str, root: Path, *, source: Path | None = None, progress: Progress | None = None
) -> Prepared:
    """Make ``<root>/<name>`` from its source, or return it where it is there already.

    source: where the files lie, for sets that need it. An existing set is verified and returned if
    it came from the same files by the same rules, or if no source is given; it is never
    overwritten. The folder appears whole, by a rename: an interrupted run leaves no set behind, and
    of two runs at once the later one returns what the earlier made.

    Raises UserError where the set is unknown, the source is not as its layout demands, the folder
    holds something else, or the root cannot be written.
    """
    data_set = find(name)
    if source is not None and not data_set.source.needs_path:
        raise UserError(f"{name} is read from an installed package: leave --from out")
    there = (root / name).exists()
    if source is None and data_set.source.needs_path:
        if there:
            return _verified(name, root)
        raise UserError(
            f"{name} needs the place of its files: lcma data prepare {name} --from PATH"
        )
    opened = data_set.source.open(source)
    preprocessing = _preprocessing(data_set, opened)
    if there:
        return _same_origin(_verified(name, root), data_set, opened, preprocessing)
    with _partial_folder(root, name) as folder:
        manifest = _write(folder, data_set, opened, preprocessing, progress)
        return _publish(folder, Prepared(manifest, root))


def _verified(name: str, root: Path) -> Prepared:
    prepared = load(name, root)
    prepared.verify()
    return prepared


def _preprocessing(data_set: DataSet, opened: Opened) -> str:
    box = data_set.box
    if box == 1:
        return opened.preprocessing
    return (
        f"{opened.preprocessing}; box-filtered by {box} "
        f"(exact mean of {box}x{box} pixels, halves rounded to even)"
    )


def _same_origin(
    existing: Prepared, data_set: DataSet, opened: Opened, preprocessing: str
) -> Prepared:
    # File contents and rules decide; where the files lie and which versions read them do not.
    there = existing.manifest
    pairs = (
        (there.source.layout, opened.record.layout),
        (there.source.files, opened.record.files),
        (there.groups, opened.groups),
        (there.preprocessing, preprocessing),
        (there.holdout_rule, opened.holdout_rule),
        (there.variant, data_set.variant),
    )
    if any(found != wanted for found, wanted in pairs):
        raise _other_content(existing)
    return existing


def _other_content(existing: Prepared) -> UserError:
    return UserError(
        f"{existing.folder} was prepared from other files or by other rules "
        f"(digest {existing.manifest.digest[:12]}): use another root or remove the folder"
    )


@contextlib.contextmanager
def _partial_folder(root: Path, name: str) -> Iterator[Path]:
    """A new folder beside the target, gone on leaving unless it was renamed."""
    new_root = not root.exists()
    folder = root / f".{name}.{uuid.uuid4().hex}.partial"
    try:
        root.mkdir(parents=True, exist_ok=True)
        folder.mkdir()
    except OSError as error:
        raise _unwritable(root, error) from error
    try:
        yield folder
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        if new_root:
            with contextlib.suppress(OSError):
                root.rmdir()
        raise
    shutil.rmtree(folder, ignore_errors=True)


def _unwritable(root: Path, error: OSError) -> UserError:
    return UserError(
        f"cannot write in {root} ({error.strerror or error}): "
        "make room there or give another root with --data"
    )


def _write(
    folder: Path, data_set: DataSet, opened: Opened, preprocessing: str, progress: Progress | None
) -> Manifest:
    c, h, w = opened.shape
    shape = (c, h // data_set.box, w // data_set.box)
    try:
        with ExitStack() as stack:

            def new(file: str, dtype: str, shape: tuple[int, ...]) -> NpyWriter:
                return stack.enter_context(NpyWriter(folder / file, dtype, shape))

            images = {part: new(images_file(part), opened.dtype, shape) for part in PARTS}
            groups = {}
            if opened.groups is not None:
                groups = {part: new(groups_file(part), GROUPS_DTYPE, ()) for part in PARTS}
            _copy(data_set, opened, images, groups, progress)
            for writer in (*images.values(), *groups.values()):
                writer.finish()
        manifest = _manifest(data_set, opened, preprocessing, shape, images, groups)
        _write_text(folder / manifests.FILE_NAME, manifests.to_json(manifest))
        _sync_folder(folder)
    except OSError as error:
        raise _unwritable(folder.parent, error) from error
    return manifest


def _copy(
    data_set: DataSet,
    opened: Opened,
    images: dict[PartName, NpyWriter],
    groups: dict[PartName, NpyWriter],
    progress: Progress | None,
) -> None:
    for done, step in enumerate(opened.steps(), start=1):
        for chunk in step.chunks:
            pixels = chunk.images
            images[chunk.part].append(
                pixels if data_set.box == 1 else box_filter(pixels, data_set.box)
            )
            if chunk.groups is not None:
                groups[chunk.part].append(chunk.groups)
        if progress is not None:
            progress(step.label, done, opened.n_steps)
    empty = [part for part in PARTS if images[part].count == 0]
    if empty:
        raise UserError(
            f"the source gives no images for {' and '.join(empty)} of {data_set.name}: "
            f"give more records (held out: {opened.holdout_rule})"
        )


def _manifest(
    data_set: DataSet,
    opened: Opened,
    preprocessing: str,
    shape: tuple[int, int, int],
    images: dict[PartName, NpyWriter],
    groups: dict[PartName, NpyWriter],
) -> Manifest:
    counts = ByPart[int](**{part: images[part].count for part in PARTS})
    digests = ByPart[PartDigest](
        **{
            part: PartDigest(
                images=images[part].digest, groups=groups[part].digest if groups else None
            )
            for part in PARTS
        }
    )
    return Manifest(
        name=data_set.name,
        variant=data_set.variant,
        shape=shape,
        dtype=opened.dtype,
        counts=counts,
        digests=digests,
        digest=manifests.content_digest(shape, opened.dtype, counts, digests),
        groups=opened.groups,
        source=opened.record,
        preprocessing=preprocessing,
        holdout_rule=opened.holdout_rule,
        tool_version=importlib.metadata.version("lcma"),
    )


def _publish(folder: Path, made: Prepared) -> Prepared:
    try:
        folder.rename(made.folder)
        _sync_folder(made.root)
    except OSError as error:
        if not made.folder.exists():
            raise _unwritable(made.root, error) from error
        # Another process was first: its set is as good if it is the same.
        winner = _verified(made.manifest.name, made.root)
        if winner.manifest.digest != made.manifest.digest:
            raise _other_content(winner) from error
        return winner
    return made


def _write_text(path: Path, text: str) -> None:
    with path.open("x", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut, where the system can do that."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
