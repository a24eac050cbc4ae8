"""The exception for mistakes that a person can correct, errors in words, and the name that was
meant."""

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """A mistake in the input; shown as one line, exit code 2, without traceback.

    The message names the thing, the place and the remedy.
    """


def describe_error(error: BaseException) -> str:
    """Return `ValueError: its text` in one line, also for an error that fails to say what it is."""
    try:
        name, text = type(error).__name__, " ".join(str(error).split())
    except BaseException as failure:
        if isinstance(failure, KeyboardInterrupt):
            raise
        return "an error that cannot be shown"
    return f"{name}: {text}" if text else str(name)


def suggest(name: str, known: Iterable[str], otherwise: str = "known are") -> str:
    """Return words that offer the known name that is nearest to one, or list them all.

    Example:
        >>> suggest("Channle", ["channel", "rows"]), suggest("x", ["channel", "rows"], "there are")
        ("did you mean 'channel'?", 'there are channel, rows')
    """
    names = list(known)
    lower = {one.lower(): one for one in reversed(names)}
    near = difflib.get_close_matches(name.lower(), lower, n=1)
    return f"did you mean {lower[near[0]]!r}?" if near else f"{otherwise} {', '.join(names)}"
