"""Samples of a trained flow, as measures of their quality take them."""

from dataclasses import dataclass

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from lcma.harness.seeds import derive_seed
from lcma.harness.train.evaluate import evaluation_mode
from lcma.harness.train.protocol import PLAIN
from lcma.models import Flow
from lcma.sweeps.identity import canonical_json, content_id, identity_of

SAMPLES = 500
"""Samples that are drawn unless others are requested: more would take more than a tenth of the
shortest trainings."""

LEAST, MOST = 20, 100_000
"""Fewest and most samples that may be requested: blocks of two images, and what memory takes."""

CHUNK = 100
"""Images drawn at once. Noise is drawn chunk by chunk, so this is part of the definition."""


class Sampling(BaseModel):
    """Settings of drawing samples; ``temperature`` scales the noise of every prior."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    samples: int = Field(SAMPLES, ge=LEAST, le=MOST)
    temperature: float = Field(1.0, ge=0, allow_inf_nan=False)
    seed: int = 0


class Extractor(BaseModel):
    """Extractor of features: a network with its exact weights, and how images are resampled.

    ``size`` is that at which the network sees images, in pixels.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str
    sha256: str
    size: int
    resampling: str


class SampleProtocol(BaseModel):
    """Protocol by which samples are measured. Values by two are never ranked together."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    sampling: Sampling = Sampling()
    extractor: Extractor | None = None

    @property
    def name(self) -> str:
        """`plain` for what is taken with every trial, else a name with a hash of the content."""
        if self == SampleProtocol():
            return PLAIN.name
        kind = "samples" if self.extractor is None else self.extractor.name
        return f"{kind}-{content_id('samples', identity_of(self))[:8]}"

    @property
    def body(self) -> str:
        """Canonical JSON."""
        if self.name == PLAIN.name:
            return PLAIN.body
        return canonical_json(self.model_dump(mode="json"))


@dataclass(frozen=True, eq=False)
class Samples:
    """Images (N, C, H, W), uint8, of which ``overflowed`` have values that overflowed."""

    images: Tensor
    overflowed: int


def draw_images(
    flow: Flow, count: int, sampling: Sampling, *, seed: int, device: torch.device
) -> Samples:
    """Draw the first ``count`` samples of a flow on its device; the flow is left as it was.

    Args:
        flow: A trained flow.
        count: Number of images; fewer of them are the first of more.
        sampling: Temperature and seed of the protocol.
        seed: The trial's seed: trials of one seed have the same noise, others have other noise.
        device: The flow's device. Another kind draws other noise.
    """
    images, overflowed = [], 0
    with torch.no_grad(), evaluation_mode(flow):
        for start in range(0, count, CHUNK):
            generator = torch.Generator(device)
            generator.manual_seed(derive_seed(sampling.seed, "samples", seed, start))
            x, over = flow.sample_checked(CHUNK, generator, temperature=sampling.temperature)
            some = min(CHUNK, count - start)
            images.append(x[:some].clamp(0, 255).to(torch.uint8))
            overflowed += int(over[:some].sum())
    return Samples(torch.cat(images), overflowed)
