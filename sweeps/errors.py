"""The exception for mistakes that a person can correct."""


class UserError(Exception):
    """A mistake in the input; shown as one line, exit code 2, without traceback.

    The message names the thing, the place and the remedy.
    """
