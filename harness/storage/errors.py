"""Errors of places, each in one line without passwords."""

from lcma.sweeps.errors import UserError


class StorageError(UserError):
    """A place that could not be read or written."""


class UnreachableError(StorageError):
    """The same for a cause that may pass: no network, a full disk, a server that restarts."""


class MissingFileError(StorageError):
    """A file that does not exist."""
