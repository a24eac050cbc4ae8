"""Prepare a data set: from a source to a finished folder, whole or not at all."""

import contextlib
import importlib.metadata
import json
import os
import shlex
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Final

from lcma.harness.data.manifest import (
    FILE_NAME,
    PARTS,
    SCHEMA_VERSION,
    Manifest,
    content_digest,
    to_json,
)
from lcma.harness.data.partial import Partial, clear_partial, partial_folder
from lcma.harness.data.prepared import Prepared, load
from lcma.harness.data.registry import PreparableSet, find_set, names, own_set
from lcma.harness.data.source import OpenedSource, ReportStep, SourceOptions, sha256
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
) -> Prepared:
    """Prepare ``<root>/<name>`` from its source, or return it if it exists already.

    An existing set is verified and returned if it came from the same files by the same rules, or
    if no source is given; it is never overwritten. The folder appears whole, by a rename. An
    interrupted run leaves a hidden folder, with which the next one from the same files goes on.

    Args:
        name: Name of the set, or a new name for a person's own images.
        root: Folder of prepared sets.
        source: Place of the files, for sets that need it; with ``options.size`` a folder of a
            person's own images.
        options: Options of reading the source.
        progress: Callback with the step just done, the number done, and the number of all.
        waiting: Called if another run prepares the same set; this one then waits for it and
            returns its set.

    Raises:
        UserError: If the set is unknown, the source is not as its layout demands, the folder holds
            something else, or the root cannot be written.
    """
    data_set = _find(name, root, source, options)
    if source is not None and not data_set.source.needs_path:
        raise UserError(f"{name} is read from an installed package: leave --from out")
    if options.skip_bad and not data_set.source.can_skip:
        raise UserError(f"{name} is not read from a file for each image: leave --skip-bad out")
    there = (root / name).exists()
    if source is None and data_set.source.needs_path and there:
        return _verified(name, root)
    report = progress or _silent
    opened = data_set.source.open(source, options, report)
    if there:
        return _same_origin(_verified(name, root), data_set, opened)
    with _locked(root, name, waiting):
        if (root / name).exists():
            return _same_origin(_verified(name, root), data_set, opened)
        folder = partial_folder(root, name, _origin(data_set, opened, options))
        return _make(folder, data_set, opened, report, root)


def _silent(label: str, done: int, total: int) -> None:
    """Report no progress."""


def _find(name: str, root: Path, source: Path | None, options: SourceOptions) -> PreparableSet:
    own = options.size is not None or options.grey_to_rgb
    if not own:
        known = [one.name for one in names(root)]
        if source is None or name in known or not can_be_own(name):
            return find_set(name, root)
        near = suggest(name, known, "")
        command = shlex.join(["lcma", "data", "prepare", name, "--from", str(source)])
        raise UserError(
            f"unknown data set {name!r}: {near + ' ' if near.endswith('?') else ''}images of your "
            f"own need a size too: {command} --size S"
        )
    if source is None or options.size is None:
        raise UserError(
            f"images of your own need their folder and a size: lcma data prepare {name} "
            "--from FOLDER --size S"
        )
    return own_set(name)


def _verified(name: str, root: Path) -> Prepared:
    prepared = load(name, root)
    prepared.verify()
    return prepared


def _preprocessing(data_set: PreparableSet, opened: OpenedSource) -> str:
    box = data_set.box
    if box == 1:
        return opened.preprocessing
    how = "halves rounded to even" if opened.dtype == "uint8" else "in float64, rounded to float32"
    return (
        f"{opened.preprocessing}; box-filtered by {box} (exact mean of {box}x{box} pixels, {how})"
    )


