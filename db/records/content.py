"""The content of a record, as a hash and as a row."""

import hashlib
import json
from dataclasses import fields
from typing import Any

_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False).encode


def content_hash(what: str, content: Any) -> str:
    """Return the sha256 in hex of `content` as canonical JSON, set apart by the word `what`."""
    return hashlib.sha256(_encode([what, content]).encode()).hexdigest()


def row_of(record: Any) -> dict[str, Any]:
    """Return a record's fields by name: `dataclasses.asdict` for one that holds plain values."""
    return {field.name: getattr(record, field.name) for field in fields(record)}
