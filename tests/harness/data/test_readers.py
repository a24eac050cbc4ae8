"""Every layout is read as it should be, and what is broken or hostile is refused in one line."""

import functools
import io
import os
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lcma.harness.data import Prepared, SourceOptions, load, prepare
from lcma.harness.data.boxfilter import box_filter

Refused = Callable[[Path, Callable[[], object]], str]
SHARED = Path(__file__).parents[4] / "shared" / "data"
NPZ = [*(f"train_data_batch_{k}.npz" for k in range(1, 11)), "val_data.npz"]


def real(name: str) -> Path:
    folder = SHARED / name
    if not folder.is_dir():
        pytest.skip(f"the real piece {name} is not beside the repository (../shared/data)")
    return folder


def write_npz(path: Path, n: int, size: int = 32, seed: int = 0, **changes: object) -> None:
    rng = np.random.default_rng(seed)
    arrays: dict[str, object] = {
        "data": rng.integers(0, 256, (n, 3 * size * size), dtype=np.uint8),
        "labels": rng.integers(1, 1001, n),
    } | changes
    np.savez(path, **{k: v for k, v in arrays.items() if v is not None})  # type: ignore[arg-type]


@pytest.fixture
def npz(tmp_path: Path) -> Path:
    """A folder in the npz layout, 25 images a file."""
    folder = tmp_path / "npz"
    folder.mkdir()
    for k, name in enumerate(NPZ):
        write_npz(folder / name, 25, seed=k)
    return folder


@pytest.fixture
def celeba(tmp_path: Path) -> Path:
    """Twenty real faces: 14 of train, 3 and 3."""
    folder, source = tmp_path / "celeba", real("celeba")
    (folder / "img_align_celeba").mkdir(parents=True)
    names = sorted(p.name for p in (source / "img_align_celeba").iterdir())[:20]
    lines = []
    for k, name in enumerate(names):
        shutil.copyfile(source / "img_align_celeba" / name, folder / "img_align_celeba" / name)
        lines.append(f"{name} {0 if k < 14 else 1 + k % 2}\r\n")
    (folder / "list_eval_partition.txt").write_bytes("".join(lines).encode())
    return folder


@pytest.fixture
def pngs(tmp_path: Path) -> Path:
    """The PNG layout: 60 and 7 images of the real npz piece."""
    source, folder = real("imagenet32"), tmp_path / "pngs"
    with np.load(source / NPZ[0]) as train, np.load(source / NPZ[-1]) as test:
        for name, data in (("train", train["data"][:60]), ("valid", test["data"][:7])):
            (folder / f"{name}_32x32").mkdir(parents=True)
            for k, row in enumerate(data.reshape(-1, 3, 32, 32)):
                image = Image.fromarray(np.ascontiguousarray(row.transpose(1, 2, 0)))
                image.save(folder / f"{name}_32x32" / f"{k:06d}.png")
    return folder


@pytest.fixture
def pictures(tmp_path: Path, drawn_pictures: Path) -> Path:
    """Sixty colour files of many kinds and sizes, in folders, free to change."""
    return Path(shutil.copytree(drawn_pictures, tmp_path / "pictures"))


@pytest.fixture(scope="module")
def drawn_pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drawn")
    rng = np.random.default_rng(0)
    kinds = ["png", "jpg", "webp", "bmp", "tif", "ppm", "gif"]
    for k in range(60):
        h, w = 20 + k, 90 - k
        at = folder / f"f{k % 3}" / f"{k:03d}.{kinds[k % len(kinds)]}"
        at.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (h, w, 3), dtype=np.uint8)).save(at)
    return folder


def images_of(prepared: Prepared) -> dict[str, np.ndarray]:
    return {part: np.asarray(prepared.part(part).images) for part in ("train", "holdout", "test")}  # type: ignore[arg-type]


# --- npz


