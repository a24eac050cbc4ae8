"""The one exception that means: the person has to change something."""


class UserError(Exception):
    """A mistake in what was asked for; shown as one line, exit code 2, no traceback.

    The message names the thing, the place and the remedy.
    """
