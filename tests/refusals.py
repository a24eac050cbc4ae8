"""Errors that a user sees: one line that says what is wrong and what to do."""

from collections.abc import Callable

import pytest

from lcma.sweeps.errors import UserError


def catch_refusal(action: Callable[[], object], *parts: str) -> UserError:
    """Return the UserError that an action raises, which must be one line with these parts."""
    with pytest.raises(UserError) as caught:
        action()
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 500, message
    assert "s3cret" not in message, "tests with a password use this one"
    for part in parts:
        assert part in message, message
    return caught.value
