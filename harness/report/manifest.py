"""What an export was made of, for whoever finds the file: stored beside it."""

import hashlib
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from lcma.db.schema import REVISIONS
from lcma.harness.report.text import to_json

SUFFIX = ".manifest.json"


def make_manifest(content: bytes, query: Mapping[str, Any]) -> str:
    """JSON with the schema of the database, the query, the version of lcma, and the digest.

    Nothing in it depends on when or where the export was made.
    """
    return (
        to_json(
            {
                "generator": f"lcma {version('lcma')}",
                "schema": REVISIONS[-1],
                "query": dict(query),
                "bytes": len(content),
                "sha256": hashlib.sha256(content).hexdigest(),
            }
        )
        + "\n"
    )
