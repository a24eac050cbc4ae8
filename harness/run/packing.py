"""Records as bytes and back: JSON with raw arrays behind it, framed so that a torn one shows."""

import json
import struct
import zlib
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

ARRAY = "array"
"""The one key of what stands for an array: its type, shape and place behind the JSON."""

FRAME = struct.Struct("<II")
"""Before each record: its length in bytes and their CRC-32."""

LENGTH = struct.Struct("<I")
"""Before the JSON of a record: its length in bytes."""


def pack_record(content: object) -> bytes:
    """A framed record of plain values, dataclasses and arrays. Floats keep every bit."""
    arrays: list[bytes] = []

    def plain(value: Any) -> Any:
        if is_dataclass(value):
            return {field.name: getattr(value, field.name) for field in fields(value)}
        if isinstance(value, np.ndarray):
            at = sum(map(len, arrays))
            arrays.append(np.ascontiguousarray(value).tobytes())
            return {ARRAY: [value.dtype.str, value.shape, at]}
        if isinstance(value, np.generic):
            return value.item()
        raise TypeError(f"{type(value).__name__} cannot be packed")

    text = json.dumps(content, default=plain).encode()
    record = b"".join((LENGTH.pack(len(text)), text, *arrays))
    return FRAME.pack(len(record), zlib.crc32(record)) + record


def unpack_records(raw: bytes) -> Iterator[Any]:
    """The records one after the other, up to the first that is torn; dataclasses as dicts."""
    at = 0
    while len(raw) >= at + FRAME.size:
        length, checksum = FRAME.unpack_from(raw, at)
        record = raw[at + FRAME.size : at + FRAME.size + length]
        if len(record) < length or zlib.crc32(record) != checksum or length < LENGTH.size:
            return
        yield _content(record)
        at += FRAME.size + length


def _content(record: bytes) -> Any:
    end = LENGTH.size + LENGTH.unpack_from(record)[0]

    def whole(value: dict[str, Any]) -> Any:
        if set(value) != {ARRAY}:
            return value
        dtype, shape, at = value[ARRAY]
        count = int(np.prod(shape, dtype=np.int64))
        return np.frombuffer(record, np.dtype(dtype), count, end + at).reshape(shape)

    return json.loads(record[LENGTH.size : end], object_hook=whole)
