"""Samples of a trained flow, as measures of their quality take them."""

from dataclasses import dataclass

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from lcma.harness.seeds import derive_seed
from lcma.harness.train.evaluate import evaluation_mode
from lcma.models import Flow

SAMPLES = 500
"""Samples that are drawn unless others are requested: more would take more than a tenth of the
shortest trainings."""

LEAST, MOST = 20, 100_000
"""Fewest and most samples that may be requested: blocks of two images, and what memory takes."""

CHUNK = 100
"""Images drawn at once. Noise is drawn chunk by chunk, so this is part of the definition."""


class Sampling(BaseModel):
    """How many samples are drawn, and how; ``temperature`` scales the noise of every prior."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    samples: int = Field(SAMPLES, ge=LEAST, le=MOST)
    temperature: float = Field(1.0, ge=0, allow_inf_nan=False)
    seed: int = 0


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
