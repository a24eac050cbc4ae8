"""Images that packages ship, and the positions of the crops of photographs."""

import shutil
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
from lcma.sweeps import known_sets
from tests.harness.data.conftest import read_refusal

SHIPPED = Path(str(files("skimage"))) / "data"


def open_photos(folder: Path | None = None) -> OpenedSource:
    return Photos(folder).open(Path(), SourceOptions(), lambda *_: None)


@pytest.fixture(scope="module")
def photos32(tmp_path_factory: pytest.TempPathFactory) -> PreparedSet:
    return prepare("photos32", tmp_path_factory.mktemp("root"))


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """A folder with a copy of the nine files."""
    for file in open_photos().record.files:
        shutil.copyfile(SHIPPED / file.name, tmp_path / file.name)
    return tmp_path


def read_pixels(name: str) -> np.ndarray:
    return np.asarray(Image.open(SHIPPED / name)).transpose(2, 0, 1)


def crop(pixels: np.ndarray, rows: range, columns: range) -> list[np.ndarray]:
    """Return the crops of 32 x 32 whose upper left corners are in these rows and columns."""
    return [pixels[:, row : row + 32, column : column + 32] for row in rows for column in columns]


def test_clusters_are_scenes(photos32: PreparedSet) -> None:
    manifest = photos32.manifest
    assert manifest.shape == (3, 32, 32)
    assert manifest.groups.test == ("chelsea", "coffee", "rocket")
    scenes = ("astronaut", "hubble_deep_field", "ihc", "motorcycle", "retina")
    assert manifest.groups.train == manifest.groups.holdout == scenes
    for part in PARTS:
        assert {*photos32.part(part).groups} == {*range(len(manifest.groups[part]))}


def test_the_test_part_is_photographs_cut_in_a_grid(photos32: PreparedSet) -> None:
    part = photos32.part("test")
    for group, name in enumerate(("chelsea.png", "coffee.png", "rocket.jpg")):
        photograph = read_pixels(name)
        _, height, width = photograph.shape
        expected = crop(photograph, range(0, height - 31, 32), range(0, width - 31, 32))
        np.testing.assert_array_equal(part.images[part.groups == group], expected)


def test_the_holdout_part_is_the_lowest_strip_and_train_lies_above(photos32: PreparedSet) -> None:
    photograph = read_pixels("astronaut.png")
    train, holdout = photos32.part("train"), photos32.part("holdout")
    strip = crop(photograph, range(448, 512, 32), range(0, 512, 32))
    np.testing.assert_array_equal(holdout.images[holdout.groups == 0], strip)
    above = crop(photograph, range(0, 448 - 31, 16), range(0, 512 - 31, 16))
    np.testing.assert_array_equal(train.images[train.groups == 0], above)


def test_smaller_sets_are_box_filtered(photos8: PreparedSet, photos32: PreparedSet) -> None:
    assert photos8.manifest.shape == (3, 8, 8)
    assert "box-filtered by 4" in photos8.manifest.preprocessing
    assert photos8.manifest.digest != photos32.manifest.digest
    for part in PARTS:
        means = photos32.part(part).images.reshape(-1, 3, 8, 4, 8, 4).mean(axis=(3, 5))
        np.testing.assert_array_equal(photos8.part(part).images, np.round(means))
        np.testing.assert_array_equal(photos8.part(part).groups, photos32.part(part).groups)


def test_the_installed_files_are_the_known_ones(photos32: PreparedSet) -> None:
    source, counts = photos32.manifest.source, photos32.manifest.counts
    assert counts.train + counts.holdout + counts.test == known_sets.shipped()["photos32"].images
    assert source.verdict == "known"
    assert source.package.startswith("scikit-image ")
    assert "Pillow" in source.reader
    assert "jpeg" in source.reader


def test_other_files_are_recorded_not_refused(photographs: Path) -> None:
    path = photographs / "chelsea.png"
    Image.open(path).transpose(Image.Transpose.ROTATE_180).save(path)
    opened = open_photos(photographs)
    assert opened.record.verdict == "other (8 of 9 files match)"
    assert sum(1 for _ in opened.steps()) == opened.n_steps == 9


def test_damaged_photographs_are_refused(photographs: Path) -> None:
    def read() -> str:
        return read_refusal(photographs, lambda: list(open_photos(photographs).steps()))

    path = photographs / "coffee.png"
    path.write_bytes(path.read_bytes()[:5000])
    assert "coffee.png" in read()
    Image.new("L", (400, 300)).save(path)
    assert "has 1 channels of 400x300" in read()
    path.write_bytes(b"")
    assert "is empty" in read()
    path.unlink()
    assert "lacks coffee.png" in read()


def test_photos_take_no_path(tmp_path: Path) -> None:
    message = read_refusal(tmp_path, prepare, "photos8", tmp_path, source=tmp_path)
    assert "leave --from out" in message


SIZES = st.integers(64, 1500)


def count_crops(corners: Corners, height: int, width: int) -> np.ndarray:
    """Return the number of crops that each pixel is in."""
    counts = np.zeros((height, width), np.int32)
    for row, column in corners:
        counts[row : row + 32, column : column + 32] += 1
    return counts


@settings(max_examples=40, deadline=None)
@given(height=SIZES, width=SIZES)
def test_crops_are_inside_distinct_and_few_enough_and_parts_share_no_pixel(
    height: int, width: int
) -> None:
    corners_and_limits = (
        (train_corners(height, width), 1024),
        (holdout_corners(height, width), 128),
        (grid_corners(height, width), (height // 32) * (width // 32)),
    )
    for corners, limit in corners_and_limits:
        assert 0 < len(corners) <= limit
        assert len(np.unique(corners, axis=0)) == len(corners)
        assert corners.min() >= 0
        assert corners[:, 0].max() + 32 <= height
        assert corners[:, 1].max() + 32 <= width
    train, holdout = (count_crops(corners, height, width) for corners, _ in corners_and_limits[:2])
    assert not (train.astype(bool) & holdout.astype(bool)).any()
    assert holdout.max() == 1


def test_digits_are_those_of_scikit_learn(tmp_path: Path) -> None:
    from sklearn.datasets import load_digits

    prepared = prepare("digits", tmp_path)
    images = np.concatenate([prepared.part(part).images for part in PARTS])
    np.testing.assert_array_equal(images, 15 * load_digits().images[:, None])
    assert prepared.manifest.shape == (1, 8, 8)
