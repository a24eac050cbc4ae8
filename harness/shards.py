"""Shards of published results, and the reference database that is made of the package's shards.

A shard is a compressed published database (`lcma.db.publishing`) with a manifest beside it. The
package has shards in `evidence/`; merged into one database they are the reference. The first use
makes that database in the user's cache. Its name is a digest of the shards and the schema, and it
is never written again.
"""

import hashlib
import importlib.metadata
import json
import lzma
import secrets
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from importlib.resources import files
from pathlib import Path
from typing import Any

from lcma.db import migrate
from lcma.db.publishing import Published, combine
from lcma.db.sqlite import MAGIC
from lcma.harness.files import CACHE_VARIABLE, find_cache_folder, require_replaceable, write_file
from lcma.harness.text import format_size, to_json
from lcma.sweeps import known_sets
from lcma.sweeps.errors import UserError
from lcma.sweeps.input_files import open_regular

EVIDENCE_FOLDER = Path(str(files("lcma"))) / "evidence"

COMPRESSED = ".xz"
ENDINGS = (".db", ".sqlite", ".sqlite.xz")
"""Endings of published databases; the last is a shard."""

MAX_UNPACKED_BYTES = 2**30
"""Most bytes that a shard is unpacked to."""

PIECE_BYTES = 2**20
"""Bytes of a shard that are read or unpacked at a time."""

MAX_MEMORY_BYTES = 2**27
"""Memory that unpacking a shard may take; shards of `write_shard` take half of it."""

MANIFEST = ".manifest.json"
"""Ending of the manifest of a published database, after its own name."""

MAX_MANIFEST_BYTES = 2**24
"""Bytes of a manifest that are read; shards of 100 trainings have some 10,000."""


def open_reference() -> Path:
    """Return the path of the reference database, which must not be written.

    Raises:
        UserError: The package has no shard, or as in `open_shards`.
    """
    shards = sorted(EVIDENCE_FOLDER.glob(f"*.sqlite{COMPRESSED}"))
    if not shards:
        raise UserError(
            f"this lcma has no reference results: {EVIDENCE_FOLDER} has no shard; give --db a "
            "file or a URL"
        )
    return open_shards(shards)


def open_shards(shards: Sequence[Path]) -> Path:
    """Merge shards into one database in the cache; return its path, which must not be written.

    Raises:
        UserError: A file is unreadable, too large or no shard, or no cache folder is writable.
    """
    digests = [_hash_shard(shard) for shard in shards]
    folder = find_cache_folder("reference")
    if folder is None:
        raise UserError(
            "no cache folder is writable, so published results cannot be unpacked: name a folder "
            f"with {CACHE_VARIABLE}"
        )
    key = hashlib.sha256("\n".join([migrate.current_version(), *digests]).encode()).hexdigest()
    database = folder / f"reference-{key[:16]}.sqlite"
    if not database.exists():
        _merge_shards(dict(zip(shards, digests, strict=True)), database)
    return database


def _hash_shard(shard: Path) -> str:
    """Return the digest of a shard; raise UserError if its manifest has another digest."""
    hasher = hashlib.sha256()
    for piece in _read_pieces(shard):
        hasher.update(piece)
    digest, manifest = hasher.hexdigest(), shard.with_name(shard.name + MANIFEST)
    try:
        with open_regular(manifest) as source:
            expected = json.loads(source.read(MAX_MANIFEST_BYTES))["file"]["sha256"]
    except FileNotFoundError:
        return digest
    except OSError as error:
        raise UserError(f"cannot read {manifest}: {error.strerror}; {_remedy(shard)}") from None
    except (ValueError, LookupError, TypeError, RecursionError):
        raise UserError(f"{manifest} is not a manifest of a shard: {_remedy(shard)}") from None
    if digest != expected:
        remedy = "restore that file, or move the manifest away"
        raise UserError(
            f"{shard} is not the file that {manifest.name} beside it describes: "
            + (_remedy(shard) if shard.parent == EVIDENCE_FOLDER else remedy)
        )
    return digest


def _read_pieces(shard: Path) -> Iterator[bytes]:
    try:
        with open_regular(shard) as source:
            while piece := source.read(PIECE_BYTES):
                yield piece
    except OSError as error:
        raise UserError(f"cannot read {shard}: {error.strerror}; {_remedy(shard)}") from None


def _remedy(shard: Path) -> str:
    return "install lcma again" if shard.parent == EVIDENCE_FOLDER else "name another file"


