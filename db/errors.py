"""Errors of the database that a caller may want to catch."""

from lcma.sweeps.errors import UserError


class Unavailable(UserError):  # noqa: N818 - what the database is
    """The database is unreachable, or cannot be written, for now: the same may work later.

    Nothing was changed; but where the connection was lost in the middle of a commit, everything
    may have been.
    """


class Conflict(Exception):  # noqa: N818 - the word that the state machine's callers use
    """A result or map is there already under the same key with another value; nothing was written.

    The same seed gives the same bits, so this means that two runs were not the same after all.
    """