def _same_origin(existing: Prepared, data_set: PreparableSet, opened: OpenedSource) -> Prepared:
    # File contents and rules decide; where the files lie and which versions read them do not.
    there = existing.manifest
    pairs = (
        (there.source.layout, opened.record.layout),
        (there.source.files, opened.record.files),
        (there.groups, opened.groups),
        (there.preprocessing, _preprocessing(data_set, opened)),
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


def _origin(data_set: PreparableSet, opened: OpenedSource, options: SourceOptions) -> str:
    """Return a digest of all that decides the bytes; only an unfinished folder of it is resumed."""
    content = {
        "schema": SCHEMA_VERSION,
        "record": opened.record.model_dump(mode="json"),
        "shape": opened.shape,
        "dtype": opened.dtype,
        "preprocessing": _preprocessing(data_set, opened),
        "holdout_rule": opened.holdout_rule,
        "n_steps": opened.n_steps,
        "variant": data_set.variant,
        "options": asdict(options),
    }
    return sha256(json.dumps(content, sort_keys=True).encode())


@contextlib.contextmanager
def _locked(root: Path, name: str, waiting: Callable[[], None] | None) -> Iterator[None]:
    """Hold the lock of a set below a root; folders that were created and left empty are removed."""
    from filelock import FileLock, Timeout

    new = [folder for folder in (root, *root.parents) if not folder.exists()]
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
        raise _unwritable(root, error) from error
    try:
        yield
    finally:
        # While it is held: a run that waits notices that the file is gone, and makes its own.
        path.unlink(missing_ok=True)
        lock.release()
        with contextlib.suppress(OSError):
            for folder in new:
                folder.rmdir()


def _unwritable(root: Path, error: OSError) -> UserError:
    return UserError(
        f"cannot write in {root} ({error.strerror or error}): "
        "make room there or give another root with --data"
    )


def _make(
    folder: Path, data_set: PreparableSet, opened: OpenedSource, progress: ReportStep, root: Path
) -> Prepared:
    try:
        try:
            folder.mkdir(exist_ok=True)
            manifest = _write(folder, data_set, opened, progress)
        except OSError as error:
            raise _unwritable(root, error) from error
        made = _publish(folder, Prepared(manifest, root))
    except UserError:
        # The same run would fail again; what is interrupted otherwise is left to be taken up.
        clear_partial(root, data_set.name)
        raise
    clear_partial(root, data_set.name)
    return made


def _write(
    folder: Path, data_set: PreparableSet, opened: OpenedSource, progress: ReportStep
) -> Manifest:
    with ExitStack() as stack:
        parts = Partial(folder, opened, data_set.box, stack)
        begun = parts.done
        for done, step in enumerate(opened.steps(begun), start=begun.steps + 1):
            parts.add(step)
            progress(step.label, done, opened.n_steps)
        empty = [part for part in PARTS if parts.counts[part] == 0]
        if empty:
            raise UserError(
                f"the source gives no images for {' and '.join(empty)} of {data_set.name}: "
                f"give more images (held out: {opened.holdout_rule})"
            )
        parts.finish()
        manifest = _manifest(data_set, opened, parts)
    _write_text(folder / FILE_NAME, to_json(manifest))
    _sync_folder(folder)
    return manifest


def _manifest(data_set: PreparableSet, opened: OpenedSource, parts: Partial) -> Manifest:
    return Manifest(
        name=data_set.name,
        dataset=data_set.dataset,
        variant=data_set.variant,
        box=data_set.box,
        shape=parts.shape,
        dtype=opened.dtype,
        counts=parts.counts,
        expected=opened.expected,
        digests=parts.digests,
        digest=content_digest(parts.shape, opened.dtype, parts.counts, parts.digests),
        groups=opened.groups,
        source=opened.record,
        skipped=parts.skipped,
        preprocessing=_preprocessing(data_set, opened),
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
        # A run that the lock did not reach was first: its set is as good if it is the same.
        winner = _verified(made.manifest.name, made.root)
        if winner.manifest.digest != made.manifest.digest:
            raise _other_content(winner) from error
        return winner
    return made


def _write_text(path: Path, text: str) -> None:
    with path.open("w", encoding="utf-8") as file:
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
