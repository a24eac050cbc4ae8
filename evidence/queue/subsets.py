"""Make the sets of part C: the first training images of a prepared set, with its other parts.

python evidence/queue/subsets.py lcma-data cifar10-16 800 3200 12800 45000
"""

import hashlib
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np

from lcma.harness.data.manifest import ByPart, PartDigest, content_digest


def write_subset(root: Path, source: str, count: int) -> None:
    """Write `<root>/<name>-<count>`, for `cifar10-16` and 800 `cifar10-800`."""
    name = f"{source.partition('-')[0]}-{count}"
    folder = root / name
    images = np.load(root / source / "train.npy", mmap_mode="r")
    if not 0 < count <= len(images):
        sys.exit(f"{source} has {len(images)} training images: give numbers from 1 to that")
    images = images[:count]
    folder.mkdir()
    np.save(folder / "train.npy", images)
    for part in ("holdout", "test"):
        shutil.copyfile(root / source / f"{part}.npy", folder / f"{part}.npy")

    fields: dict[str, Any] = json.loads((root / source / "manifest.json").read_text())
    del fields["seal"]
    fields |= {"name": name, "dataset": name, "box": 1, "expected": None}
    fields["counts"]["train"] = count
    fields["digests"]["train"]["images"] = hashlib.sha256(images.tobytes()).hexdigest()
    fields["digest"] = content_digest(
        tuple(fields["shape"]),
        fields["dtype"],
        ByPart[int](**fields["counts"]),
        ByPart[PartDigest](**fields["digests"]),
    )
    fields["source"]["verdict"] = f"the first {count} training images of {source}"
    canonical = json.dumps(fields, sort_keys=True, separators=(",", ":"))
    seal = hashlib.sha256(canonical.encode()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps({**fields, "seal": seal}, indent=2) + "\n")


if __name__ == "__main__":
    for size in sys.argv[3:]:
        write_subset(Path(sys.argv[1]), sys.argv[2], int(size))
