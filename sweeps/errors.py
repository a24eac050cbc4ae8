"""The exception for mistakes that a person can correct, and errors in words."""


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
