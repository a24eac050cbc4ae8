"""Places of checkpoints and weights: local folders, and any other place that fsspec knows.

`open_folder` opens a place as a `Folder`. Whatever kills a writer, a file there is complete or
absent.
"""

from pathlib import Path

from lcma.harness.storage.folder import (
    File,
    Folder,
    LocalFolder,
    MissingFileError,
    StorageError,
    StoredFile,
    UnreachableError,
    is_temporary,
    sha256_of,
)

__all__ = [
    "File",
    "Folder",
    "LocalFolder",
    "MissingFileError",
    "StorageError",
    "StoredFile",
    "UnreachableError",
    "is_temporary",
    "open_folder",
    "sha256_of",
]


def open_folder(where: Path | str) -> Folder:
    """Open the folder at a path of this host, or at a URL, without creating anything.

    Raises StorageError if fsspec does not know the URL's scheme or its package is missing.
    """
    if isinstance(where, Path):
        return LocalFolder(where)
    from lcma.harness.storage.remote import open_remote  # imports fsspec

    return open_remote(where)