@pytest.mark.slow_on("[64]")
@pytest.mark.parametrize("size", [32, 64])
def test_the_real_npz_piece(tmp_path: Path, size: int) -> None:
    source = real(f"imagenet{size}")
    prepared = prepare(f"imagenet{size}", tmp_path, source=source)
    manifest = prepared.manifest
    assert dict(manifest.counts.items()) == {"train": 1470, "holdout": 30, "test": 500}
    assert (manifest.dataset, manifest.variant) == (f"imagenet{size}", "npz")
    assert "1470 of 1255544 train" in manifest.deviation
    everything = np.concatenate([np.load(source / n)["data"] for n in NPZ[:-1]])
    images = everything.reshape(-1, 3, size, size)
    np.testing.assert_array_equal(prepared.part("holdout").images, images[49::50])
    rest = np.delete(images, np.s_[49::50], axis=0)
    np.testing.assert_array_equal(prepared.part("train").images, rest)


def test_a_filtered_form_is_named_by_its_size_before_the_variant(
    tmp_path: Path, pngs: Path
) -> None:
    full = images_of(prepare("imagenet32-png", tmp_path, source=pngs))
    half = prepare("imagenet32-16-png", tmp_path, source=pngs)
    assert (half.manifest.dataset, half.manifest.variant) == ("imagenet32-16", "png")
    assert half.manifest.box == 2
    for part, images in images_of(half).items():
        np.testing.assert_array_equal(images, box_filter(full[part], 2))


def evil(path: Path) -> None:
    np.savez(path, data=np.array([print], object), labels=np.array([1]))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


