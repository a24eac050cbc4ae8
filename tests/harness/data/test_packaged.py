"""Images that packages ship, and the positions of the crops of photographs."""

import shutil
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from lcma.harness.data import PARTS, PreparedSet, SourceOptions, prepare
from lcma.harness.data.packaged import (
    Corners,
    Photos,
    grid_corners,
    holdout_corners,
    train_corners,
)
from lcma.harness.data.source import OpenedSource

SHIPPED = Path(str(files("skimage"))) / "data"


def open_photos(folder: Path | None = None) -> OpenedSource:
    return Photos(folder).open(Path(), SourceOptions(), lambda *_: None)


@pytest.fixture(scope="module")
def photos32(tmp_path_factory: pytest.TempPathFactory) -> PreparedSet:
    return prepare("photos32", tmp_path_factory.mktemp("root"))


@pytest.fixture
def nine(tmp_path: Path) -> Path:
    """A copy of the nine files."""
    folder = tmp_path / "photographs"
    folder.mkdir()
    for file in open_photos().record.files:
        shutil.copyfile(SHIPPED / file.name, folder / file.name)
    return folder


def pixels(name: str) -> np.ndarray:
    return np.asarray(Image.open(SHIPPED / name)).transpose(2, 0, 1)


def test_counts_and_clusters(photos32: PreparedSet) -> None:
    manifest = photos32.manifest
    assert manifest.shape == (3, 32, 32)
    assert manifest.groups is not None
    assert manifest.groups.test == ("chelsea", "coffee", "rocket")
    assert manifest.groups.train == manifest.groups.holdout
    assert manifest.groups.train == (
        "astronaut",
        "hubble_deep_field",
        "ihc",
        "motorcycle",
        "retina",
    )
    limits = {"train": 1024, "holdout": 128, "test": 300}
    for name in PARTS:
        groups = photos32.part(name).groups
        assert groups is not None
        clusters = manifest.groups[name]
        counts = dict(zip(clusters, np.bincount(groups, minlength=len(clusters)), strict=True))
        for cluster, count in counts.items():
            assert 0 < count <= limits[name] * (2 if cluster == "motorcycle" else 1)


def test_test_part_is_the_photograph_cut_in_a_grid(photos32: PreparedSet) -> None:
    part = photos32.part("test")
    for group, name in enumerate(("chelsea.png", "coffee.png", "rocket.jpg")):
        photograph = pixels(name)
        _, height, width = photograph.shape
        expected = [
            photograph[:, row : row + 32, column : column + 32]
            for row in range(0, height - 31, 32)
            for column in range(0, width - 31, 32)
        ]
        np.testing.assert_array_equal(part.images[part.groups == group], expected)


def test_holdout_is_the_lowest_strip_and_train_lies_above(photos32: PreparedSet) -> None:
    photograph = pixels("astronaut.png")
    train, holdout = photos32.part("train"), photos32.part("holdout")
    strip = [
        photograph[:, row : row + 32, column : column + 32]
        for row in (448, 480)
        for column in range(0, 512, 32)
    ]
    np.testing.assert_array_equal(holdout.images[holdout.groups == 0], strip)
    above = [
        photograph[:, row : row + 32, column : column + 32]
        for row in range(0, 448 - 31, 16)
        for column in range(0, 512 - 31, 16)
    ]
    np.testing.assert_array_equal(train.images[train.groups == 0], above)


def test_smaller_sets_are_box_filtered(photos32: PreparedSet, tmp_path: Path) -> None:
    small, factor = prepare("photos8", tmp_path), 4
    assert small.manifest.shape == (3, 32 // factor, 32 // factor)
    assert f"box-filtered by {factor}" in small.manifest.preprocessing
    assert small.manifest.digest != photos32.manifest.digest
    for part in PARTS:
        images = photos32.part(part).images
        n, side = len(images), 32 // factor
        means = images.reshape(n, 3, side, factor, side, factor).mean(axis=(3, 5))
        np.testing.assert_array_equal(small.part(part).images, np.round(means))
        np.testing.assert_array_equal(small.part(part).groups, photos32.part(part).groups)


def test_the_installed_files_are_the_known_ones(photos32: PreparedSet) -> None:
    source = photos32.manifest.source
    assert source.verdict == "known"
    assert source.package is not None
    assert source.package.startswith("scikit-image ")
    assert "Pillow" in source.reader
    assert "jpeg" in source.reader


def test_other_files_are_recorded_not_refused(nine: Path) -> None:
    Image.open(nine / "chelsea.png").transpose(Image.Transpose.ROTATE_180).save(
        nine / "chelsea.png"
    )
    opened = open_photos(nine)
    assert opened.record.verdict == "other (8 of 9 files match)"
    assert sum(1 for _ in opened.steps()) == opened.n_steps == 9


def test_damaged_photographs_are_refused(
    nine: Path, refused: Callable[[Path, Callable[[], object]], str]
) -> None:
    whole = (nine / "coffee.png").read_bytes()
    (nine / "coffee.png").write_bytes(whole[:5000])
    assert "coffee.png" in refused(nine, lambda: list(open_photos(nine).steps()))
    Image.new("L", (400, 300)).save(nine / "coffee.png")
    assert "has 1 channels of 400x300" in refused(nine, lambda: list(open_photos(nine).steps()))
    (nine / "coffee.png").write_bytes(b"")
    assert "is empty" in refused(nine, lambda: open_photos(nine))
    (nine / "coffee.png").unlink()
    assert "lacks coffee.png" in refused(nine, lambda: open_photos(nine))


def test_photos_take_no_path(
    tmp_path: Path, refused: Callable[[Path, Callable[[], object]], str]
) -> None:
    message = refused(tmp_path, lambda: prepare("photos8", tmp_path, source=tmp_path))
    assert "leave --from out" in message


SIZES = st.integers(64, 1500)


def covered(corners: Corners, height: int, width: int) -> np.ndarray:
    counts = np.zeros((height, width), np.int32)
    for row, column in corners:
        counts[row : row + 32, column : column + 32] += 1
    return counts


@settings(max_examples=40, deadline=None)
@given(height=SIZES, width=SIZES)
def test_train_and_holdout_share_no_pixel(height: int, width: int) -> None:
    train = covered(train_corners(height, width), height, width)
    holdout = covered(holdout_corners(height, width), height, width)
    assert train.any()
    assert holdout.any()
    assert not (train.astype(bool) & holdout.astype(bool)).any()
    assert holdout.max() == 1


@given(height=SIZES, width=SIZES)
def test_crops_are_inside_distinct_and_few_enough(height: int, width: int) -> None:
    kinds = (
        (train_corners(height, width), 1024),
        (holdout_corners(height, width), 128),
        (grid_corners(height, width), (height // 32) * (width // 32)),
    )
    for corners, limit in kinds:
        assert 0 < len(corners) <= limit
        assert len(np.unique(corners, axis=0)) == len(corners)
        assert corners.min() >= 0
        assert corners[:, 0].max() + 32 <= height
        assert corners[:, 1].max() + 32 <= width


def test_digits_are_those_of_scikit_learn(tmp_path: Path) -> None:
    from sklearn.datasets import load_digits

    prepared = prepare("digits", tmp_path)
    images = np.concatenate([prepared.part(part).images for part in PARTS])
    np.testing.assert_array_equal(images, 15 * load_digits().images[:, None])
    assert prepared.manifest.source.verdict.startswith(("known", "other"))
    assert prepared.manifest.shape == (1, 8, 8)
