"""Data sets that are damaged or hostile: one line, nothing run, nothing written outside."""

import codecs
import gzip
import io
import os
import pickle
import resource
import shutil
import struct
import tarfile
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

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

Change = Callable[[Path], object]


@pytest.fixture
def within_a_gibibyte() -> Iterator[None]:
    """Let the test take a gibibyte of memory and no more."""
    limits = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 2**30, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, limits)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


def add_member(name: str, raw: bytes = b"x") -> Change:
    def change(path: Path) -> None:
        with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a name that stands twice
            archive.writestr(name, raw)

    return change


# Arrays


def npy(array: object, header: str | None = None) -> bytes:
    file, values = io.BytesIO(), np.asarray(array)
    np.save(file, values, allow_pickle=True)
    if header is None:
        return file.getvalue()
    return file.getvalue().replace(str(values.shape).encode(), header.encode())


def replace_array(key: str, array: object, header: str | None = None) -> Change:
    return lambda path: rewrite_zip(path, {f"{key}.npy": npy(array, header)}, zipfile.ZIP_DEFLATED)


def prepend(path: Path, count: int) -> None:
    path.write_bytes(bytes(count) + path.read_bytes())


IMAGES = np.random.default_rng(0).integers(0, 256, (25, 3072), dtype=np.uint8)


