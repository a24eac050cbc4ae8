"""Our preparing of image files against a plain Pillow loop on one core.

One command, one run, sides in alternation: `python -m benchmarks.decoding FOLDER`, FOLDER being
one of CelebA's aligned images (`--celeba`) or of any images. What it says is in
benchmarks/README.md.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

SIZE = 64


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.decoding", description=__doc__)
    parser.add_argument("folder", type=Path, help="images, all of them files that lcma takes")
    parser.add_argument("--celeba", action="store_true", help="img_align_celeba and its list")
    parser.add_argument("--size", type=int, default=SIZE, help="pixels (default: 64)")
    parser.add_argument("--repeats", type=int, default=5, help="pairs (default: 5)")
    given = parser.parse_args(arguments)

    import PIL
    import torch

    size = SIZE if given.celeba else given.size
    below = given.folder / "img_align_celeba" if given.celeba else given.folder
    files = sorted(p for p in below.rglob("*") if p.is_file())
    print(
        f"Pillow {PIL.__version__}, torch {torch.__version__}, cores {os.cpu_count()}, "
        f"load average {os.getloadavg()[0]:.2f}, {len(files)} files, pairs {given.repeats}",
        flush=True,
    )
    _ours(given.folder, size, given.celeba)
    _pillow(files, size, given.celeba)
    seconds = np.array(
        [
            (_ours(given.folder, size, given.celeba), _pillow(files, size, given.celeba))
            for _ in range(given.repeats)
        ]
    )
    ours, theirs = np.median(seconds, axis=0)
    low, middle, high = np.percentile(seconds[:, 1] / seconds[:, 0], (25, 50, 75))
    print(
        f"Pillow on one core / lcma data prepare: time {middle:.2f} ({low:.2f} to {high:.2f}); "
        f"{len(files) / theirs:.0f} and {len(files) / ours:.0f} images/s"
    )
    return 0


def _ours(folder: Path, size: int, celeba: bool) -> float:
    """Seconds of all that `prepare` does: hashing, decoding, writing and waiting for the disk."""
    from lcma.harness.data import SourceOptions, prepare

    with tempfile.TemporaryDirectory() as root:
        began = time.perf_counter()
        if celeba:
            prepare("celeba64", Path(root), source=folder)
        else:
            options = SourceOptions(size=size, grey_to_rgb=True)
            prepare("images", Path(root), source=folder, options=options)
        return time.perf_counter() - began


def _pillow(files: Sequence[Path], size: int, celeba: bool) -> float:
    """Seconds of the loop that a person would write: open, cut, resize, save; no checks."""
    from PIL import Image

    with tempfile.TemporaryDirectory() as root:
        began = time.perf_counter()
        found = []
        for path in files:
            with Image.open(path) as image:
                side = min(image.size)
                left, top = (image.width - side) // 2, (image.height - side) // 2
                box = (15, 40, 163, 188) if celeba else (left, top, left + side, top + side)
                square = image.convert("RGB").crop(box)
                small = square.resize((size, size), Image.Resampling.BILINEAR)
                found.append(np.asarray(small).transpose(2, 0, 1))
        np.save(Path(root) / "images.npy", np.stack(found))
        return time.perf_counter() - began


if __name__ == "__main__":
    raise SystemExit(main())
