"""Mistakes of a user, and words for errors and unknown names."""

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """A mistake of the user. The command line prints its one line and exits with code 2.

    The message names the thing, the place and the remedy.
    """


def describe_error(error: BaseException) -> str:
    """Return `ValueError: its text` in one line."""
    try:
        name, text = type(error).__name__, " ".join(str(error).split())
    except KeyboardInterrupt:
        raise
    except BaseException:  # noqa: BLE001 - an error of a plug-in may fail to describe itself
        return "an error that cannot be shown"
    return f"{name}: {text}" if text else str(name)


def suggest(name: str, known: Iterable[str], otherwise: str = "known are") -> str:
    """Return words that offer the known name nearest to ``name``, or list all of them.

    Example:
        >>> suggest("Channle", ["channel", "rows"]), suggest("x", ["channel", "rows"], "there are")
        ("did you mean 'channel'?", 'there are channel, rows')
    """
    names = list(known)
    lower = {known_name.lower(): known_name for known_name in reversed(names)}
    near = difflib.get_close_matches(name.lower(), lower, n=1)
    return f"did you mean {lower[near[0]]!r}?" if near else f"{otherwise} {', '.join(names)}"
