"""The build hook, which adds the commit to wheels and source distributions."""

import os
import re
import runpy
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CommitHook(BuildHookInterface):
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the commit's file: from git, else the source distribution's, else LCMA_COMMIT."""
        if version == "editable":  # it runs the checkout, whose commit changes
            return
        root = Path(self.root)
        read_commit = runpy.run_path(str(root / "harness" / "version.py"))["read_commit"]
        commit = read_commit(root) or os.environ.get("LCMA_COMMIT")
        if not commit:
            return
        if not re.fullmatch(r"[0-9a-f]{7,64}(-\w+)?", commit):
            raise ValueError(f"LCMA_COMMIT must be COMMIT or COMMIT-DIGEST, not {commit!r}")
        self.folder = tempfile.TemporaryDirectory()
        path = Path(self.folder.name, "commit")
        path.write_text(commit)
        build_data["force_include"][str(path)] = "src/lcma/_commit"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        if hasattr(self, "folder"):
            self.folder.cleanup()