def flip(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 255
    path.write_bytes(raw)


def bomb(path: Path) -> None:
    data = np.zeros((20_000, 3072), np.uint8)
    np.savez_compressed(path, data=data, labels=np.ones(20_000, int))


def lzma(path: Path) -> None:
    """Pack the first member by another method, and damage it."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
        first = archive.infolist()[0]
    raw = bytearray(path.read_bytes())
    at = first.header_offset + 30 + len(first.filename) + first.compress_size // 2
    raw[at : at + 64] = bytes(byte ^ 255 for byte in raw[at : at + 64])
    path.write_bytes(raw)


def lying(path: Path, rows: int = 10**9) -> None:
    header, labels = io.BytesIO(), io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "|u1", "fortran_order": False, "shape": (rows, 3072)}
    )
    np.save(labels, np.ones(min(rows, 25), int))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("data.npy", header.getvalue() + bytes(24 * 3072))
        archive.writestr("labels.npy", labels.getvalue())


def lying_a_little(path: Path) -> None:
    lying(path, 25)


def with_member(name: str) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr(name, b"x")

    return change


def data_twice(path: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate name"):
        with_member("data.npy")(path)


def changed(**changes: object) -> Callable[[Path], None]:
    return lambda path: write_npz(path, 25, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        pytest.param(evil, "'data' is object of shape (1,)", id="objects"),
        pytest.param(cut, "cut short or no zip file", id="truncated"),
        pytest.param(flip, "is damaged", id="a flipped bit"),
        pytest.param(bomb, "which no images do", id="bomb by ratio"),
        pytest.param(lzma, "is damaged", id="another packing"),
        pytest.param(lying, "uint8 of shape (1000000000, 3072)", id="bomb by shape"),
        pytest.param(lying_a_little, "fewer bytes than its header says", id="a row too few"),
        pytest.param(data_twice, "is damaged", id="data twice"),
        pytest.param(changed(labels=None), "has no array 'labels'", id="no labels"),
        pytest.param(changed(data=None), "has no array 'data'", id="no data"),
        pytest.param(changed(labels=np.zeros(25, int)), "other values than 1..1000", id="label 0"),
        pytest.param(changed(labels=np.ones(24, int)), "(24,) for 25 images", id="few labels"),
        pytest.param(
            changed(data=np.ones((25, 3072), np.float32)), "float32 of shape (25, 3072)", id="float"
        ),
        pytest.param(
            changed(data=np.asfortranarray(np.ones((25, 3072), np.uint8))),
            "column by column",
            id="columns",
        ),
        pytest.param(changed(data=np.ones((0, 3072), np.uint8)), "shape (0, 3072)", id="empty"),
        pytest.param(
            changed(data=np.ones((25, 12288), np.uint8)), "lcma data prepare imagenet64", id="64"
        ),
        pytest.param(lambda p: p.unlink(), "lacks train_data_batch_4.npz", id="missing"),
    ],
)
def test_broken_npz_is_refused(
    tmp_path: Path, npz: Path, refused: Refused, change: Callable[[Path], None], says: str
) -> None:
    change(npz / NPZ[3])
    root = tmp_path / "root"
    message = refused(root, lambda: prepare("imagenet32", root, source=npz))
    assert says in message
    assert "train_data_batch_4.npz" in message


def test_a_file_that_is_read_in_pieces_gives_the_same_set(
    tmp_path: Path, npz: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = prepare("imagenet32", tmp_path / "whole", source=npz)
    monkeypatch.setattr("lcma.harness.data.imagenet_npz._STEP_BYTES", 7 * 3072)
    assert prepare("imagenet32", tmp_path / "pieces", source=npz).manifest == whole.manifest


def test_a_member_that_leads_out_of_an_archive_is_nothing_but_a_name(
    tmp_path: Path, npz: Path
) -> None:
    before = prepare("imagenet32", tmp_path / "before", source=npz).manifest
    with_member("../../evil.npy")(npz / NPZ[3])
    after = prepare("imagenet32", tmp_path / "root", source=npz).manifest
    assert after.digest == before.digest
    assert not list(tmp_path.parent.rglob("evil.npy"))


# --- a change of the source while it is read


@pytest.mark.parametrize("name", ["imagenet32", "celeba64", "imagenet32-png", "mine"])
def test_a_source_that_changes_is_refused(
    tmp_path: Path, refused: Refused, request: pytest.FixtureRequest, name: str
) -> None:
    fixture = {"imagenet32": "npz", "celeba64": "celeba", "imagenet32-png": "pngs"}
    source: Path = request.getfixturevalue(fixture.get(name, "pictures"))
    options = SourceOptions(size=16) if name == "mine" else SourceOptions()
    root = tmp_path / "root"

    def change(label: str, done: int, total: int) -> None:
        # All are hashed, none is decoded.
        if label.startswith("checking") and done == total:
            victim = sorted(p for p in source.rglob("*") if p.is_file())[3]
            victim.write_bytes(victim.read_bytes() + b"x")

    def call() -> Prepared:
        return prepare(name, root, source=source, options=options, progress=change)

    assert "changed while it was read" in refused(root, call)


# --- the wrong layout for a name


def test_a_wrong_release_is_sent_to_its_name(
    tmp_path: Path, pngs: Path, npz: Path, refused: Refused
) -> None:
    root = tmp_path / "root"
    asked = [
        ("imagenet32", pngs, f"lcma data prepare imagenet32-png --from {pngs}"),
        ("imagenet64-png", pngs, f"lcma data prepare imagenet32-png --from {pngs}"),
        ("imagenet32-png", npz, f"lcma data prepare imagenet32 --from {npz}"),
    ]
    for name, source, says in asked:
        call = functools.partial(prepare, name, root, source=source)
        assert says in refused(root, call)


# --- PNG folders


def test_png_folders(tmp_path: Path, pngs: Path) -> None:
    prepared = prepare("imagenet32-png", tmp_path, source=pngs)
    manifest = prepared.manifest
    assert dict(manifest.counts.items()) == {"train": 59, "holdout": 1, "test": 7}
    with np.load(real("imagenet32") / NPZ[0]) as train:
        wanted = train["data"][:60].reshape(-1, 3, 32, 32)
    np.testing.assert_array_equal(prepared.part("holdout").images, wanted[49:50])
    np.testing.assert_array_equal(prepared.part("train").images, np.delete(wanted, 49, axis=0))
    assert "60 of 1281149 training" in manifest.source.verdict


def test_empty_or_missing_png_folders_are_refused(
    tmp_path: Path, pngs: Path, refused: Refused
) -> None:
    root = tmp_path / "root"
    shutil.rmtree(pngs / "valid_32x32")
    message = refused(root, lambda: prepare("imagenet32-png", root, source=pngs))
    assert "lacks valid_32x32" in message
    (pngs / "valid_32x32").mkdir()
    message = refused(root, lambda: prepare("imagenet32-png", root, source=pngs))
    assert "has no PNG files" in message


# --- bad images, on every reader of image files


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def animation() -> bytes:
    frames = [Image.new("RGB", (40, 40), (40 * k, 0, 0)) for k in range(3)]
    return saved(frames[0], "PNG", save_all=True, append_images=frames[1:])


def made_png(side: int, bits: int) -> bytes:
    """An RGB image that Pillow does not write, with the pixels of 32 x 32."""
    import struct
    import zlib

    def chunk(kind: bytes, body: bytes) -> bytes:
        end = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + end

    header = struct.pack(">IIBBBBB", side, side, bits, 2, 0, 0, 0)
    rows = zlib.compress((b"\0" + bytes(32 * 3 * bits // 8)) * 32)
    signature = b"\x89PNG\r\n\x1a\n"
    return signature + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


NOISE = np.random.default_rng(1).integers(0, 256, (218, 178, 3), dtype=np.uint8)
PNG = saved(Image.fromarray(NOISE[:32, :32]), "PNG")
BAD = {
    "cmyk": (saved(Image.new("CMYK", (178, 218)), "JPEG"), "neither grey nor RGB"),
    "deep grey": (saved(Image.new("I;16", (32, 32)), "PNG"), "more than 8 bits"),
    "deep colour": (made_png(32, 16), "more than 8 bits"),
    "bomb": (made_png(20_000, 8), " is not taken (more than 67108864 pixels): mend or remove it"),
    "animated": (animation(), "animated"),
    "half": (saved(Image.fromarray(NOISE), "JPEG")[:5000], "damaged"),
    "half png": (PNG[:2000], "damaged"),
    "png of all pixels without its end": (PNG[:-12], "damaged"),
    "png with another bit": (PNG[:2000] + bytes([PNG[2000] ^ 1]) + PNG[2001:], "damaged"),
    "text": (b"no image at all", "no image of a known format"),
    "empty": (b"", "no image of a known format"),
    "transparent": (saved(Image.new("RGBA", (32, 32), (9, 9, 9, 9)), "PNG"), "transparent"),
    "broken link": (None, "cannot be read (No such file or directory)"),
    "postscript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "no image of a known"),
}
WHERE = {
    "celeba64": ("celeba", "img_align_celeba/000018.jpg"),
    "imagenet32-png": ("pngs", "train_32x32/000003.png"),
    "mine": ("pictures", "f0/000.png"),
}


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize("name", WHERE)
def test_a_bad_image_is_named_or_left_out(
    tmp_path: Path, refused: Refused, request: pytest.FixtureRequest, name: str, kind: str
) -> None:
    raw, says = BAD[kind]
    fixture, victim = WHERE[name]
    source: Path = request.getfixturevalue(fixture)
    if raw is None:
        (source / victim).unlink()
        (source / victim).symlink_to("nowhere")
    else:
        (source / victim).write_bytes(raw)
    root, size = tmp_path / "root", 16 if name == "mine" else None

    def call(skip_bad: bool) -> Prepared:
        return prepare(
            name, root, source=source, options=SourceOptions(skip_bad=skip_bad, size=size)
        )

    message = refused(root, lambda: call(False))
    assert victim in message
    assert says in message
    assert raw is None or "--skip-bad" in message
    manifest = call(True).manifest
    assert [Path(victim).name] == [Path(one).name for one in manifest.skipped]
    total = {"celeba64": 19, "imagenet32-png": 66, "mine": 59}[name]
    assert sum(n for _, n in manifest.counts.items()) == total


@pytest.mark.parametrize("name", ["celeba64", "imagenet32-png"])
def test_an_image_of_another_size_is_named(
    tmp_path: Path, refused: Refused, request: pytest.FixtureRequest, name: str
) -> None:
    fixture, victim = WHERE[name]
    source: Path = request.getfixturevalue(fixture)
    kind = "PNG" if victim.endswith("png") else "JPEG"
    (source / victim).write_bytes(saved(Image.new("RGB", (31, 32)), kind))
    root = tmp_path / "root"
    message = refused(root, lambda: prepare(name, root, source=source))
    assert "31x32" in message


def test_skipping_means_nothing_where_there_is_no_file_for_each_image(
    tmp_path: Path, npz: Path, refused: Refused
) -> None:
    root, options = tmp_path / "root", SourceOptions(skip_bad=True)
    message = refused(root, lambda: prepare("imagenet32", root, source=npz, options=options))
    assert "leave --skip-bad out" in message


# --- CelebA


def test_celeba_is_what_pillow_makes_of_it(tmp_path: Path, celeba: Path) -> None:
    prepared = prepare("celeba64", tmp_path, source=celeba)
    assert dict(prepared.manifest.counts.items()) == {"train": 14, "holdout": 3, "test": 3}
    names = sorted(p.name for p in (celeba / "img_align_celeba").iterdir())
    for image, name in zip(prepared.part("train").images, names, strict=False):
        face = Image.open(celeba / "img_align_celeba" / name).crop((15, 40, 163, 188))
        wanted = np.asarray(face.resize((64, 64), Image.Resampling.BILINEAR)).transpose(2, 0, 1)
        assert np.abs(image.astype(int) - wanted).max() <= 1


def test_the_float_variant_is_bilinear_on_the_grid_of_tensorflow_1(
    tmp_path: Path, celeba: Path
) -> None:
    prepared = prepare("celeba64-float", tmp_path, source=celeba)
    assert (prepared.manifest.dataset, prepared.manifest.variant) == ("celeba64", "float")
    image = prepared.part("train").images[0]
    assert image.dtype == np.float32
    name = min(p.name for p in (celeba / "img_align_celeba").iterdir())
    face = np.asarray(Image.open(celeba / "img_align_celeba" / name))[40:188, 15:163]
    at = np.arange(64) * 148 / 64  # tf.image.resize_images, align_corners=False
    low = at.astype(int)
    part = (at - low)[:, None, None]
    rows = face[low] * (1 - part) + face[low + 1] * part
    part = (at - low)[None, :, None]
    wanted = rows[:, low] * (1 - part) + rows[:, low + 1] * part
    np.testing.assert_allclose(image, wanted.transpose(2, 0, 1), atol=1e-3)


def test_a_zip_file_gives_the_same_set(tmp_path: Path, celeba: Path) -> None:
    folder = prepare("celeba64", tmp_path / "a", source=celeba)
    images = celeba / "img_align_celeba"
    with zipfile.ZipFile(celeba / "img_align_celeba.zip", "w") as archive:
        for path in sorted(images.iterdir(), reverse=True):
            archive.write(path, f"img_align_celeba/{path.name}")
    shutil.rmtree(images)
    for place in (celeba, celeba / "img_align_celeba.zip"):
        assert prepare("celeba64", tmp_path / "a", source=place) == folder
    assert prepare("celeba64", tmp_path / "b", source=celeba).manifest == folder.manifest


def link(path: Path) -> None:
    info = zipfile.ZipInfo("img_align_celeba/000001.jpg")
    info.external_attr = 0o120777 << 16
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(info, "/etc/passwd")


def zeros(path: Path) -> None:
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("img_align_celeba/000001.jpg", bytes(2**24))


def twice(path: Path) -> None:
    """Put another image under the name of the first into another folder."""
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("other/000017.jpg", archive.read("img_align_celeba/000018.jpg"))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (with_member("img_align_celeba/../../000001.jpg"), "has no line for 1 image"),
        (with_member("/000001.jpg"), "has no line for 1 image"),
        (link, "has no line for 1 image"),
        (zeros, "which no images do"),
        (lzma, "is damaged"),
        (twice, "as 'img_align_celeba/000017.jpg' and 'other/000017.jpg'"),
        (cut, "cut short or no zip file"),
    ],
)
def test_hostile_zip_files_are_refused(
    tmp_path: Path, celeba: Path, refused: Refused, change: Callable[[Path], None], says: str
) -> None:
    images, path = celeba / "img_align_celeba", celeba / "img_align_celeba.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for image in sorted(images.iterdir()):
            archive.write(image, f"img_align_celeba/{image.name}")
    shutil.rmtree(images)
    change(path)
    root = tmp_path / "root"
    assert says in refused(root, lambda: prepare("celeba64", root, source=celeba))


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (None, "is missing, and with it which image is in which part"),
        ("999999.jpg 0\n", "lacks 1 image that list_eval_partition.txt names"),
        ("../../etc/passwd 0\n", "line 21 is not the name of an image"),
        ("000001.jpg 3\n", "line 21 is not the name of an image"),
        ("000017.jpg 0\n", "line 21 names 000017.jpg again"),
    ],
)
def test_a_wrong_partition_is_refused(
    tmp_path: Path, celeba: Path, refused: Refused, lines: str | None, says: str
) -> None:
    listed = celeba / "list_eval_partition.txt"
    if lines is None:
        listed.unlink()
    else:
        listed.write_text(listed.read_text() + lines)
    root = tmp_path / "root"
    assert says in refused(root, lambda: prepare("celeba64", root, source=celeba))


def test_images_without_a_part_and_parts_without_images_are_refused(
    tmp_path: Path, celeba: Path, refused: Refused
) -> None:
    listed, root = celeba / "list_eval_partition.txt", tmp_path / "root"
    lines = listed.read_text().splitlines()
    listed.write_text("\n".join(lines[:-1]))
    message = refused(root, lambda: prepare("celeba64", root, source=celeba))
    assert "has no line for 1 image " in message
    listed.write_text("\n".join(line[:-1] + "0" for line in lines))
    message = refused(root, lambda: prepare("celeba64", root, source=celeba))
    assert "names no images for validation, test" in message


# --- CIFAR-10 as an archive


def pack(batches: Path, file: Path) -> Path:
    with tarfile.open(file, "w:gz") as archive:
        archive.add(batches / "cifar-10-batches-py", "cifar-10-batches-py")
    return file


def test_the_archive_gives_the_same_set(tmp_path: Path, batches: Path) -> None:
    file = pack(batches, tmp_path / "cifar-10-python.tar.gz")
    folder = prepare("cifar10", tmp_path / "a", source=batches)
    assert prepare("cifar10", tmp_path / "b", source=file).manifest == folder.manifest


def add_to_tar(file: Path, name: str, link: str = "", size: int = 3) -> None:
    """Add a file of zeros, or a link."""
    with tarfile.open(file) as archive:
        members = [(one, archive.extractfile(one)) for one in archive]
        content = [(one, None if raw is None else raw.read()) for one, raw in members]
    with tarfile.open(file, "w:gz", compresslevel=1) as archive:
        for one, raw in content:
            archive.addfile(one, None if raw is None else io.BytesIO(raw))
        info = tarfile.TarInfo(name)
        info.linkname, info.type = link, tarfile.SYMTYPE if link else tarfile.REGTYPE
        info.size = 0 if link else size
        archive.addfile(info, io.BytesIO(bytes(info.size)))


@pytest.mark.parametrize(("name", "link"), [("../evil", ""), ("/evil", ""), ("evil", "/etc")])
def test_what_leads_out_of_an_archive_is_not_followed(
    tmp_path: Path, batches: Path, name: str, link: str
) -> None:
    file = pack(batches, tmp_path / "cifar-10-python.tar.gz")
    add_to_tar(file, name, link)
    folder = prepare("cifar10", tmp_path / "a", source=batches)
    assert prepare("cifar10", tmp_path / "b", source=file).manifest == folder.manifest
    assert not list(tmp_path.parent.rglob("evil"))


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("linked batch", "lacks data_batch_1"),
        ("bomb", "unpacks to more than"),
        ("bomb in a header", "unpacks to more than"),
        ("cut", "cut short or no official tar.gz file"),
        ("no batch", "lacks data_batch_1"),
        ("twice", "as 'cifar-10-batches-py/data_batch_1' and 'backup/data_batch_1'"),
        ("many", "has more than 1000 members"),
    ],
)
def test_hostile_archives_are_refused(
    tmp_path: Path, batches: Path, refused: Refused, kind: str, says: str
) -> None:
    first = batches / "cifar-10-batches-py" / "data_batch_1"
    if kind == "linked batch":
        first.unlink()
    file, root = pack(batches, tmp_path / "cifar-10-python.tar.gz"), tmp_path / "root"
    if kind == "linked batch":
        add_to_tar(file, "cifar-10-batches-py/data_batch_1", "/etc/passwd")
    elif kind == "bomb":
        add_to_tar(file, "more", size=2**29)
    elif kind == "twice":
        add_to_tar(file, "backup/data_batch_1")
    elif kind == "cut":
        file.write_bytes(file.read_bytes()[:-3000])
    else:
        with tarfile.open(file, "w:gz", compresslevel=1) as archive:
            for number in range(1001 if kind == "many" else 1):
                archive.addfile(tarfile.TarInfo(f"more{number}"))
            if kind == "bomb in a header":  # its size is in octal digits
                header = tarfile.TarInfo("long")
                header.type, header.size = tarfile.XHDTYPE, 2**29
                archive.addfile(header, io.BytesIO(bytes(header.size)))
    assert says in refused(root, lambda: prepare("cifar10", root, source=file))


# --- digits


def test_digits_are_those_of_scikit_learn(tmp_path: Path) -> None:
    from sklearn.datasets import load_digits

    prepared = prepare("digits", tmp_path)
    images = np.concatenate(list(images_of(prepared).values()))
    np.testing.assert_array_equal(images, 15 * load_digits().images[:, None])
    assert prepared.manifest.source.verdict.startswith(("known", "other"))
    assert prepared.manifest.shape == (1, 8, 8)


# --- images of one's own


def test_own_images_are_cut_shrunk_and_divided_by_content(tmp_path: Path, pictures: Path) -> None:
    shutil.copyfile(pictures / "f0" / "000.png", pictures / "f2" / "twin.png")
    (pictures / "notes.txt").write_text("mine")
    prepared = prepare("mine", tmp_path, source=pictures, options=SourceOptions(size=16))
    found = images_of(prepared)
    assert sum(map(len, found.values())) == 61
    assert prepared.manifest.shape == (3, 16, 16)
    parts = [{image.tobytes() for image in images} for images in found.values()]
    assert not parts[0] & parts[1] | parts[0] & parts[2] | parts[1] & parts[2]
    assert sum(map(len, parts)) == 60, "the twins must be in one part"
    whole = Image.open(pictures / "f0" / "000.png")  # 90 x 20
    square = whole.crop((35, 0, 55, 20)).resize((16, 16), Image.Resampling.BILINEAR)
    everything = np.concatenate(list(found.values()))
    wanted = np.asarray(square, int).transpose(2, 0, 1)
    assert np.abs(everything - wanted).max(axis=(1, 2, 3)).min() <= 1
    assert load("mine", tmp_path) == prepared
    assert prepare("mine", tmp_path) == prepared
    assert "1 other files" in prepared.manifest.source.verdict


def test_grey_images_have_one_channel_and_are_not_mixed_unasked(
    tmp_path: Path, pictures: Path, refused: Refused
) -> None:
    root = tmp_path / "root"
    grey = pictures / "f1" / "grey.png"
    Image.open(pictures / "f0" / "000.png").convert("L").save(grey)
    message = refused(
        root, lambda: prepare("m", root, source=pictures, options=SourceOptions(size=16))
    )
    assert str(grey) in message
    assert "--grey-to-rgb" in message
    options = SourceOptions(size=16, grey_to_rgb=True)
    mixed = prepare("m", root, source=pictures, options=options).manifest
    assert mixed.shape == (3, 16, 16)
    assert mixed.preprocessing.endswith(", RGB, grey images as three equal channels")
    for path in [p for p in pictures.rglob("*") if p.is_file()]:
        Image.open(path).convert("L").save(path.with_suffix(".png"))
        if path.suffix != ".png":
            path.unlink()
    only = prepare("grey", root, source=pictures, options=SourceOptions(size=16))
    assert only.manifest.shape == (1, 16, 16)
    assert only.manifest.preprocessing.endswith(", grey")


TURNED: dict[int, tuple[slice, slice]] = {
    1: (slice(8), slice(8)),
    2: (slice(8), slice(-8, None)),
    3: (slice(-8, None), slice(-8, None)),
    4: (slice(-8, None), slice(8)),
    5: (slice(8), slice(8)),
    6: (slice(8), slice(-8, None)),
    7: (slice(-8, None), slice(-8, None)),
    8: (slice(-8, None), slice(8)),
}
"""Where the upper left corner comes to lie, by the values of Exif's tag for the orientation."""


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
@pytest.mark.parametrize("turn", TURNED)
def test_an_image_is_turned_as_its_file_says(turn: int, kind: str) -> None:
    from lcma.harness.data.decoding import decode_image, read_header

    corner = np.zeros((32, 48, 3), np.uint8)
    corner[:8, :8] = 255
    exif = Image.Exif()
    exif[0x0112] = turn
    raw = saved(Image.fromarray(corner), kind, exif=exif)
    pixels, header = decode_image(raw), read_header(raw)
    assert pixels.shape == (3, *((32, 48) if turn < 5 else (48, 32)))
    assert (header.channels, header.height, header.width) == pixels.shape
    assert pixels[:, *TURNED[turn]].min() > 200


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("cifar10", SourceOptions(size=16), "is the name of a set that lcma knows"),
        ("imagenet64-16-png", SourceOptions(size=16), "is the name of a set that lcma knows"),
        ("Mine", SourceOptions(size=16), "cannot name a data set"),
        ("../mine", SourceOptions(size=16), "cannot name a data set"),
        ("mine", SourceOptions(size=15), "give a power of two"),
        ("mine", SourceOptions(size=32), "smaller than 32"),
        ("mine", SourceOptions(grey_to_rgb=True), "need their folder and a size"),
        (
            "mine",
            SourceOptions(),
            "images of your own need a size too: lcma data prepare mine",
        ),
        ("cifar-10", SourceOptions(), "did you mean 'cifar10'? images of your own need a size too"),
    ],
)
def test_wrong_wishes_for_own_images_are_refused(
    tmp_path: Path, pictures: Path, refused: Refused, name: str, options: SourceOptions, says: str
) -> None:
    root = tmp_path / "root"
    call = functools.partial(prepare, name, root, source=pictures, options=options)
    assert says in refused(root, call)


