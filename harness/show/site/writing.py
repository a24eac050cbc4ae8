"""The site as a folder, written whole or not at all."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from lcma.db import Store
from lcma.harness.files import locked, remove_abandoned
from lcma.harness.show.site.files import SiteOptions, make_files
from lcma.harness.text import printable
from lcma.sweeps.errors import UserError

MARK = ".lcma-site"
"""A file in every site: a folder with it may be replaced."""


def write_site(
    store: Store,
    out: Path,
    options: SiteOptions | None = None,
    step: Callable[[str], None] = lambda _: None,
) -> int:
    """Write the site of a database into a folder, and return the number of its files.

    It is made beside the folder and takes its place at the end.

    Args:
        store: The database.
        out: The folder.
        options: What is shown.
        step: Called with what is done.

    Raises:
        UserError: The folder holds anything but a former site, or cannot be written; or the extra
            `pictures` is not installed.
    """
    out = out.expanduser().absolute()
    _require_ours(out)
    made = make_files(store, options or SiteOptions(), step)
    with _beside(out) as folder:
        for name, content in made.items():
            (folder / name).write_bytes(content)
        (folder / MARK).write_text("made by `lcma export --format html`\n")
        _swap(folder, out)
    remove_abandoned(out)
    return len(made)


def _require_ours(out: Path) -> None:
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise UserError(f"{printable(out)} is no folder: give --out one that is new or empty")
    if out.is_dir() and any(out.iterdir()) and not (out / MARK).is_file():
        raise UserError(
            f"{printable(out)} holds files that are no site of ours: give --out a new folder"
        )


@contextmanager
def _beside(out: Path) -> Iterator[Path]:
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{out.name}.", suffix=".tmp", dir=out.parent))
        handle = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise _unwritable(out, error) from None
    try:
        with locked(handle):
            yield folder
    except OSError as error:
        raise _unwritable(out, error) from None
    finally:
        os.close(handle)
        shutil.rmtree(folder, ignore_errors=True)


def _swap(folder: Path, out: Path) -> None:
    folder.chmod(0o755)
    old = folder.with_suffix(".old.tmp")
    if out.exists():
        out.rename(old)
    try:
        folder.rename(out)
    except OSError:
        if old.exists():
            old.rename(out)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _unwritable(out: Path, error: OSError) -> UserError:
    why = error.strerror or type(error).__name__
    return UserError(f"cannot write {printable(out)}: {why}; choose another place with --out")
