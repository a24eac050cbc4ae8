"""Manifests of prepared data sets: what the pixels are, where from, and their content hash; and
numbers computed of the images that are kept beside them. A seal over each file reveals edits."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Generic, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, PositiveInt, ValidationError, model_validator

from lcma.harness.files import write_file
from lcma.sweeps.errors import UserError
from lcma.sweeps.input_files import open_regular

PartName = Literal["train", "holdout", "test"]
PARTS: Final[tuple[PartName, ...]] = ("train", "holdout", "test")
SCHEMA_VERSION: Final = 2
FILE_NAME: Final = "manifest.json"
BARS_FILE: Final = "bars.json"
CONTROLS_FILE: Final = "controls.json"
SEALED: Final = (BARS_FILE, CONTROLS_FILE)
"""Files beside a manifest, of numbers that are computed of the images."""

T = TypeVar("T")


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ByPart(_Frozen, Generic[T]):
    """One value for each part; also read as ``x["train"]``."""

    train: T
    holdout: T
    test: T

    def __getitem__(self, part: PartName) -> T:
        value: T = getattr(self, part)
        return value

    def items(self) -> Iterator[tuple[PartName, T]]:
        """Return the (part, value) pairs, in the order of `PARTS`."""
        return ((part, self[part]) for part in PARTS)


class PartDigest(_Frozen):
    """sha256 (hex) of a part's raw bytes, without the npy header; groups as little-endian int32."""

    images: str
    groups: str | None = None


class SourceFile(_Frozen):
    """A file that was read: its name inside the source (never a machine's path) and sha256.

    files: their number, if one entry stands for all images of a folder; sha256 is then over each
    file's name, a zero byte and its sha256 (raw), in the order of names.
    """

    name: str
    sha256: str
    files: PositiveInt = 1


class SourceRecord(_Frozen):
    """Source of a set: its files, what read them, and whether they are the known ones.

    layout: layout of the files. package: package that shipped them. reader: software that decoded
    and resized them. verdict: `official` or `known` by checksums, `published counts` if none are
    known and the counts agree, else in words what is missing or differs.
    """

    layout: str
    package: str | None
    reader: str
    files: tuple[SourceFile, ...]
    verdict: str


class Manifest(_Frozen):
    """Description of a prepared set; `digest` is its identity.

    name: of its folder. dataset, variant: its key in trials and results. box: factor of the box
    filter (1 for none). shape: (C, H, W). dtype: numpy's name. expected: counts of the set as
    published, None if there is no such set. skipped: names of unreadable images that were left
    out. groups: names of the clusters of each
    part, indexed by the part's group array, or None where images are not clustered. digest: content
    hash over shape, dtype and the parts, the same wherever the source lay.
    """

    schema_version: Literal[2] = SCHEMA_VERSION
    name: str
    dataset: str
    variant: str
    box: PositiveInt
    shape: tuple[PositiveInt, PositiveInt, PositiveInt]
    dtype: Literal["uint8", "float32"]
    counts: ByPart[PositiveInt]
    expected: ByPart[PositiveInt] | None
    digests: ByPart[PartDigest]
    digest: str
    groups: ByPart[tuple[str, ...]] | None
    source: SourceRecord
    skipped: tuple[str, ...]
    preprocessing: str
    holdout_rule: str
    tool_version: str

    @property
    def deviation(self) -> str:
        """Difference of the counts from those published, in words; '' if there is none."""
        if self.expected is None or self.expected == self.counts:
            return ""
        differing = [
            f"{self.counts[part]} of {wanted} {part}"
            for part, wanted in self.expected.items()
            if self.counts[part] != wanted
        ]
        return f"{', '.join(differing)} images of the published set"

    @model_validator(mode="after")
    def _digest_belongs_to_parts(self) -> Self:
        if self.digest != content_digest(self.shape, self.dtype, self.counts, self.digests):
            raise ValueError("digest does not belong to shape, dtype, counts and digests")
        return self


def content_digest(
    shape: tuple[int, int, int], dtype: str, counts: ByPart[int], digests: ByPart[PartDigest]
) -> str:
    """Return the sha256 (hex) over shape, dtype, counts and digests of the parts."""
    parts = {
        part: {
            "count": counts[part],
            "images": digests[part].images,
            "groups": digests[part].groups,
        }
        for part in PARTS
    }
    return hash_fields({"shape": list(shape), "dtype": dtype, "parts": parts})


def to_json(fields: dict[str, Any]) -> bytes:
    """Return the text of a file with these fields and a seal over them."""
    return (json.dumps({**fields, "seal": hash_fields(fields)}, indent=2) + "\n").encode()


def read_manifest(path: Path) -> Manifest:
    """Read and check a manifest file.

    Raises UserError if it cannot be read, is of another schema, or is not as it was written.
    """
    remedy = f"use another root or remove {path.parent} and prepare it again"
    try:
        with open_regular(path) as file:
            fields = json.loads(file.read())
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): {remedy}") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not JSON any more: {remedy}") from error
    if not isinstance(fields, dict):
        raise UserError(f"{path} is not a manifest: {remedy}")
    version = fields.get("schema_version")
    if version != SCHEMA_VERSION:
        raise UserError(
            f"{path} has schema {version!r} where this version reads {SCHEMA_VERSION}: {remedy}"
        )
    seal = fields.pop("seal", None)
    if seal != hash_fields(fields):
        raise UserError(f"{path} was changed after it was written: {remedy}")
    try:
        return Manifest.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(step) for step in first["loc"]) or "manifest"
        raise UserError(f"{path} is not valid ({where}: {first['msg']}): {remedy}") from error


def hash_fields(value: dict[str, Any]) -> str:
    """Return the sha256 (hex) of fields in canonical JSON: as a seal it reveals edits."""
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()


def read_sealed(path: Path) -> dict[str, Any] | None:
    """Return the fields of a file as they were written, or None where it is missing or unsealed.

    Raises UserError if it is not as it was written.
    """
    remedy = "remove it, and it is computed again"
    try:
        with open_regular(path) as file:
            fields = json.loads(file.read())
        if not isinstance(fields, dict):
            raise ValueError
        seal = fields.pop("seal", None)
        changed = seal is not None and seal != hash_fields(fields)
    except OSError:
        return None
    except (ValueError, RecursionError):
        raise UserError(f"{path} is damaged: {remedy}") from None
    if changed:
        raise UserError(f"{path} was changed after it was written: {remedy}")
    return None if seal is None else fields


def write_sealed(path: Path, fields: dict[str, Any]) -> None:
    """Write a file with its seal, whole or not at all. Raises UserError if it cannot be written."""
    write_file(path, to_json(fields))