def test_a_folder_without_images_or_with_too_few_is_refused(
    tmp_path: Path, pictures: Path, refused: Refused
) -> None:
    root, options = tmp_path / "root", SourceOptions(size=16)
    empty = tmp_path / "empty"
    empty.mkdir()
    message = refused(root, lambda: prepare("mine", root, source=empty, options=options))
    assert "has no image files" in message
    shutil.copyfile(pictures / "f0" / "000.png", empty / "one.png")
    message = refused(root, lambda: prepare("mine", root, source=empty, options=options))
    assert "gives no images for" in message


@pytest.mark.skipif(os.name != "posix", reason="links of POSIX")
def test_linked_folders_are_not_entered(tmp_path: Path, pictures: Path) -> None:
    (pictures / "f0" / "loop").symlink_to(pictures, target_is_directory=True)
    prepared = prepare("mine", tmp_path / "root", source=pictures, options=SourceOptions(size=16))
    assert sum(n for _, n in prepared.manifest.counts.items()) == 60
    assert "1 other files and linked folders" in prepared.manifest.source.verdict


@pytest.mark.parametrize("skip_bad", [False, True])
def test_a_folder_that_cannot_be_read_is_named(
    tmp_path: Path,
    pictures: Path,
    refused: Refused,
    monkeypatch: pytest.MonkeyPatch,
    skip_bad: bool,
) -> None:
    closed, root, scan = pictures / "f1", tmp_path / "root", os.scandir

    def scandir(path: str) -> object:  # root may read every folder
        if path == str(closed):
            raise PermissionError(13, "Permission denied", path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", scandir)
    options = SourceOptions(size=16, skip_bad=skip_bad)
    message = refused(tmp_path, lambda: prepare("mine", root, source=pictures, options=options))
    assert f"{closed} cannot be read (Permission denied)" in message
