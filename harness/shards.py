"""Shards of published results, and the reference database that is made of those in the package.

A shard is a published database (`lcma.db.publishing`), compressed, beside a manifest. The package
has some, in `evidence/`; all of them as one database are the reference. It is made in the cache of
whoever uses it first, under a digest of the shards and the schema, and is not written after that.
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
from lcma.harness.files import CACHE_VARIABLE, cache_folder, require_replaceable, write_file
from lcma.harness.text import format_size, to_json
from lcma.sweeps import known_sets
from lcma.sweeps.errors import UserError
from lcma.sweeps.input_files import open_regular

FOLDER = Path(str(files("lcma"))) / "evidence"

COMPRESSED = ".xz"
ENDINGS = (".db", ".sqlite", ".sqlite.xz")
"""Endings of published databases; the last is a shard."""

LARGEST = 2**30
"""Most bytes that a shard is unpacked to."""

PIECE = 2**20
"""Bytes of a shard that are read, and unpacked, at once."""

MOST_MEMORY = 2**27
"""Bytes that unpacking a shard may take; what `write_shard` compresses takes half of them."""

MANIFEST = ".manifest.json"
"""Ending of the manifest of a published database, after its own name."""


def open_reference() -> Path:
    """Return the reference database as a file that is not to be written.

    Raises:
        UserError: The package has none, or as `open_shards`.
    """
    shards = sorted(FOLDER.glob(f"*.sqlite{COMPRESSED}"))
    if not shards:
        raise UserError(
            f"this lcma has no reference results: {FOLDER} has no shard; give --db a file or a URL"
        )
    return open_shards(shards)


def open_shards(shards: Sequence[Path]) -> Path:
    """Return shards as one database in the cache, a file that is not to be written.

    Raises:
        UserError: One cannot be read, is no shard or too large, or there is no cache.
    """
    folder = cache_folder("reference")
    if folder is None:
        raise UserError(
            "there is no cache to unpack published results into: name a folder of your own "
            f"with {CACHE_VARIABLE}"
        )
    digests = [_hash(shard) for shard in shards]
    key = hashlib.sha256("\n".join([migrate.current_version(), *digests]).encode()).hexdigest()
    made = folder / f"reference-{key[:16]}.sqlite"
    if not made.exists():
        _make(dict(zip(shards, digests, strict=True)), made)
    return made


def _hash(shard: Path) -> str:
    # Raises UserError where the shard is not the one of the manifest beside it.
    digest = hashlib.sha256()
    for piece in _read_pieces(shard):
        digest.update(piece)
    found, manifest = digest.hexdigest(), shard.with_name(shard.name + MANIFEST)
    try:
        with open_regular(manifest) as source:
            described = json.load(source)["file"]["sha256"]
    except FileNotFoundError:
        return found
    except OSError as error:
        raise UserError(f"cannot read {manifest}: {error.strerror}; {_remedy(shard)}") from None
    except (ValueError, LookupError, TypeError, RecursionError):
        raise UserError(f"{manifest} is no manifest of a shard: {_remedy(shard)}") from None
    if found != described:
        remedy = "put that one back, or move the manifest away"
        raise UserError(
            f"{shard} is not the file that {manifest.name} beside it describes: "
            + (_remedy(shard) if shard.parent == FOLDER else remedy)
        )
    return found


def _read_pieces(shard: Path) -> Iterator[bytes]:
    try:
        with open_regular(shard) as source:
            while piece := source.read(PIECE):
                yield piece
    except OSError as error:
        raise UserError(f"cannot read {shard}: {error.strerror}; {_remedy(shard)}") from None


def _remedy(shard: Path) -> str:
    return "install lcma again" if shard.parent == FOLDER else "name another file"


def _make(shards: Mapping[Path, str], made: Path) -> None:
    # Whole or not at all, whoever else makes it at the same time.
    aside = made.with_name(f".{made.name}.{secrets.token_hex(8)}.tmp")
    try:
        with tempfile.TemporaryDirectory(prefix="lcma-reference-") as folder:
            unpacked = []
            for shard, digest in shards.items():
                path = Path(folder, shard.name.removesuffix(COMPRESSED))
                if _unpack(shard, path) != digest:
                    raise UserError(f"{shard} was changed while it was read: try again")
                unpacked.append(path)
            try:
                combine(unpacked, aside)
            except UserError as error:
                text = str(error)
                for path, shard in zip(unpacked, shards, strict=True):
                    text = text.replace(str(path), str(shard))
                raise UserError(text) from None
        aside.chmod(0o444)
        aside.replace(made)
    except OSError as error:
        raise UserError(
            f"cannot unpack published results to {made.parent}: {error.strerror}; name "
            f"another folder with {CACHE_VARIABLE}"
        ) from None
    finally:
        aside.unlink(missing_ok=True)


def _unpack(shard: Path, out: Path) -> str:
    # Returns the digest of the shard. In pieces: a small file can unpack to anything.
    unpacker = lzma.LZMADecompressor(memlimit=MOST_MEMORY)
    damaged = UserError(f"{shard} is damaged: {_remedy(shard)}")
    digest, head, size = hashlib.sha256(), b"", 0
    with out.open("wb") as file:
        for piece in _read_pieces(shard):
            digest.update(piece)
            while piece or not unpacker.needs_input:
                try:
                    found = unpacker.decompress(piece, PIECE)
                except (lzma.LZMAError, EOFError) as error:
                    if "limit exceeded" in str(error):
                        most = format_size(MOST_MEMORY)
                        raise UserError(
                            f"{shard} takes more than {most} of memory to unpack: unpack it by hand"
                        ) from None
                    raise damaged from None
                head, size = (head + found)[: len(MAGIC)], size + len(found)
                if not MAGIC.startswith(head):
                    raise UserError(f"{shard} holds no SQLite database: {_remedy(shard)}")
                if size > LARGEST:
                    most = format_size(LARGEST)
                    raise UserError(f"{shard} unpacks to more than {most}: unpack it by hand")
                file.write(found)
                piece = b""
                if unpacker.eof:
                    break
            if unpacker.unused_data:
                raise damaged
    if not unpacker.eof:
        raise damaged
    return digest.hexdigest()


def require_new(out: Path) -> None:
    """Raise UserError where a published database cannot be written, or something is there."""
    if not out.name.endswith(ENDINGS):
        raise UserError(f"{out} ends in none of {', '.join(ENDINGS)}: give it one of these")
    if out.exists() or out.is_symlink():
        raise UserError(f"{out} is there already: give another name")
    if not out.parent.is_dir():
        raise UserError(f"cannot write {out}: there is no folder {out.parent}, make it first")
    require_replaceable(out.with_name(out.name + MANIFEST), "OUT")


def write_shard(
    database: Path, published: Published, selection: Mapping[str, Sequence[str]], out: Path
) -> dict[str, Any]:
    """Write a published database as its ending says, and its manifest; return the manifest."""
    plain = database.read_bytes()
    content = plain
    if out.name.endswith(COMPRESSED):
        content = lzma.compress(plain, preset=9 | lzma.PRESET_EXTREME)
    about = {
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
    text = to_json(about) + "\n"
    write_file(out.with_name(out.name + MANIFEST), text.encode(), "OUT")
    write_file(out, content, "OUT")
    return about


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _describe_data(row: Mapping[str, Any]) -> dict[str, Any]:
    name = known_sets.set_name(row["name"], row["variant"])
    known = known_sets.shipped().get(name)
    verdict = None
    with suppress(ValueError, KeyError, TypeError, RecursionError):
        verdict = json.loads(row["manifest"])["source"]["verdict"]
    return {
        "name": name,
        "digest": row["digest"],
        "images": {part: row[part] for part in ("train", "holdout", "test")},
        "source": verdict,
        "licence": "a set of somebody's own" if known is None else known.licence,
    }
