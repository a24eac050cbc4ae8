"""Data sets that are damaged or hostile: one line, nothing run, nothing written outside."""

import io
import pickle
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lcma.harness.data import SourceOptions, prepare
from tests.harness.data.conftest import read_set_refusal
from tests.hostile.layouts import (
    NPZ,
    add_to_tar,
    code_pickle,
    copy_layout,
    flip_bit,
    rewrite_zip,
)

Change = Callable[[Path], None]


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


def add_member(name: str, raw: bytes = b"x") -> Change:
    def change(path: Path) -> None:
        with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(name, raw)

    return change


# Arrays


def npy(array: object, header: str | None = None) -> bytes:
    file = io.BytesIO()
    np.save(file, np.asarray(array), allow_pickle=True)
    if header is None:
        return file.getvalue()
    return file.getvalue().replace(b"(25, 3072)", header.encode())


def replace_array(key: str, array: object, header: str | None = None) -> Change:
    return lambda path: rewrite_zip(path, {f"{key}.npy": npy(array, header)}, zipfile.ZIP_DEFLATED)


IMAGES = np.random.default_rng(0).integers(0, 256, (25, 3072), dtype=np.uint8)


BROKEN: dict[str, tuple[Change, str]] = {
    "objects": (replace_array("data", np.array([print])), "Object arrays cannot be loaded"),
    "a flipped bit": (lambda path: flip_bit(path, path.stat().st_size // 2), "is damaged"),
    "a header that computes": (replace_array("data", IMAGES, "(9**9, 3072)"), "malformed node"),
    "a bomb by shape": (replace_array("data", IMAGES, "(99999999999, 3072)"), "is damaged"),
    "a row too few": (replace_array("data", IMAGES, "(26, 3072)"), "is damaged"),
    "a row too many": (replace_array("data", IMAGES[:24]), "uint8 of shape (24, 3072)"),
    "no labels": (lambda path: np.savez(path, data=IMAGES), "has no array 'labels'"),
    "label 0": (replace_array("labels", np.zeros(25, int)), "values outside 1..1000"),
    "float": (replace_array("data", IMAGES.astype(np.float32)), "float32 of shape (25, 3072)"),
    "64": (replace_array("data", np.resize(IMAGES, (25, 12288))), "lcma data prepare imagenet64"),
    "missing": (lambda path: path.unlink(), "lacks train_data_batch_4.npz"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_npz_file_is_refused(npz: Path, case: str) -> None:
    change, reason = BROKEN[case]
    change(npz / NPZ[3])
    message = read_set_refusal("imagenet32", npz)
    assert reason in message
    assert "train_data_batch_4.npz" in message


# Images


def encode(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def make_animation() -> bytes:
    frames = [Image.new("RGB", (40, 40), (40 * k, 0, 0)) for k in range(3)]
    return encode(frames[0], "PNG", save_all=True, append_images=frames[1:])


def make_png(side: int, bits: int) -> bytes:
    """An RGB image that Pillow does not write, with the pixels of 32 x 32."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        end = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + end

    header = struct.pack(">IIBBBBB", side, side, bits, 2, 0, 0, 0)
    rows = zlib.compress((b"\0" + bytes(32 * 3 * bits // 8)) * 32)
    signature = b"\x89PNG\r\n\x1a\n"
    return signature + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


NOISE = np.random.default_rng(1).integers(0, 256, (218, 178, 3), dtype=np.uint8)
PNG = encode(Image.fromarray(NOISE[:32, :32]), "PNG")
BAD = {
    "cmyk": (encode(Image.new("CMYK", (178, 218)), "JPEG"), "neither grey nor RGB"),
    "deep grey": (encode(Image.new("I;16", (32, 32)), "PNG"), "more than 8 bits"),
    "deep colour": (make_png(32, 16), "more than 8 bits"),
    "bomb": (make_png(20_000, 8), " is not taken (more than 67108864 pixels): mend or remove it"),
    "animated": (make_animation(), "animated"),
    "half": (encode(Image.fromarray(NOISE), "JPEG")[:5000], "damaged"),
    "half png": (PNG[:2000], "damaged"),
    "png of all pixels without its end": (PNG[:-12], "damaged"),
    "png with another bit": (PNG[:2000] + bytes([PNG[2000] ^ 1]) + PNG[2001:], "damaged"),
    "text": (b"no image at all", "no image of a known format"),
    "empty": (b"", "no image of a known format"),
    "transparent": (encode(Image.new("RGBA", (32, 32), (9, 9, 9, 9)), "PNG"), "transparent"),
    "broken link": (None, "cannot be read (No such file or directory)"),
    "postscript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "no image of a known"),
}
IMAGE_SETS = {
    "cats": ("images", "0.png", 59),
    "celeba64": ("celeba64", "img_align_celeba/000002.jpg", 19),
    "imagenet32-png": ("imagenet32-png", "train_32x32/000003.png", 66),
}
"""Of each set of image files its layout, one of its files, and how many are left without it."""


@pytest.mark.parametrize(
    ("name", "kind"),
    [*(("cats", kind) for kind in BAD), ("celeba64", "half"), ("imagenet32-png", "broken link")],
)
def test_a_bad_image_is_named_or_left_out(
    tmp_path: Path, sources: Path, name: str, kind: str
) -> None:
    content, reason = BAD[kind]
    layout, file, total = IMAGE_SETS[name]
    source = copy_layout(sources, layout, tmp_path)
    path = source / file
    path.unlink()
    if content is None:
        path.symlink_to("nowhere")
    else:
        path.write_bytes(content)
    size = 16 if name == "cats" else None
    message = read_set_refusal(name, source, options=SourceOptions(size=size))
    assert file in message
    assert reason in message
    assert content is None or "--skip-bad" in message
    skipping = SourceOptions(skip_bad=True, size=size)
    manifest = prepare(name, tmp_path / "root", source=source, options=skipping).manifest
    assert [Path(skipped).name for skipped in manifest.skipped] == [path.name]
    assert sum(n for _, n in manifest.counts.items()) == total


@pytest.mark.parametrize("name", ["celeba64", "imagenet32-png"])
def test_an_image_of_another_size_is_named(tmp_path: Path, sources: Path, name: str) -> None:
    layout, file, _ = IMAGE_SETS[name]
    source = copy_layout(sources, layout, tmp_path)
    Image.new("RGB", (31, 32)).save(source / file)
    assert "31x32" in read_set_refusal(name, source)


# CelebA


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (add_member("img_align_celeba/../../000099.jpg"), "has no line for 1 image"),
        (cut, "cut short or no zip file"),
    ],
)
def test_hostile_zip_files_are_refused(
    tmp_path: Path, sources: Path, change: Change, message: str
) -> None:
    source = copy_layout(sources, "celeba64-zip", tmp_path)
    change(source / "img_align_celeba.zip")
    assert message in read_set_refusal("celeba64", source)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda lines: None, "is missing, which says which image is in which part"),
        (lambda lines: [*lines, "999999.jpg 0"], "lacks 1 image that list_eval_partition.txt"),
        (lambda lines: [*lines, "../../etc/passwd 0"], "line 21 is not the name of an image"),
        (lambda lines: [*lines, "000001.jpg 3"], "line 21 is not the name of an image"),
        (lambda lines: [*lines, "000001.jpg 0"], "line 21 names 000001.jpg again"),
        (lambda lines: lines[:-1], "has no line for 1 image "),
        (lambda lines: [f"{line[:-1]}0" for line in lines], "names no images for validation, test"),
    ],
)
def test_a_wrong_partition_is_refused(
    tmp_path: Path, sources: Path, change: Callable[[list[str]], list[str] | None], message: str
) -> None:
    source = copy_layout(sources, "celeba64", tmp_path)
    listed = source / "list_eval_partition.txt"
    lines = change(listed.read_text().splitlines())
    if lines is None:
        listed.unlink()
    else:
        listed.write_text("\n".join(lines))
    assert message in read_set_refusal("celeba64", source)


# Archives of CIFAR-10


@pytest.fixture
def packed(sources: Path, tmp_path: Path) -> Path:
    return copy_layout(sources, "cifar10-tar", tmp_path) / "cifar.tar.gz"


def member(name: str, link: str = "", size: int = 0) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.linkname, info.type = link, tarfile.SYMTYPE if link else tarfile.REGTYPE
    return info, bytes(size)


def test_what_leads_out_of_an_archive_is_not_followed(
    tmp_path: Path, sources: Path, packed: Path
) -> None:
    add_to_tar(packed, member("../evil"), member("/evil"), member("evil", "/etc"))
    folder = prepare("cifar10", tmp_path / "a", source=sources / "cifar10")
    assert prepare("cifar10", tmp_path / "b", source=packed).manifest == folder.manifest
    assert not list(tmp_path.parent.rglob("evil"))


FIRST = "cifar-10-batches-py/data_batch_1"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: add_to_tar(p, member(FIRST, "/etc/passwd")), "lacks data_batch_1"),
        (lambda p: add_to_tar(p, member(FIRST)), "data_batch_1 has 0 bytes"),
        (cut, "cut short or no official tar.gz file"),
    ],
    ids=["linked", "empty", "cut"],
)
def test_hostile_archives_are_refused(packed: Path, change: Change, message: str) -> None:
    change(packed)
    assert message in read_set_refusal("cifar10", packed)


# Pickles


def test_code_in_a_pickle_is_not_run(batches: Path, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    path = batches / "cifar-10-batches-py" / "data_batch_3"
    path.write_bytes(code_pickle(marker))
    message = read_set_refusal("cifar10", batches)
    assert "holds code (posix.system)" in message
    assert str(path) in message
    assert not marker.exists()
    pickle.loads(path.read_bytes())
    assert marker.exists(), "the pickle must be able to do harm, or this shows nothing"
    huge_memo = b"\x80\x02}r" + struct.pack("<I", 2**32 - 1) + b"."
    for raw in (pickle.dumps([]), huge_memo):
        path.write_bytes(raw)
        assert str(path) in read_set_refusal("cifar10", batches)