BROKEN: dict[str, tuple[Change, str]] = {
    "objects": (replace_array("data", np.array([print])), "'data' is object of shape (1,)"),
    "a flipped bit": (lambda path: flip_bit(path, path.stat().st_size // 2), "is damaged"),
    "a header that computes": (replace_array("data", IMAGES, "(9**9, 3072)"), "malformed node"),
    "a bomb by shape": (replace_array("data", IMAGES, "(99999999999, 3072)"), "not uint8 of shape"),
    "a row too few": (replace_array("data", IMAGES[:24], "(25, 3072)"), "is damaged (cut short)"),
    "more than its shape": (
        replace_array("data", np.resize(IMAGES, (26, 3072)), "(25, 3072)"),
        "is damaged (longer than its shape)",
    ),
    "a row too many": (replace_array("data", IMAGES[:24]), "uint8 of shape (24, 3072)"),
    "no labels": (lambda path: np.savez(path, data=IMAGES), "has no array 'labels'"),
    "label 0": (replace_array("labels", np.zeros(25, int)), "values outside 1..1000"),
    **{
        f"labels of {kind}": (
            replace_array("labels", np.ones(25).astype(kind)),
            f"'labels' is {np.dtype(kind)} of shape (25,)",
        )
        for kind in ("f8", "?", "c16", "U4", "M8[s]", [("a", "i8")])
    },
    "labels in rows": (replace_array("labels", np.ones((5, 5), int)), "int64 of shape (5, 5)"),
    "no label": (replace_array("labels", np.ones(0, int)), "not 1 to 256234 integers"),
    "labels of no size": (replace_array("labels", np.ones(25, "U4"), f"({2**40},)"), "'labels' is"),
    "two arrays": (add_member("data.npy", npy(IMAGES)), "has two arrays 'data'"),
    "bzip2": (
        lambda path: rewrite_zip(path, {}, zipfile.ZIP_BZIP2),
        "is damaged (an unusual compression)",
    ),
    "a long header": (
        lambda path: rewrite_zip(path, {"data.npy": b"\x93NUMPY\2\0" + b"\xff" * 4 + bytes(9)}),
        "is damaged (npy version (2, 0))",
    ),
    "columns": (replace_array("data", np.asfortranarray(IMAGES)), "stored by columns"),
    "a copy": (
        lambda path: shutil.copy(path.with_name(NPZ[2]), path),
        f"holds the same images as {NPZ[2]}",
    ),
    "junk": (lambda path: prepend(path, 10**7), "has "),
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


def make_pages(count: int) -> bytes:
    """A TIFF file of many pages, all of the same pixels."""
    page = encode(Image.new("RGB", (32, 32)), "TIFF")
    (start,) = struct.unpack("<I", page[4:8])
    (entries,) = struct.unpack("<H", page[start : start + 2])
    body = page[start : start + 2 + 12 * entries]
    starts = range(len(page), len(page) + count * (len(body) + 4), len(body) + 4)
    following = b"".join(body + struct.pack("<I", at) for at in (*starts[1:], 0))
    return page[:4] + struct.pack("<I", len(page)) + page[8:] + following


NOISE = np.random.default_rng(1).integers(0, 256, (218, 178, 3), dtype=np.uint8)
PNG = encode(Image.fromarray(NOISE[:32, :32]), "PNG")
BAD = {
    "cmyk": (encode(Image.new("CMYK", (178, 218)), "JPEG"), "neither grey nor RGB"),
    "deep grey": (encode(Image.new("I;16", (32, 32)), "PNG"), "more than 8 bits"),
    "deep colour": (make_png(32, 16), "more than 8 bits"),
    "bomb": (make_png(20_000, 8), " is not taken (more than 67108864 pixels): mend or remove it"),
    "animated": (make_animation(), "animated"),
    "pages": (make_pages(200_000), "of several pages"),
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


def add_large_members(path: Path) -> None:
    """Add members that say that they unpack to 300 MB each."""
    with zipfile.ZipFile(path, "a") as archive:
        for k in range(100, 115):
            archive.writestr(f"img_align_celeba/{k:06d}.jpg", b"")
            archive.filelist[-1].file_size = 3 * 10**8


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (add_member("img_align_celeba/../../000099.jpg"), "has no line for 1 image"),
        (add_member("img_align_celeba/000002.jpg"), "holds 000002.jpg twice"),
        (add_member("other/000002.jpg"), "holds 000002.jpg twice"),
        (add_large_members, "unpacks to more than 4294967296 bytes"),
        (lambda path: rewrite_zip(path, {}, zipfile.ZIP_LZMA), "packed in an unusual way"),
        (
            lambda path: rewrite_zip(
                path, {"img_align_celeba/000002.jpg": bytes(2**21)}, zipfile.ZIP_DEFLATED
            ),
            "000002.jpg is damaged (more than 1048576 bytes)",
        ),
        (cut, "cut short or no zip file"),
        (lambda path: os.truncate(path, 20 * 2**30), "cut short or no zip file"),
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


def test_an_archive_is_unpacked_up_to_a_limit(packed: Path, within_a_gibibyte: None) -> None:
    """A member that is not wanted is unpacked to be skipped, and the header of another is kept."""
    for kind in (tarfile.REGTYPE, tarfile.XHDTYPE):
        info = tarfile.TarInfo("readme.html")
        info.size, info.type = 21 * 10**9, kind
        packer = zlib.compressobj(1, wbits=31)
        start = packer.compress(info.tobuf(tarfile.GNU_FORMAT)) + packer.flush(zlib.Z_FULL_FLUSH)
        zeros = packer.compress(bytes(2**20)) + packer.flush(zlib.Z_FULL_FLUSH)
        packed.write_bytes(start + zeros * 500)
        assert "unpacks to more than 434000000 bytes" in read_set_refusal("cifar10", packed)


def test_an_archive_with_a_batch_twice_is_refused(packed: Path) -> None:
    with gzip.open(packed) as file, tarfile.open(fileobj=file) as old:
        batch = old.extractfile(FIRST).read()
    with tarfile.open(packed, "w:gz") as new:
        for folder in ("a", "b"):
            info = tarfile.TarInfo(f"{folder}/data_batch_1")
            info.size = len(batch)
            new.addfile(info, io.BytesIO(batch))
    assert "data_batch_1 stands twice" in read_set_refusal("cifar10", packed)


def test_a_test_batch_of_training_images_is_refused(batches: Path) -> None:
    folder = batches / "cifar-10-batches-py"
    batch = pickle.loads((folder / "data_batch_1").read_bytes())
    (folder / "test_batch").write_bytes(pickle.dumps(batch | {b"batch_label": b"other"}, 4))
    message = read_set_refusal("cifar10", batches)
    assert "test_batch holds the same images as data_batch_1" in message


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


class Call:
    """Pickled as a call of a function, whose result gets a state."""

    def __init__(self, function: Callable[..., object], *arguments: object, state: object = None):
        self.reduced = (function, arguments, state)

    def __reduce__(self) -> tuple[Any, ...]:
        return self.reduced


UINT8 = np.dtype("u1")
RECONSTRUCT = np.arange(3).__reduce__()[0]


def pack(data: object) -> bytes:
    return pickle.dumps({b"data": data, b"labels": [1] * 60}, 2)


def nest(depth: int) -> bytes:
    """Return a dict whose key is a tuple in a tuple in a tuple."""
    return b"\x80\x04}" + b")" + b"\x85" * depth + b"Ns."


def collide(count: int) -> bytes:
    """Return a dict of integers that all have one hash."""
    keys = (k * (2**61 - 1) for k in range(count))
    return (
        b"\x80\x04}("
        + b"".join(b"\x8a\x0b" + k.to_bytes(11, "little") + b"N" for k in keys)
        + b"u."
    )


def reuse(count: int) -> bytes:
    """Return a list of one long text that is encoded again and again."""
    text = b"X" + struct.pack("<I", 10**6) + b"x" * 10**6 + b"q\0"
    latin = b"X\6\0\0\0latin1q\1"
    again = b"c_codecs\nencode\nh\0h\1\x86R"
    return b"\x80\2](" + text + latin + again * count + b"e."


HOSTILE_PICKLES = {
    "nested tuples": (nest(300_000), "nested containers"),
    "an array of objects with too short a list": (
        pack(
            Call(
                RECONSTRUCT,
                np.ndarray,
                (0,),
                b"b",
                state=(1, (60, 3072), np.dtype("O"), False, [1] * 3),
            )
        ),
        "an array of 'O8'",
    ),
    "memory that nobody wrote": (
        pack(Call(np.ndarray, (60, 3072), UINT8)),
        "unknown use of numpy.ndarray",
    ),
    "an array without a state": (
        pack(Call(RECONSTRUCT, np.ndarray, (60, 3072), b"B")),
        "unknown use of numpy._core.multiarray._reconstruct",
    ),
    "an array without content": (
        pack(Call(RECONSTRUCT, np.ndarray, (0,), b"b")),
        "without content",
    ),
    "an array of too few bytes": (
        pack(
            Call(
                RECONSTRUCT,
                np.ndarray,
                (0,),
                b"b",
                state=(1, (10**6, 3072), UINT8, False, b"x" * 3072),
            )
        ),
        "an array of 3072 bytes that has another shape",
    ),
    "strides of 0": (
        pack(Call(np.ndarray, (10**6, 3072), UINT8, bytes(3072), 0, (0, 1))),
        "unknown use of numpy.ndarray",
    ),
    "bytes that nobody wrote": (pack(Call(bytes, 3 * 10**9)), "unknown use of builtins.bytes"),
    "a length without content": (
        b"\x80\x05\x96" + struct.pack("<Q", 7 * 2**29) + b"x.",
        "expected 3758096384 bytes",
    ),
    "an encoding that grows": (
        pack(Call(codecs.encode, "x", "hex")),
        "unknown use of _codecs.encode",
    ),
    "a text encoded again and again": (reuse(3000), "encoded again and again"),
    "keys that collide": (collide(100_000), "a number of more than 64 bits"),
    "many opcodes": (b"\x80\2" + b"N" * 10**6 + b".", "more than 524288 opcodes"),
    "one key twice": (
        pickle.dumps({b"data": 1, "data": 2}, 2),
        "a key that is no text or stands twice",
    ),
    "a list in a list": (pickle.dumps([[]]), "nested containers"),
    "no mark": (b"\x80\2}u.", "cut short"),
    "nothing to read": (b"\x80\2h\7.", "cut short"),
    "a huge number": (b"\x80\2\x8b" + struct.pack("<I", 10**6) + b"\x7f" * 10**6 + b".", "64 bits"),
}


@pytest.mark.parametrize("case", HOSTILE_PICKLES)
def test_a_hostile_pickle_is_refused(batches: Path, case: str, within_a_gibibyte: None) -> None:
    path = batches / "cifar-10-batches-py" / "data_batch_1"
    raw, reason = HOSTILE_PICKLES[case]
    path.write_bytes(raw)
    message = read_set_refusal("cifar10", batches)
    assert str(path) in message
    assert reason in message
