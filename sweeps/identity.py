"""Content ids: equal experiments have equal ids, whatever their spelling, key order or defaults."""

import hashlib
import json
from collections.abc import Mapping

from pydantic import BaseModel

ID_BYTES = 10


def canonical_json(value: object) -> str:
    """Return JSON with sorted keys and no spaces: equal values have equal texts."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def content_id(kind: str, content: Mapping[str, object]) -> str:
    """Return the id of a content of a kind, 20 hexadecimal digits."""
    text = canonical_json({"kind": kind, "content": content})
    return hashlib.blake2b(text.encode(), digest_size=ID_BYTES).hexdigest()


def identity_of(model: BaseModel) -> dict[str, object]:
    """Return the fields of a model that enter an id: those that differ from their defaults."""
    # A new field with a default leaves old ids as they are. A default must never change.
    return model.model_dump(mode="json", exclude_defaults=True)
