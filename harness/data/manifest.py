"""The files beside a prepared set's images: its manifest, and numbers computed from the images.

A seal in each file, a hash of its fields, reveals edits.
"""

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
"""Files of numbers that are computed from the images."""

T = TypeVar("T")


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ByPart(_Frozen, Generic[T]):
    """One value for each part, also by index: ``counts["train"]``."""

    train: T
    holdout: T
    test: T

    def __getitem__(self, part: PartName) -> T:
        value: T = getattr(self, part)
        return value

    def items(self) -> Iterator[tuple[PartName, T]]:
        """Return (part, value) pairs in the order of `PARTS`."""
        return ((part, self[part]) for part in PARTS)


class PartDigest(_Frozen):
    """sha256 (hex) of a part's raw bytes, without the npy header."""

    images: str
    groups: str | None = None
    """Of the group indices as little-endian int32."""


class SourceFile(_Frozen):
    """A file that was read, or all image files of a source together."""

    name: str
    """Its name inside the source, never a path of the machine."""
    sha256: str
    """Of its bytes. For several files: of each file's name, a zero byte and its raw sha256, in the
    order of names."""
    files: PositiveInt = 1
    """Number of files."""


class SourceRecord(_Frozen):
    """The source of a set: its files, what read them, and whether they are the known ones."""

    layout: str
    package: str | None
    """Package that shipped the files."""
    reader: str
    """Software that decoded and resized them."""
    files: tuple[SourceFile, ...]
    verdict: str
    """`official` or `known` by checksums; `published counts`, maybe with `, official list`, if no
    checksums of the images are known and the counts agree; else what is missing or differs, in
    words."""


class Manifest(_Frozen):
    """Description of a prepared set."""

    schema_version: Literal[2] = SCHEMA_VERSION
    name: str
    """Of the set and its folder."""
    dataset: str
    """With the variant, the set's key in trials and results."""
    variant: str
    box: PositiveInt
    """Factor of the box filter, 1 for none."""
    shape: tuple[PositiveInt, PositiveInt, PositiveInt]
    """(C, H, W)."""
    dtype: Literal["uint8", "float32"]
    counts: ByPart[PositiveInt]
    expected: ByPart[PositiveInt] | None
    """Counts of the published set, if there is one."""
    digests: ByPart[PartDigest]
    digest: str
    """The set's identity: a hash of shape, dtype and the parts, wherever the source was."""
    groups: ByPart[tuple[str, ...]] | None
    """Names of each part's clusters, to which its group array refers, if images are clustered."""
    source: SourceRecord
    skipped: tuple[str, ...]
    """Names of unreadable images that were left out."""
    preprocessing: str
    holdout_rule: str
    tool_version: str

    @property
    def deviation(self) -> str:
        """Difference of the counts from the published ones, in words; '' if there is none."""
        if self.expected is None or self.expected == self.counts:
            return ""
        different = [
            f"{self.counts[part]} of {count} {part}"
            for part, count in self.expected.items()
            if self.counts[part] != count
        ]
        return f"{', '.join(different)} images of the published set"

    @model_validator(mode="after")
    def _digest_belongs_to_parts(self) -> Self:
        if self.digest != content_digest(self.shape, self.dtype, self.counts, self.digests):
            raise ValueError("digest does not belong to shape, dtype, counts and digests")
        return self


def content_digest(
    shape: tuple[int, int, int], dtype: str, counts: ByPart[int], digests: ByPart[PartDigest]
) -> str:
    """Return the sha256 (hex) of shape, dtype, counts and digests of the parts."""
    parts = {
        part: {
            "count": counts[part],
            "images": digests[part].images,
            "groups": digests[part].groups,
        }
        for part in PARTS
    }
    return hash_fields({"shape": list(shape), "dtype": dtype, "parts": parts})


def seal_fields(fields: dict[str, Any]) -> bytes:
    """Return the content of a file with these fields and their seal."""
    return (json.dumps({**fields, "seal": hash_fields(fields)}, indent=2) + "\n").encode()


def read_manifest(path: Path) -> Manifest:
    """Read and check a manifest file.

    Raises UserError if it cannot be read, has another schema, or was changed.
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


def hash_fields(fields: dict[str, Any]) -> str:
    """Return the sha256 (hex) of fields in canonical JSON."""
    canonical = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()


def read_sealed(path: Path) -> dict[str, Any] | None:
    """Return the fields of a sealed file; None if it is missing or has no seal.

    Raises UserError if it was changed.
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
    """Write a file with its seal, completely or not at all. Raises UserError if it cannot."""
    write_file(path, seal_fields(fields))
