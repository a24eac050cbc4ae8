"""Every layout is read correctly. Another layout, or files that change, are refused."""

import io
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lcma.harness.data import PARTS, PreparedSet, SourceOptions, load, prepare
from lcma.harness.data.decoding import decode_image
from lcma.harness.data.preparation import box_filter
from tests.harness.data.conftest import read_refusal, read_set_refusal
from tests.hostile.layouts import NPZ, copy_layout, flip_bit


@pytest.fixture
def celeba(sources: Path, tmp_path: Path) -> Path:
    """Twenty faces: 7 of train, 7 and 6, in turn."""
    return copy_layout(sources, "celeba64", tmp_path / "source")


@pytest.fixture
def pngs(sources: Path, tmp_path: Path) -> Path:
    """The PNG layout: 60 and 7 images."""
    return copy_layout(sources, "imagenet32-png", tmp_path / "source")


@pytest.fixture
def pictures(sources: Path, tmp_path: Path) -> Path:
    """Sixty colour files of many kinds, 18 x 20, and a wide one."""
    folder = copy_layout(sources, "images", tmp_path / "source")
    (folder / "wide").mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (20, 90, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / "wide" / "wide.png")
    return folder


SMALL = SourceOptions(size=16)


def read_images(prepared: PreparedSet) -> dict[str, np.ndarray]:
    return {part: prepared.part(part).images for part in PARTS}


# npz files


def test_an_npz_folder(tmp_path: Path, npz: Path) -> None:
    prepared = prepare("imagenet32", tmp_path / "root", source=npz)
    manifest = prepared.manifest
    assert dict(manifest.counts.items()) == {"train": 245, "holdout": 5, "test": 25}
    assert (manifest.dataset, manifest.variant) == ("imagenet32", "npz")
    assert "245 of 1255544 train" in manifest.deviation
    rows = np.concatenate([np.load(npz / name)["data"] for name in NPZ[:-1]])
    images = rows.reshape(-1, 3, 32, 32)
    np.testing.assert_array_equal(prepared.part("holdout").images, images[49::50])
    rest = np.delete(images, np.s_[49::50], axis=0)
    np.testing.assert_array_equal(prepared.part("train").images, rest)


def test_a_filtered_form_is_named_by_its_size(tmp_path: Path, pngs: Path) -> None:
    full = read_images(prepare("imagenet32-png", tmp_path, source=pngs))
    half = prepare("imagenet32-16-png", tmp_path, source=pngs)
    assert (half.manifest.dataset, half.manifest.variant) == ("imagenet32-16", "png")
    assert half.manifest.box == 2
    for part, images in read_images(half).items():
        np.testing.assert_array_equal(images, box_filter(full[part], 2))


