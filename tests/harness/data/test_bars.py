"""The bars: closed forms compared with SciPy, codecs with files that are read back."""

import dataclasses
import io
import itertools
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import PIL
import pytest
from PIL import Image
from scipy.stats import multivariate_normal

from lcma.harness.data import PreparedSet, prepare
from lcma.harness.data import bars as bars_module
from lcma.harness.data.bars import ComputedBar, compute_bars, ensure_bars
from lcma.harness.data.manifest import ByPart, SourceRecord, hash_fields
from lcma.harness.data.packaged import Digits
from lcma.harness.data.source import OpenedSource, SourceStep
from tests.harness.data.conftest import read_refusal

LN2 = math.log(2)
SHRINKAGES = 0.0, 1e-6, 1e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1
NAMES = ["gaussian", "full-gaussian", "png", "webp"]
Array = np.ndarray[Any, np.dtype[Any]]


def make_prepared_set(
    folder: Path,
    train: Array,
    test: Array,
    groups: Array | None = None,
    holdout: Array | None = None,
) -> PreparedSet:
    """Prepare a set of images N x C x H x W; ``groups`` are those of the test images.

    Without ``holdout`` that part is the training part, for which no shrinkage is best.
    """
    images = {"train": train, "holdout": train if holdout is None else holdout, "test": test}
    clusters = {part: np.zeros(len(array), np.int32) for part, array in images.items()}
    if groups is not None:
        clusters["test"] = groups.astype(np.int32)
    steps = [SourceStep("all", images, None if groups is None else clusters)]
    opened = OpenedSource(
        record=SourceRecord(layout="test", package=None, reader="test", files=(), verdict="test"),
        shape=train.shape[1:],
        dtype=train.dtype.name,
        groups=None if groups is None else ByPart(train=("a",), holdout=("a",), test=("a", "b")),
        expected=None,
        preprocessing="none",
        holdout_rule="none",
        n_steps=1,
        steps=lambda: iter(steps),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Digits, "open", lambda *_: opened)
        return prepare("digits", folder)


def compute_by_name(prepared: PreparedSet) -> dict[str, ComputedBar]:
    return {bar.name: bar for bar in compute_bars(prepared)}


def draw_correlated(n: int, seed: int, shape: tuple[int, int, int] = (1, 2, 2)) -> Array:
    """Return uint8 images with correlated dimensions, each with its own mean and spread."""
    rng = np.random.default_rng(seed)
    D = math.prod(shape)
    mixing = np.random.default_rng(7).normal(0, 20, (D, D))
    values = rng.normal(size=(n, D)) @ mixing + np.linspace(80, 170, D)
    return values.round().clip(0, 255).astype(np.uint8).reshape(n, *shape)


@pytest.fixture(scope="module")
def photos16(tmp_path_factory: pytest.TempPathFactory) -> PreparedSet:
    return prepare("photos16", tmp_path_factory.mktemp("photos"))


@pytest.fixture
def prepared(photos8: PreparedSet, tmp_path: Path) -> PreparedSet:
    """A set of few images of photos8, so that its bars take no time."""
    train, test = (photos8.part(part).images for part in ("train", "test"))
    return make_prepared_set(tmp_path / "root", train[:50], test[:6])


def test_gaussians_are_the_exact_expectation_over_the_noise(tmp_path: Path) -> None:
    """Two Gauss-Legendre nodes a dimension integrate a quadratic exactly."""
    shape = 2, 1, 2  # of two channels, for which codecs are left out
    train, test = draw_correlated(9000, 0, shape), draw_correlated(4100, 1, shape)
    bars = compute_by_name(make_prepared_set(tmp_path, train, test))
    rows = train.reshape(-1, 4).astype(float)
    full = np.cov(rows.T, bias=True) + np.eye(4) / 12
    nodes = list(itertools.product((0.5 - 1 / math.sqrt(12), 0.5 + 1 / math.sqrt(12)), repeat=4))
    for name, covariance in (("gaussian", np.diag(full.diagonal())), ("full-gaussian", full)):
        density = multivariate_normal(rows.mean(0) + 0.5, covariance)
        scores = [density.logpdf(test.reshape(-1, 4) + u) for u in nodes]
        bits = -np.mean(scores, axis=0) / (4 * LN2)
        assert bars[name].bits_per_dim == pytest.approx(bits.mean(), rel=1e-12)
        error = bits.std(ddof=1) / math.sqrt(4100)
        assert bars[name].standard_error == pytest.approx(error, rel=1e-9)


