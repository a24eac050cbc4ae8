"""Features of images by pretrained networks, and their distances."""

import hashlib
import io
from pathlib import Path

import numpy as np
import pytest
import torch
from skimage import data as photographs
from torch import Tensor

from lcma.harness.measure import features
from lcma.harness.measure.features import (
    LITE0,
    frechet_distance,
    kernel_distance,
    load_inception,
    load_lite0,
)
from lcma.harness.measure.samples import SampleProtocol, Sampling
from lcma.sweeps.errors import UserError

pytestmark = pytest.mark.xdist_group("features")


@pytest.fixture(scope="module")
def lite0() -> features.Features:
    return load_lite0()


def draw_features() -> tuple[Tensor, Tensor]:
    """Return the features of two sets of 40 images."""
    random = np.random.RandomState(0)
    first = torch.from_numpy(random.normal(0, 1, (40, 16)))
    return first, torch.from_numpy(random.normal(0.3, 1.2, (40, 16)))


def test_the_distances_are_those_of_torchmetrics() -> None:
    """By `poly_mmd` and `_compute_fid` of torchmetrics 1.9.0."""
    assert kernel_distance(*draw_features()).value == pytest.approx(0.6232319480587263, rel=1e-12)
    assert frechet_distance(*draw_features()).value == pytest.approx(8.16829794515742, rel=1e-9)


@pytest.mark.parametrize(
    ("side", "first", "norm"), [(32, 2.8552117, 82.3816267), (128, 5.1129129, 95.2988966)]
)
def test_the_features_of_a_picture_never_change(
    lite0, side: int, first: float, norm: float
) -> None:
    """Stored distances belong to features of one size, resizing and scale of pixels."""
    crop = photographs.chelsea()[100 : 100 + side, 150 : 150 + side].copy()
    (vector,) = lite0(torch.from_numpy(crop).permute(2, 0, 1)[None])
    assert float(vector[0]) == pytest.approx(first, rel=1e-4)
    assert float(vector.norm()) == pytest.approx(norm, rel=1e-4)


def test_the_error_of_a_distance_is_that_of_ten_parts() -> None:
    """A part has every tenth image. With fewer than two images a part there is no error."""
    first, second = draw_features()
    parts = [kernel_distance(first[k:40:10], second[k:40:10]).value for k in range(10)]
    distance = kernel_distance(first, second)
    assert distance.standard_error == pytest.approx(np.std(parts, ddof=1) / np.sqrt(10))
    assert np.isnan(kernel_distance(first[:19], second).standard_error)


def test_images_may_be_grey_or_of_any_size(lite0) -> None:
    before = torch.get_rng_state()
    x = torch.randint(0, 256, (3, 1, 8, 8), generator=torch.Generator().manual_seed(0))
    vectors = lite0(x.byte())
    assert vectors.shape == (3, 1280)
    assert torch.equal(vectors, lite0(x.expand(-1, 3, -1, -1).byte()))
    assert lite0(torch.zeros((2, 3, 128, 128))).shape == (2, 1280)
    assert torch.equal(torch.get_rng_state(), before)


def test_protocols_that_differ_have_other_names() -> None:
    protocols = [
        SampleProtocol(),
        SampleProtocol(sampling=Sampling(samples=40)),
        SampleProtocol(sampling=Sampling(seed=1)),
        SampleProtocol(extractor=LITE0),
        SampleProtocol(extractor=LITE0.model_copy(update={"sha256": "0" * 64})),
        SampleProtocol(extractor=LITE0.model_copy(update={"size": 96})),
        SampleProtocol(extractor=LITE0, sampling=Sampling(temperature=0.7)),
    ]
    assert len({protocol.name for protocol in protocols}) == 7
    assert len({protocol.body for protocol in protocols}) == 7
    assert protocols[0].name == "plain"
    assert LITE0.sha256 in protocols[3].body


def test_a_package_with_other_weights_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "LITE0", LITE0.model_copy(update={"sha256": "0" * 64}))
    with pytest.raises(UserError, match=r"have the sha256 57934424.*, not 0000"):
        load_lite0()


@pytest.fixture(scope="module")
def inception_file(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A file of random weights of Inception-v3, and its hash."""
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    empty = io.BytesIO()
    torch.save({}, empty)
    empty.seek(0)
    with pytest.MonkeyPatch.context() as patch, torch.random.fork_rng():
        patch.setattr(FeatureExtractorInceptionV3, "load_state_dict", lambda self, state: None)
        network = FeatureExtractorInceptionV3("x", ["2048"], feature_extractor_weights_path=empty)
    path = tmp_path_factory.mktemp("inception") / "weights.pth"
    torch.save(network.state_dict(), path)
    return path, hashlib.sha256(path.read_bytes()).hexdigest()


def test_inception_is_read_from_the_users_file(inception_file) -> None:
    path, digest = inception_file
    network = load_inception(path, digest.upper())
    assert network.extractor.sha256 == digest, "the case of the hash does not matter"
    assert network(torch.zeros((2, 3, 32, 32))).shape == (2, 2048)
    with pytest.raises(UserError, match="have the sha256"):
        load_inception(path, "0" * 64)


class Harm:
    def __reduce__(self):
        return (Path.touch, (Path("harm"),))


@pytest.mark.parametrize("content", [{"a": torch.zeros(1)}, Harm(), [1], None])
def test_another_file_is_refused_and_no_code_of_it_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: object
) -> None:
    monkeypatch.chdir(tmp_path)
    path = Path("weights.pth")
    if content is None:
        path.write_bytes(b"no weights")
    else:
        torch.save(content, path)
    with pytest.raises(UserError, match=r"another network|not a file of PyTorch weights"):
        load_inception(path, hashlib.sha256(path.read_bytes()).hexdigest())
    assert [path.name for path in tmp_path.iterdir()] == ["weights.pth"]
    with pytest.raises(UserError, match="cannot read the weights"):
        load_inception(Path("missing.pth"), "0" * 64)