def test_a_file_that_is_read_in_pieces_gives_the_same_set(
    tmp_path: Path, npz: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = prepare("imagenet32", tmp_path / "whole", source=npz)
    monkeypatch.setattr("lcma.harness.data.imagenet._STEP_BYTES", 7 * 3072)
    assert prepare("imagenet32", tmp_path / "pieces", source=npz).manifest == whole.manifest


# Sources that change while they are read


@pytest.mark.parametrize("layout", ["imagenet32", "celeba64", "imagenet32-png", "images"])
def test_a_source_that_changes_is_refused(tmp_path: Path, sources: Path, layout: str) -> None:
    source = copy_layout(sources, layout, tmp_path)
    name, options = ("mine", SMALL) if layout == "images" else (layout, SourceOptions())

    def change(label: str, done: int, total: int) -> None:
        if label.startswith("checking") and done == total:  # all are hashed, none is decoded
            victim = sorted(p for p in source.rglob("*") if p.is_file())[3]
            victim.write_bytes(victim.read_bytes() + b"x")

    message = read_set_refusal(name, source, options=options, progress=change)
    assert "changed while it was read" in message


# The wrong layout for a name


def test_a_wrong_release_is_sent_to_its_name(pngs: Path, npz: Path) -> None:
    for name, source, right in (
        ("imagenet32", pngs, "imagenet32-png"),
        ("imagenet64-png", pngs, "imagenet32-png"),
        ("imagenet32-png", npz, "imagenet32"),
    ):
        command = f"lcma data prepare {right} --from {source}"
        assert command in read_set_refusal(name, source)


# PNG folders


def test_png_folders(tmp_path: Path, pngs: Path) -> None:
    prepared = prepare("imagenet32-png", tmp_path, source=pngs)
    manifest = prepared.manifest
    assert dict(manifest.counts.items()) == {"train": 59, "holdout": 1, "test": 7}
    files = sorted((pngs / "train_32x32").iterdir())
    images = np.stack([np.asarray(Image.open(file)).transpose(2, 0, 1) for file in files])
    np.testing.assert_array_equal(prepared.part("holdout").images, images[49:50])
    np.testing.assert_array_equal(prepared.part("train").images, np.delete(images, 49, axis=0))
    assert "60 of 1281149 training" in manifest.source.verdict


def test_empty_or_missing_png_folders_are_refused(pngs: Path) -> None:
    shutil.rmtree(pngs / "valid_32x32")
    assert "lacks valid_32x32" in read_set_refusal("imagenet32-png", pngs)
    (pngs / "valid_32x32").mkdir()
    assert "has no PNG files" in read_set_refusal("imagenet32-png", pngs)


# CelebA


def test_celeba_is_what_pillow_makes_of_it(tmp_path: Path, celeba: Path) -> None:
    prepared = prepare("celeba64", tmp_path, source=celeba)
    assert dict(prepared.manifest.counts.items()) == {"train": 7, "holdout": 7, "test": 6}
    names = sorted(p.name for p in (celeba / "img_align_celeba").iterdir())[::3]
    for image, name in zip(prepared.part("train").images, names, strict=True):
        face = Image.open(celeba / "img_align_celeba" / name).crop((15, 40, 163, 188))
        expected = np.asarray(face.resize((64, 64), Image.Resampling.BILINEAR)).transpose(2, 0, 1)
        assert np.abs(image.astype(int) - expected).max() <= 1


def test_the_float_variant_is_bilinear_on_the_grid_of_tensorflow_1(
    tmp_path: Path, celeba: Path
) -> None:
    prepared = prepare("celeba64-float", tmp_path, source=celeba)
    assert (prepared.manifest.dataset, prepared.manifest.variant) == ("celeba64", "float")
    image = prepared.part("train").images[0]
    assert image.dtype == np.float32
    name = min(p.name for p in (celeba / "img_align_celeba").iterdir())
    face = np.asarray(Image.open(celeba / "img_align_celeba" / name))[40:188, 15:163]
    positions = np.arange(64) * 148 / 64  # tf.image.resize_images, align_corners=False
    low = positions.astype(int)
    share = (positions - low)[:, None, None]
    rows = face[low] * (1 - share) + face[low + 1] * share
    share = share.swapaxes(0, 1)
    expected = rows[:, low] * (1 - share) + rows[:, low + 1] * share
    np.testing.assert_allclose(image, expected.transpose(2, 0, 1), atol=1e-3)


def test_a_zip_file_gives_the_same_set(tmp_path: Path, celeba: Path) -> None:
    folder = prepare("celeba64", tmp_path / "a", source=celeba)
    images = celeba / "img_align_celeba"
    with zipfile.ZipFile(celeba / "img_align_celeba.zip", "w") as archive:
        for path in sorted(images.iterdir(), reverse=True):
            archive.write(path, f"img_align_celeba/{path.name}")
    shutil.rmtree(images)
    zipped = celeba / "img_align_celeba.zip"
    for place in (celeba, zipped):
        assert prepare("celeba64", tmp_path / "a", source=place) == folder
    assert prepare("celeba64", tmp_path / "b", source=celeba).manifest == folder.manifest
    flip_bit(zipped, 1000)
    assert "is damaged" in read_set_refusal("celeba64", celeba)
    skipping = SourceOptions(skip_bad=True)
    rest = prepare("celeba64", tmp_path / "c", source=celeba, options=skipping).manifest
    assert len(rest.skipped) == 1


# Images of one's own


def test_own_images_are_cut_shrunk_and_divided_by_content(tmp_path: Path, pictures: Path) -> None:
    wide = pictures / "wide" / "wide.png"
    shutil.copyfile(wide, pictures / "twin.png")
    for other in (".Trash/old.png", "notes.pdf", "notes.txt"):
        (pictures / other).parent.mkdir(exist_ok=True)
        shutil.copyfile(wide, pictures / other)
    prepared = prepare("mine", tmp_path, source=pictures, options=SMALL)
    images = np.concatenate(list(read_images(prepared).values()))
    assert images.shape == (62, 3, 16, 16)
    parts = [{image.tobytes() for image in part} for part in read_images(prepared).values()]
    assert sum(map(len, parts)) == len(set().union(*parts)) == 61, "the twins are in one part"
    square = Image.open(wide).crop((35, 0, 55, 20)).resize((16, 16), Image.Resampling.BILINEAR)
    expected = np.asarray(square, int).transpose(2, 0, 1)
    assert np.abs(images - expected).max(axis=(1, 2, 3)).min() <= 1
    assert load("mine", tmp_path) == prepared
    assert prepare("mine", tmp_path) == prepared
    assert "3 other files" in prepared.manifest.source.verdict


def test_grey_images_have_one_channel_and_are_not_mixed_unasked(
    tmp_path: Path, pictures: Path
) -> None:
    root, grey = tmp_path / "root", pictures / "grey.png"
    Image.open(pictures / "0.png").convert("L").save(grey)
    message = read_refusal(root, prepare, "m", root, source=pictures, options=SMALL)
    assert str(grey) in message
    assert "--grey-to-rgb" in message
    options = SourceOptions(size=16, grey_to_rgb=True)
    mixed = prepare("m", root, source=pictures, options=options).manifest
    assert mixed.shape == (3, 16, 16)
    assert mixed.preprocessing.endswith(", RGB, grey images as three equal channels")
    for path in [path for path in pictures.rglob("*") if path.is_file()]:
        Image.open(path).convert("L").save(path.with_suffix(".png"))
        if path.suffix != ".png":
            path.unlink()
    only_grey = prepare("grey", root, source=pictures, options=SMALL).manifest
    assert only_grey.shape == (1, 16, 16)
    assert only_grey.preprocessing.endswith(", grey")


TURNED: dict[int, tuple[slice, slice]] = {
    1: (slice(8), slice(8)),
    3: (slice(-8, None), slice(-8, None)),
    6: (slice(8), slice(-8, None)),
}
"""The position of the upper left corner after turning, by Exif's orientation."""


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
@pytest.mark.parametrize("turn", TURNED)
def test_an_image_is_turned_as_its_file_says(turn: int, kind: str) -> None:
    corner = np.zeros((32, 48, 3), np.uint8)
    corner[:8, :8] = 255
    exif = Image.Exif()
    exif[0x0112] = turn
    file = io.BytesIO()
    Image.fromarray(corner).save(file, kind, exif=exif)
    pixels = decode_image(file.getvalue())
    assert pixels.shape == (3, *((32, 48) if turn < 5 else (48, 32)))
    assert pixels[:, *TURNED[turn]].min() > 200


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("cifar10", SMALL, "is the name of a set of lcma"),
        ("imagenet64-16-png", SMALL, "is the name of a set of lcma"),
        ("Mine", SMALL, "cannot name a data set"),
        ("../mine", SMALL, "cannot name a data set"),
        ("mine", SourceOptions(size=15), "give a power of two"),
        ("mine", SourceOptions(size=32), "smaller than 32"),
        ("mine", SourceOptions(grey_to_rgb=True), "need their folder and a size"),
        ("mine", SourceOptions(), "images of your own need a size too: lcma data prepare mine"),
        ("cifar-10", SourceOptions(), "did you mean 'cifar10'? images of your own need a size too"),
    ],
)
def test_wrong_options_for_own_images_are_refused(
    pictures: Path, name: str, options: SourceOptions, says: str
) -> None:
    assert says in read_set_refusal(name, pictures, options=options)


def test_a_folder_without_images_or_with_too_few_is_refused(tmp_path: Path, pictures: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    assert "has no image files" in read_set_refusal("mine", folder, options=SMALL)
    shutil.copyfile(pictures / "0.png", folder / "one.png")
    assert "gives no images for" in read_set_refusal("mine", folder, options=SMALL)