def _merge_shards(digests: Mapping[Path, str], database: Path) -> None:
    # Others may make the same file at this time, so it appears whole under its name or not at all.
    temporary = database.with_name(f".{database.name}.{secrets.token_hex(8)}.tmp")
    try:
        with tempfile.TemporaryDirectory(prefix="lcma-reference-") as folder:
            unpacked = []
            for shard, digest in digests.items():
                path = Path(folder, shard.name.removesuffix(COMPRESSED))
                if _unpack_shard(shard, path) != digest:
                    raise UserError(f"{shard} was changed while it was read: try again")
                unpacked.append(path)
            try:
                combine(unpacked, temporary)
            except UserError as error:
                text = str(error)
                for path, shard in zip(unpacked, digests, strict=True):
                    text = text.replace(str(path), str(shard))
                raise UserError(text) from None
        temporary.chmod(0o444)
        temporary.replace(database)
    except OSError as error:
        raise UserError(
            f"cannot unpack published results to {database.parent}: {error.strerror}; name "
            f"another folder with {CACHE_VARIABLE}"
        ) from None
    finally:
        temporary.unlink(missing_ok=True)
        with suppress(OSError):  # it holds databases, unless this was to be the first
            database.parent.rmdir()


def _unpack_shard(shard: Path, out: Path) -> str:
    """Unpack a shard to a file; return the digest of the shard."""
    unpacker = lzma.LZMADecompressor(memlimit=MAX_MEMORY_BYTES)
    damaged = UserError(f"{shard} is damaged: {_remedy(shard)}")
    digest, head, size = hashlib.sha256(), b"", 0
    with out.open("wb") as file:
        for piece in _read_pieces(shard):
            digest.update(piece)
            # A small file can unpack to any size, so each call returns a limited part of it.
            while piece or not unpacker.needs_input:
                try:
                    content = unpacker.decompress(piece, PIECE_BYTES)
                except (lzma.LZMAError, EOFError) as error:
                    if "limit exceeded" in str(error):
                        limit = format_size(MAX_MEMORY_BYTES)
                        raise UserError(
                            f"{shard} takes more than {limit} of memory to unpack: unpack it "
                            "by hand"
                        ) from None
                    raise damaged from None
                head, size = (head + content)[: len(MAGIC)], size + len(content)
                if not MAGIC.startswith(head):
                    raise UserError(f"{shard} contains no SQLite database: {_remedy(shard)}")
                if size > MAX_UNPACKED_BYTES:
                    limit = format_size(MAX_UNPACKED_BYTES)
                    raise UserError(f"{shard} unpacks to more than {limit}: unpack it by hand")
                file.write(content)
                piece = b""
                if unpacker.eof:
                    break
            if unpacker.unused_data:
                raise damaged
    if not unpacker.eof:
        raise damaged
    return digest.hexdigest()


def require_new(out: Path) -> None:
    """Raise UserError if a published database cannot be written at a path, or a file exists."""
    if not out.name.endswith(ENDINGS):
        raise UserError(f"{out} ends in none of {', '.join(ENDINGS)}: give it one of these")
    if out.exists() or out.is_symlink():
        raise UserError(f"{out} exists already: give another name")
    if not out.parent.is_dir():
        raise UserError(f"cannot write {out}: there is no folder {out.parent}; create it first")
    require_replaceable(out.with_name(out.name + MANIFEST), "OUT")


def write_shard(
    database: Path, published: Published, selection: Mapping[str, Sequence[str]], out: Path
) -> dict[str, Any]:
    """Write a published database and its manifest; return the manifest.

    The database is compressed if the name says so.
    """
    plain = database.read_bytes()
    content = plain
    if out.name.endswith(COMPRESSED):
        if len(plain) > MAX_UNPACKED_BYTES:
            limit = format_size(MAX_UNPACKED_BYTES)
            raise UserError(f"{out} would unpack to more than {limit}: end its name in .sqlite")
        content = lzma.compress(plain, preset=9 | lzma.PRESET_EXTREME)
    manifest = {
        "file": {"name": out.name, "sha256": _sha256(content), "bytes": len(content)},
        "database": {"sha256": _sha256(plain), "bytes": len(plain)},
        "schema": migrate.current_version(),
        "lcma": importlib.metadata.version("lcma"),
        "selection": selection,
        "sweeps": published.sweeps,
        "trials": published.trials,
        "unfinished": published.unfinished,
        "rows": published.rows,
        "data": [_describe_data(row) for row in published.data],
        "code": published.code,
    }
    text = to_json(manifest) + "\n"
    write_file(out.with_name(out.name + MANIFEST), text.encode(), "OUT")
    write_file(out, content, "OUT")
    return manifest


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _describe_data(row: Mapping[str, Any]) -> dict[str, Any]:
    name = known_sets.set_name(row["name"], row["variant"])
    facts = known_sets.shipped().get(name)
    source = None
    with suppress(ValueError, KeyError, TypeError, RecursionError):
        source = json.loads(row["manifest"])["source"]["verdict"]
    return {
        "name": name,
        "digest": row["digest"],
        "images": {part: row[part] for part in ("train", "holdout", "test")},
        "source": source,
        "licence": "a set of somebody's own" if facts is None else facts.licence,
    }
