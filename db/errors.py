"""Errors of the database that a caller may want to catch."""


class Conflict(Exception):  # noqa: N818 - the word that the state machine's callers use
    """A result or map is there already under the same key with another value; nothing was written.

    The same seed gives the same bits, so this means that two runs were not the same after all.
    """