def read_share(bar: ComputedBar) -> float:
    """Return the share of the mean variance that the bar reports to have added."""
    return float(bar.detail.split("full covariance with ")[1].split()[0])


def test_a_covariance_is_shrunk_as_is_best_for_the_holdout_part(tmp_path: Path) -> None:
    """With few images in many dimensions. The share is the best of all that are tried."""
    shape = 3, 2, 2
    train, holdout, test = (draw_correlated(n, n, shape) for n in (61, 300, 301))
    prepared = make_prepared_set(tmp_path / "a", train, test, holdout=holdout)
    bar = compute_by_name(prepared)["full-gaussian"]
    share = read_share(bar)
    assert share > 0
    rows = train.reshape(-1, 12).astype(float)
    plain = np.cov(rows.T, bias=True)

    def bits(images: Array, share: float) -> float:
        covariance = plain + np.eye(12) * (1 / 12 + share * plain.diagonal().mean())
        quadratic = -multivariate_normal(rows.mean(0), covariance).logpdf(images.reshape(-1, 12))
        noise = np.trace(np.linalg.inv(covariance)) / 24
        return float((quadratic + noise).mean() / (12 * LN2))

    assert bits(holdout, share) == min(bits(holdout, other) for other in SHRINKAGES)
    assert bar.bits_per_dim == pytest.approx(bits(test, share), rel=1e-10)
    assert bits(test, share) < bits(test, 0.0)
    without_holdout = compute_by_name(make_prepared_set(tmp_path / "b", train, test))
    assert read_share(without_holdout["full-gaussian"]) == 0.0, "maximum likelihood is best there"


def test_continuous_values_get_no_noise_and_no_codec(tmp_path: Path) -> None:
    train, test = (draw_correlated(n, n).astype(np.float32) for n in (500, 100))
    bars = compute_by_name(make_prepared_set(tmp_path, train, test))
    rows = train.reshape(-1, 4).astype(float)
    density = multivariate_normal(rows.mean(0), np.cov(rows.T, bias=True))
    bits = -density.logpdf(test.reshape(-1, 4)).mean() / (4 * LN2)
    assert bars["full-gaussian"].bits_per_dim == pytest.approx(bits, rel=1e-10)
    for name in ("gaussian", "full-gaussian"):
        assert "without dequantization noise" in bars[name].detail
        assert "no bound for discrete images" in bars[name].detail
    for name in ("png", "webp"):
        assert (bars[name].bits_per_dim, bars[name].standard_error) == (None, None)
        assert bars[name].detail.startswith("left out: the images are float32")


def test_degenerate_continuous_images_have_no_density(tmp_path: Path) -> None:
    train, test = (draw_correlated(n, n).astype(np.float32) / 7 for n in (500, 100))
    train[:, 0, 1, 1] = train[:, 0, 0, 0] - train[:, 0, 0, 1]
    bars = compute_by_name(make_prepared_set(tmp_path / "dependent", train, test))
    assert bars["gaussian"].bits_per_dim is not None
    assert bars["full-gaussian"].bits_per_dim is None
    assert "singular" in bars["full-gaussian"].detail
    train[:, 0, 1, 1] = 0.1
    bars = compute_by_name(make_prepared_set(tmp_path / "constant", train, test))
    assert "1 of 4 dimensions are constant over the training images" in bars["gaussian"].detail
    assert bars["full-gaussian"].bits_per_dim is None


