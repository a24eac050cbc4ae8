"""URLs of places: tell local ones, and hide what must not be shown."""

import re
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import parse_qsl, unquote

CHAIN = "::"
"""Separator of the parts of a URL of a place inside another one."""

_NEXT = re.compile(r"::(?=[A-Za-z][\w+.-]*(?:://|::|$))")  # not where it is part of a password

_LOCAL = re.compile(r"(?:file|local)://(.*)", re.DOTALL)
_USER = re.compile(r"[\w.+~-]*")
_SCHEME = re.compile(r"[\w.+-]*")

HIDDEN = "***"


def is_url(text: str) -> bool:
    """Return whether a text is a URL, not a path."""
    return "://" in text or CHAIN in text


def local_path(url: str) -> Path | None:
    """Return the folder of a URL of local files, None for another URL."""
    found = _LOCAL.fullmatch(url)
    return Path(found[1] or "/").expanduser().absolute() if found and CHAIN not in url else None


def hide_secrets(url: str) -> str:
    """Return a URL without passwords, and without what follows a `?`, which may hold keys.

    All between a `:` and the last `@` is taken for a password, whatever it is made of, and of
    `http` and `https` the user too, who may be a token.

    Example:
        >>> hide_secrets("sftp://me:secret@host/a?key=1")
        'sftp://me@host/a'
    """
    return CHAIN.join(_split(part)[0] for part in _NEXT.split(url))


def hide_in_arguments(arguments: Sequence[str]) -> list[str]:
    """Return what was typed after a command's name with the secrets of its URLs left out."""
    return [_hide_in_argument(argument) for argument in arguments]


def _hide_in_argument(argument: str) -> str:
    option, equals, value = argument.partition("=")
    if argument.startswith("-") and equals:
        return f"{option}={_hide_in_argument(value)}"
    return hide_secrets(argument) if is_url(argument) else argument


def secrets_of(url: str) -> tuple[str, ...]:
    """Return all that `hide_secrets` removes, as it stands and decoded, the longest first."""
    found = {text for part in _NEXT.split(url) for text in _split(part)[1]}
    found |= {unquote(text) for text in found}
    return tuple(sorted(found - {""}, key=len, reverse=True))


def _split(part: str) -> tuple[str, set[str]]:
    """Return what of one part of a URL may be shown, and what must not."""
    scheme, between, rest = part.partition("://") if "://" in part else ("", "", part)
    hidden: set[str] = set()
    if not _SCHEME.fullmatch(scheme):
        hidden.add(scheme)
        scheme = HIDDEN
    user, at, place = rest.rpartition("@")
    if user and scheme in ("http", "https"):
        hidden |= {user, *user.split(":", 1), *user.split("@")}
        rest = place
    elif ":" in user:
        name, _, password = user.partition(":")
        hidden |= {password, *password.split("@")}
        if not _USER.fullmatch(name):
            hidden.add(name)
            name = ""
        rest = name + at + place if name else place
    path, _, query = rest.partition("?")
    hidden |= {query, *(value for _, value in parse_qsl(query))}
    return scheme + between + path, hidden
