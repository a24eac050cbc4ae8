"""URLs of places: local paths, hidden secrets, and refused secrets on the command line."""

import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from urllib.parse import parse_qsl, unquote

from lcma.sweeps.errors import UserError

CHAIN = "::"
"""Separator of the parts of a chained URL, such as a folder in an archive on a server."""

# Only before what looks like the next URL, since a password may contain "::".
_CHAIN_PATTERN = re.compile(r"::(?=[A-Za-z][\w+.-]*(?:://|::|$))")

_LOCAL_URL = re.compile(r"(?:file|local)://(.*)", re.DOTALL)
_USER = re.compile(r"[\w.+~-]*")
_SCHEME = re.compile(r"[\w.+-]*")
_POSTGRES_URL = re.compile(r"postgres\w*(\+\w+)?:", re.IGNORECASE)
_SQLITE_URL = re.compile(r"sqlite(\+\w+)?:", re.IGNORECASE)
_SECRET_KEYS = {"password", "sslpassword"}

HIDDEN = "***"


def is_url(text: str) -> bool:
    """Return whether a text is a URL, not a path."""
    return "://" in text or CHAIN in text


def local_path(url: str) -> Path | None:
    """Return the folder of a URL of local files, None for another URL."""
    match = _LOCAL_URL.fullmatch(url)
    return Path(match[1] or "/").expanduser().absolute() if match and CHAIN not in url else None


def hide_secrets(url: str) -> str:
    """Return a URL without passwords, and without the query, which may contain keys.

    A password is all text between the first `:` of the user and the last `@`. In `http` and
    `https` URLs the user goes too, since it may be a token.

    Example:
        >>> hide_secrets("sftp://me:secret@host/a?key=1")
        'sftp://me@host/a'
    """
    return CHAIN.join(_split_secrets(part)[0] for part in _CHAIN_PATTERN.split(url))


def require_no_secrets(arguments: Sequence[str]) -> None:
    """Raise UserError for a password or key on the command line: `ps` shows it, Ray stores it.

    Checked are the values of `--db` and `--runs`, and every URL of a PostgreSQL server.
    """
    for previous, argument in pairwise(("", *arguments)):
        option, equals, value = argument.partition("=")
        if not (argument.startswith("--") and equals):
            option, value = previous, argument
        remote = option == "--runs" and is_url(value) and local_path(value) is None
        if remote and hide_secrets(value) != value:
            raise UserError(
                "`ps` shows everybody a password, user, key or query in the URL of --runs: give "
                "the URL as LCMA_RUNS, or the key where the driver of the place looks for it"
            )
        if (option == "--db" or _POSTGRES_URL.match(value)) and _has_password(value):
            raise UserError(
                "`ps` shows everybody a password in the URL of a database: leave it out and put "
                "it into ~/.pgpass or PGPASSWORD, or give the whole URL as LCMA_DB"
            )


def _has_password(url: str) -> bool:
    """Return whether a database's URL has a password, even if it is not valid as a URL."""
    if _SQLITE_URL.match(url):
        return False
    rest = url.partition(":")[2].removeprefix("//")
    # A password may contain a `/` or `?` that should have been escaped.
    heads = (rest.partition(end)[0].rpartition("@")[0] for end in "/?")
    keys = {key.lower() for key, _ in parse_qsl(rest.partition("?")[2])}
    return any(head.partition(":")[2] for head in heads) or bool(keys & _SECRET_KEYS)


def list_secrets(url: str) -> tuple[str, ...]:
    """Return all texts that `hide_secrets` removes, raw and decoded, the longest first."""
    secrets = {text for part in _CHAIN_PATTERN.split(url) for text in _split_secrets(part)[1]}
    secrets |= {unquote(text) for text in secrets}
    return tuple(sorted(secrets - {""}, key=len, reverse=True))


def _split_secrets(part: str) -> tuple[str, set[str]]:
    """Return one part of a URL without its secrets, and the secrets."""
    scheme, separator, rest = part.partition("://") if "://" in part else ("", "", part)
    hidden: set[str] = set()
    if not _SCHEME.fullmatch(scheme):  # a password that contains "://" may be before it
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
    return scheme + separator + path, hidden
