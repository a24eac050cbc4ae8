"""Where checkpoints and weights lie: local folders, and any other place that fsspec knows.

`at` opens one as a `Folder`. A file of it is whole or is not there, whatever kills its writer.
"""

from pathlib import Path

from lcma.harness.storage.errors import Away, Missing, StorageError
from lcma.harness.storage.folder import File, Folder, Stored, sha256_of
from lcma.harness.storage.local import LocalFolder, is_aside

__all__ = [
    "Away",
    "File",
    "Folder",
    "LocalFolder",
    "Missing",
    "StorageError",
    "Stored",
    "at",
    "is_aside",
    "sha256_of",
]


def at(where: Path | str) -> Folder:
    """The folder at a path of this host, or at a URL. Nothing is made yet.

    Raises StorageError for a URL whose scheme fsspec does not know, or whose package is missing.
    """
    if isinstance(where, Path):
        return LocalFolder(where)
    from lcma.harness.storage.remote import open_remote  # fsspec is imported where it is needed

    return open_remote(where)
