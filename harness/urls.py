"""URLs of places: tell local ones, hide what must not be shown, and refuse it where it is typed."""

import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from urllib.parse import parse_qsl, unquote

from lcma.sweeps.errors import UserError

CHAIN = "::"
"""Separator of the parts of a URL of a place inside another one."""

_NEXT = re.compile(r"::(?=[A-Za-z][\w+.-]*(?:://|::|$))")  # not where it is part of a password

_LOCAL = re.compile(r"(?:file|local)://(.*)", re.DOTALL)
_USER = re.compile(r"[\w.+~-]*")
_SCHEME = re.compile(r"[\w.+-]*")
_SERVER = re.compile(r"postgres\w*(\+\w+)?:", re.IGNORECASE)
_FILE = re.compile(r"sqlite(\+\w+)?:", re.IGNORECASE)
_SECRET = {"password", "sslpassword"}

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


def require_no_secrets(arguments: Sequence[str]) -> None:
    """Raise UserError for a password or key in what was typed: `ps` shows it, and Ray stores it.

    It is looked for in the values of `--db` and `--runs`, and in all that is a server's URL.
    """
    for before, argument in pairwise(("", *arguments)):
        option, equals, value = argument.partition("=")
        if not (argument.startswith("--") and equals):
            option, value = before, argument
        place = option == "--runs" and is_url(value) and local_path(value) is None
        if place and hide_secrets(value) != value:
            raise UserError(
                "a password, user or key in the URL of --runs is shown to everybody by `ps`, and "
                "so is what follows a `?`: give the URL as LCMA_RUNS, or the key where the driver "
                "of the place looks for it"
            )
        if (option == "--db" or _SERVER.match(value)) and _has_password(value):
            raise UserError(
                "a password in the URL of a database is shown to everybody by `ps`: leave it out "
                "and put it into ~/.pgpass or PGPASSWORD, or give the whole URL as LCMA_DB"
            )


def _has_password(url: str) -> bool:
    """Return whether a database's URL has a password, also one that is not readable as a URL."""
    if _FILE.match(url):
        return False
    rest = url.partition(":")[2].removeprefix("//")
    # A password may hold a `/` or `?` that should have been escaped.
    heads = (rest.partition(end)[0].rpartition("@")[0] for end in "/?")
    keys = {key.lower() for key, _ in parse_qsl(rest.partition("?")[2])}
    return any(head.partition(":")[2] for head in heads) or bool(keys & _SECRET)


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
