"""Stand-ins for the programs that scripts call."""

from pathlib import Path


def write_program(folder: Path, name: str, body: str) -> None:
    """Write a bash script to a folder that comes first on a script's PATH."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/usr/bin/env bash\n{body}\n")
    (folder / name).chmod(0o755)
