"""URLs of places: which are local, and what of them may be shown."""

import re
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

CHAIN = "::"
"""Between the parts of a URL of a place inside another one."""

_LOCAL = re.compile(r"(?:file|local)://(.*)", re.DOTALL)
_USER = re.compile(r"(?<=://)([^/@]*)@")

HIDDEN = "***"


def is_url(text: str) -> bool:
    """Whether it is a URL, not a path."""
    return "://" in text or CHAIN in text


def local_path(url: str) -> Path | None:
    """The folder that a URL of this machine's files means, None for another one."""
    found = _LOCAL.fullmatch(url)
    return Path(found[1] or "/").expanduser().absolute() if found and CHAIN not in url else None


def shown(url: str) -> str:
    """The URL without passwords, and without what stands behind a `?`, which may hold keys."""
    return CHAIN.join(_shown(part) for part in url.split(CHAIN))


def secrets_of(url: str) -> tuple[str, ...]:
    """All that `shown` leaves out, as it stands there and decoded, the longest first."""
    found = set[str]()
    for part in url.split(CHAIN):
        user = _USER.search(part)
        if user and ":" in user[1]:
            found.add(user[1].split(":", 1)[1])
        query = urlsplit(part).query
        found |= {query, *(value for _, value in parse_qsl(query))}
    found |= {unquote(text) for text in found}
    return tuple(sorted(found - {""}, key=len, reverse=True))


def _shown(part: str) -> str:
    part = part.split("?", 1)[0]
    return _USER.sub(lambda user: user[1].split(":", 1)[0] + "@" if user[1] else "", part)
