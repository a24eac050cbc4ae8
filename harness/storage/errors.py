"""What can go wrong with a place, each in one line without passwords."""

from lcma.sweeps.errors import UserError


class StorageError(UserError):
    """A place could not be read or written."""


class Away(StorageError):  # noqa: N818 - what the place is
    """The same where it may be over by itself: no network, a full disk, a server that restarts."""


class Missing(StorageError):  # noqa: N818 - what the file is
    """No such file."""