@pytest.mark.parametrize("part", ["train", "test"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(tmp_path: Path, part: str, value: float) -> None:
    images = {"train": draw_correlated(40, 0), "test": draw_correlated(9, 1)}
    arrays = {name: array.astype(np.float32) for name, array in images.items()}
    arrays[part][-1, 0, 1, 0] = value
    prepared = make_prepared_set(tmp_path, **arrays)
    message = read_refusal(tmp_path, ensure_bars, prepared)
    assert message.startswith(f"{prepared.folder / part}.npy holds values that are not finite")


@pytest.mark.parametrize(
    ("n", "most", "is_full"),
    [(60, 3072, True), (59, 3072, False), (60, 12, True), (60, 11, False)],
)
def test_a_full_covariance_needs_enough_images_and_not_too_many_dimensions(
    tmp_path: Path, n: int, most: int, is_full: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bars_module, "_MAX_DIMENSIONS", most)
    train = np.arange(n * 12, dtype=np.uint8).reshape(n, 3, 2, 2)
    bars = compute_by_name(make_prepared_set(tmp_path, train, train[:2]))
    assert bars["gaussian"].bits_per_dim is not None
    assert (bars["full-gaussian"].bits_per_dim is not None) == is_full
    if not is_full:
        assert bars["full-gaussian"].standard_error is None
        rule = f"n = {n} training images of D = 12 dimensions, where the rule asks for n >= 5 D"
        assert f"{rule} = 60 and D <= {most}" in bars["full-gaussian"].detail


OPTIONS: dict[str, dict[str, Any]] = {
    "png": {"optimize": True},
    "webp": {"lossless": True, "quality": 100, "method": 6},
}


@pytest.mark.parametrize("codec", OPTIONS)
@pytest.mark.parametrize("channels", [1, 3])
def test_codec_bars_are_the_bytes_of_lossless_files(
    photos16: PreparedSet, tmp_path: Path, codec: str, channels: int
) -> None:
    part = photos16.part("test")
    images, groups = part.images[::16, :channels], np.asarray(part.groups)[::16] % 2
    bar = compute_by_name(make_prepared_set(tmp_path, images, images, groups))[codec]
    sizes = []
    for image in images:
        pixels = image.transpose(1, 2, 0) if channels == 3 else image[0]
        file = io.BytesIO()
        Image.fromarray(np.ascontiguousarray(pixels)).save(file, codec, **OPTIONS[codec])
        sizes.append(len(file.getvalue()))
        decoded = Image.open(file).convert("RGB" if channels == 3 else "L")
        np.testing.assert_array_equal(np.asarray(decoded), pixels)
    n, D = len(images), channels * 256
    bits = 8 * np.array(sizes) / D
    assert bar.bits_per_dim == pytest.approx(bits.mean(), rel=1e-12)
    assert bar.images == n
    sums = [(bits[groups == g] - bits.mean()).sum() for g in (0, 1)]
    assert bar.standard_error == pytest.approx(math.sqrt(2 * np.square(sums).sum()) / n, rel=1e-9)
    for words in (f"{np.mean(sizes):.1f} bytes a file", PIL.__version__, "headers counted"):
        assert words in bar.detail


def test_one_image_or_one_photograph_has_no_standard_error(tmp_path: Path) -> None:
    train = draw_correlated(40, 0, (3, 2, 2))
    single = compute_bars(make_prepared_set(tmp_path / "single", train, train[:1]))
    same = compute_bars(make_prepared_set(tmp_path / "same", train, train[:9], np.zeros(9)))
    for bar in (*single, *same):
        assert bar.standard_error is None
    assert single[0].bits_per_dim is not None


def test_codecs_compress_evenly_spaced_images_of_a_large_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = draw_correlated(60, 0, (3, 4, 4))
    prepared = make_prepared_set(tmp_path / "all", images[:40], images[:9], np.arange(9) // 3)
    monkeypatch.setattr(bars_module, "_MAX_FILES", 3)
    bars = compute_by_name(prepared)
    third = make_prepared_set(tmp_path / "third", images[:40], images[[0, 3, 6]], np.arange(3))
    expected = compute_by_name(third)
    for name in ("png", "webp"):
        detail = f"{expected[name].detail}; 3 of 9 test images, at even distances"
        assert bars[name] == dataclasses.replace(expected[name], detail=detail)
    assert bars["gaussian"].images == bars["full-gaussian"].images == 9
    assert list(bars.values()) == list(ensure_bars(prepared)) == list(ensure_bars(prepared))


def test_names_order_and_progress(prepared: PreparedSet) -> None:
    calls: list[tuple[str, int, int]] = []
    bars = compute_bars(prepared, lambda *call: calls.append(call))
    assert [bar.name for bar in bars] == NAMES
    assert {bar.images for bar in bars} == {6}
    assert all(bar.detail and "\n" not in bar.detail for bar in bars)
    assert calls == [(name, done, 4) for done, name in enumerate(NAMES)]


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_bars_are_kept_beside_the_images_and_read_back(tmp_path: Path, dtype: type) -> None:
    images = draw_correlated(40, 0).astype(dtype)
    prepared = make_prepared_set(tmp_path, images, images[:9])
    before = {path.name for path in prepared.folder.iterdir()}
    calls: list[str] = []
    bars = ensure_bars(prepared, lambda step, *_: calls.append(step))
    assert bars == compute_bars(prepared)
    assert calls
    calls.clear()
    assert ensure_bars(prepared, lambda step, *_: calls.append(step)) == bars
    assert not calls
    assert {path.name for path in prepared.folder.iterdir()} == before | {"bars.json"}


def edit_fields(change: Callable[[dict[str, Any]], object]) -> Callable[[bytes], bytes]:
    def edit(raw: bytes) -> bytes:
        fields = json.loads(raw)
        change(fields)
        return json.dumps(fields).encode()

    return edit


def edit_and_seal(change: Callable[[dict[str, Any]], object]) -> Callable[[bytes], bytes]:
    """Make a file as another version could have written it."""

    def seal(fields: dict[str, Any]) -> None:
        del fields["seal"]
        change(fields)
        fields["seal"] = hash_fields(fields)

    return edit_fields(seal)


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(edit_fields(lambda f: f.pop("seal")), id="no seal"),
        pytest.param(edit_and_seal(lambda f: f.update(digest="0" * 64)), id="other digest"),
        pytest.param(edit_and_seal(lambda f: f.update(format=1)), id="other format"),
        pytest.param(edit_and_seal(lambda f: f["bars"].pop()), id="fewer bars"),
        pytest.param(edit_and_seal(lambda f: f["bars"][0].update(bits_per_dim=math.nan)), id="NaN"),
    ],
)
def test_a_file_of_other_images_or_another_version_is_replaced(
    prepared: PreparedSet, damage: Callable[[bytes], bytes]
) -> None:
    bars = ensure_bars(prepared)
    path = prepared.folder / "bars.json"
    raw = path.read_bytes()
    path.write_bytes(damage(raw))
    calls: list[str] = []
    with path.open("rb") as reader:
        assert ensure_bars(prepared, lambda step, *_: calls.append(step)) == bars
        assert reader.read() == damage(raw), "a reader of the old file sees no half of a new one"
    assert calls
    assert path.read_bytes() == raw


CHANGED, DAMAGED = "was changed after it was written", "is damaged"


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (edit_fields(lambda f: f["bars"][0].update(bits_per_dim=9.9)), CHANGED),
        (edit_fields(lambda f: f.update(seal="0" * 64)), CHANGED),
        (lambda raw: raw[:-20], DAMAGED),
        (lambda raw: b"null", DAMAGED),
    ],
)
def test_a_file_that_is_not_as_it_was_written_is_refused(
    prepared: PreparedSet, damage: Callable[[bytes], bytes], words: str
) -> None:
    bars = ensure_bars(prepared)
    path = prepared.folder / "bars.json"
    raw = path.read_bytes()
    path.write_bytes(damage(raw))
    message = read_refusal(prepared.root, ensure_bars, prepared)
    assert message == f"{path} {words}: remove it, and it is computed again"
    path.unlink()
    assert ensure_bars(prepared) == bars
    assert path.read_bytes() == raw
