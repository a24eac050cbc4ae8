"""Synthetic sources of every official layout and of own images, and damage to bytes."""

import io
import os
import pickle
import shutil
import tarfile
import zipfile
from collections.abc import Iterable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from PIL import Image

BATCHES = (*(f"data_batch_{k}" for k in range(1, 6)), "test_batch")
NPZ = (*(f"train_data_batch_{k}.npz" for k in range(1, 11)), "val_data.npz")
KINDS = ("png", "jpg", "webp", "bmp", "tif", "ppm", "gif")

LAYOUTS = {
    "images": ("cats", "images"),
    "cifar10": ("cifar10", "cifar10"),
    "cifar10-tar": ("cifar10", "cifar10-tar/cifar.tar.gz"),
    "imagenet32": ("imagenet32", "imagenet32"),
    "imagenet32-png": ("imagenet32-png", "imagenet32-png"),
    "celeba64": ("celeba64", "celeba64"),
    "celeba64-zip": ("celeba64", "celeba64-zip"),
}
"""Name of a data set and place of its files, by the folder that `write_layouts` makes."""


def write_layouts(folder: Path) -> None:
    random = np.random.default_rng(0)

    def pixels(*shape: int) -> Any:
        return random.integers(0, 256, shape, dtype=np.uint8)

    def write_images(place: Path, names: Iterable[str], *shape: int) -> None:
        place.mkdir(parents=True)
        for name in names:
            Image.fromarray(pixels(*shape)).save(place / name)

    write_images(folder / "images", (f"{k}.{KINDS[k % 7]}" for k in range(60)), 20, 18, 3)
    batches = write_batches(folder / "cifar10") / "cifar-10-batches-py"
    (folder / "cifar10-tar").mkdir()
    with tarfile.open(folder / "cifar10-tar" / "cifar.tar.gz", "w:gz") as archive:
        archive.add(batches, batches.name)
    (folder / "imagenet32").mkdir()
    for name in NPZ:
        labels = random.integers(1, 1001, 25)
        np.savez(folder / "imagenet32" / name, data=pixels(25, 3072), labels=labels)
    for part, count in (("train", 60), ("valid", 7)):
        place = folder / "imagenet32-png" / f"{part}_32x32"
        write_images(place, (f"{k:06d}.png" for k in range(count)), 32, 32, 3)
    faces = [f"{k:06d}.jpg" for k in range(1, 21)]
    listed = "".join(f"{name} {k % 3}\r\n" for k, name in enumerate(faces))
    images = folder / "celeba64" / "img_align_celeba"
    write_images(images, faces, 218, 178, 3)
    (folder / "celeba64-zip").mkdir()
    with zipfile.ZipFile(folder / "celeba64-zip" / "img_align_celeba.zip", "w") as packed:
        for name in faces:
            packed.write(images / name, f"img_align_celeba/{name}")
    for layout in ("celeba64", "celeba64-zip"):
        (folder / layout / "list_eval_partition.txt").write_bytes(listed.encode())


def write_batches(folder: Path, seed: int = 0, protocol: int = 2) -> Path:
    """Write batches of 13 images in the layout of CIFAR-10; return the folder."""
    random = np.random.default_rng(seed)
    batches = folder / "cifar-10-batches-py"
    batches.mkdir(parents=True)
    for name in BATCHES:
        labels = random.integers(0, 10, 13).tolist()
        images = random.integers(0, 256, (13, 3072), dtype=np.uint8)
        batch = {b"labels": labels, b"data": images, b"batch_label": name.encode()}
        (batches / name).write_bytes(pickle.dumps(batch, protocol))
    (batches / "batches.meta").write_bytes(pickle.dumps({"label_names": ["a"] * 10}, 2))
    return folder


def copy_layout(sources: Path, name: str, folder: Path) -> Path:
    return Path(shutil.copytree(sources / name, folder / name))


def flip_bit(path: Path, position: int = -1) -> None:
    """Change a bit of one byte; the size stays."""
    raw = bytearray(path.read_bytes())
    raw[position] ^= 1
    path.write_bytes(raw)


def mangle(random: Random, raw: bytes) -> bytes:
    """Return bytes with a random damage."""
    content = bytearray(raw)
    start = random.randrange(len(raw)) if raw else 0
    damage = random.randrange(8)
    if damage < 6:
        return (
            raw[:start],
            raw + random.randbytes(50),
            b"",
            raw[:start] + random.randbytes(8) + raw[start:],
            raw[:start] + raw[start + random.randrange(1, 2000) :],
            random.randbytes(len(raw) % 5000),
        )[damage]
    if damage == 6 and len(raw) > 8:
        start = random.randrange(min(len(raw) - 4, 200))
        content[start : start + 4] = random.choice((b"\xff" * 4, b"\0" * 4, b"\x7f\xff\xff\xff"))
        return bytes(content)
    for _ in range(random.choice((1, 3, 30)) if raw else 0):
        content[random.randrange(len(raw))] ^= 1 << random.randrange(8)
    return bytes(content)


def mangle_file(random: Random, path: Path) -> None:
    path.write_bytes(mangle(random, path.read_bytes()))


def rewrite_zip(
    path: Path, changes: dict[str, bytes], compression: int = zipfile.ZIP_STORED
) -> None:
    """Rewrite an archive with changed members."""
    with zipfile.ZipFile(path) as old:
        content = {name: old.read(name) for name in old.namelist()} | changes
    with zipfile.ZipFile(path, "w", compression) as new:
        for name, raw in content.items():
            new.writestr(name, raw)


def add_to_tar(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> None:
    """Add members to an archive; they replace others of the same name."""
    with tarfile.open(path) as old:
        content = [(info, file.read()) for info in old if (file := old.extractfile(info))]
    added = {info.name for info, _ in members}
    with tarfile.open(path, "w:gz", compresslevel=1) as new:
        for info, raw in (*(pair for pair in content if pair[0].name not in added), *members):
            info.size = len(raw)
            new.addfile(info, io.BytesIO(raw))


def code_pickle(ran: Path) -> bytes:
    """Return a pickle that makes the file `ran` when it is loaded."""

    class Planted:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.system, (f"touch {ran}",)

    return pickle.dumps({b"data": Planted(), b"labels": [1]}, 2)
