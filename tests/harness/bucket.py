"""An object store for tests, in a folder that many processes share: no folders, no renames.

An object appears when all of it has been sent. Listings are cached, as those of s3fs are, and stale
until the cache is cleared. The server is unreachable while a file `away` is beside the objects. The
file has the message that clients get.
"""

import os
import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

from fsspec import AbstractFileSystem

VARIABLE = "LCMA_TEST_BUCKET"
"""Names the folder behind the store."""

PART = 4096


class BucketFileSystem(AbstractFileSystem):
    """`bucket://NAME/KEY`; the bucket must exist."""

    protocol = "bucket"
    cachable = False
    listings: ClassVar[dict[str, list[dict[str, Any]]]] = {}

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.root = Path(os.environ[VARIABLE])

    def invalidate_cache(self, path: str | None = None) -> None:
        self.listings.clear()

    def ls(self, path: str, detail: bool = True, **options: Any) -> list[Any]:
        key = self._strip_protocol(path)
        if key not in self.listings:
            self.listings[key] = self._ls(key)
        entries = self.listings[key]
        return entries if detail else [entry["name"] for entry in entries]

    def put_file(self, lpath: str, rpath: str, **options: Any) -> None:
        path = self._object(rpath)
        if not self._bucket(path).is_dir():
            raise FileNotFoundError("The specified bucket does not exist")
        parts = self.root / "uploads" / secrets.token_hex(8)
        parts.parent.mkdir(exist_ok=True)
        with Path(lpath).open("rb") as source, parts.open("wb", buffering=0) as sent:
            while part := source.read(PART):
                self._reach()
                sent.write(part)
        path.parent.mkdir(parents=True, exist_ok=True)
        parts.rename(path)

    def get_file(self, rpath: str, lpath: str, **options: Any) -> None:
        self._reach()
        Path(lpath).write_bytes(self._object(rpath).read_bytes())

    def rm_file(self, path: str) -> None:
        self._reach()
        file = self._object(path)
        file.unlink()
        for folder in file.parents:
            if folder == self._bucket(file) or any(folder.iterdir()):
                return
            folder.rmdir()

    def _ls(self, key: str) -> list[dict[str, Any]]:
        self._reach()
        folder = self._object(key)
        entries: list[dict[str, Any]] = []
        for path in sorted(folder.iterdir() if folder.is_dir() else ()):
            entry = {"name": f"{key}/{path.name}", "size": 0, "type": "directory"}
            if path.is_file():
                status = path.stat()
                entry |= {"size": status.st_size, "type": "file"}
                entry["LastModified"] = datetime.fromtimestamp(status.st_mtime, UTC)
            elif not any(child.is_file() for child in path.rglob("*")):
                continue
            entries.append(entry)
        if not entries:
            raise FileNotFoundError(key)
        return entries

    def _object(self, path: str) -> Path:
        return self.root / "objects" / self._strip_protocol(path)

    def _bucket(self, path: Path) -> Path:
        objects = self.root / "objects"
        return objects / path.relative_to(objects).parts[0]

    def _reach(self) -> None:
        message = self.root / "away"
        if message.exists():
            raise ConnectionError(message.read_text())
