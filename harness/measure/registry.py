"""The list of measures: those of every training, and those that a user requests by name."""

from functools import lru_cache
from pathlib import Path

from lcma.harness.data import PreparedSet
from lcma.harness.measure.features import INCEPTION, load_inception, load_lite0
from lcma.harness.measure.likelihood import BOUND_IMAGES, BitsPerDim, KSampleBound
from lcma.harness.measure.measure import DeclaredMeasure, Measure
from lcma.harness.measure.samples import SAMPLES, SampleMeasure, has_patches, make_sampling
from lcma.harness.train.evaluate import residual_blocks
from lcma.harness.train.protocol import ProtocolName
from lcma.models import Flow
from lcma.sweeps.errors import UserError
from lcma.sweeps.measures import (
    BITS_PER_DIM,
    FID,
    KID,
    SWD,
    plugin_measures,
    require_kept_measure,
)

DEFAULT_SAMPLES = {SWD: SAMPLES, KID: 2000, FID: 5000}
"""Samples by measure, unless a user gives a number. `swd` has those of every trial: more do not
separate rules better, while for `kid` they do (docs/measures.md)."""


def list_required_measures(flow: Flow) -> list[Measure]:
    """Return the measures without which a training has no result: bits/dim and the bound."""
    # With residual blocks a draw is expensive, and the noise of their estimate enters the bound.
    return [BitsPerDim(), *(() if residual_blocks(flow) else (KSampleBound(),))]


def list_optional_measures(prepared: PreparedSet) -> list[Measure]:
    """Return the other measures that are taken when a training ends: `swd`, and plug-ins'."""
    sample_measures = [SampleMeasure(SWD)] if has_patches(prepared) else []
    return [*sample_measures, *map(DeclaredMeasure, plugin_measures())]


def make_measure(
    name: str,
    *,
    protocol: ProtocolName = "plain",
    draws: int | None = None,
    samples: int | None = None,
    temperature: float = 1.0,
    weights: Path | None = None,
    sha256: str | None = None,
) -> Measure:
    """Return the measure with a name. Options that it does not have are ignored.

    Args:
        name: `bits_per_dim`, `swd`, `kid` or `fid`, or a measure of a loaded plug-in.
        protocol: For `bits_per_dim`.
        draws: For `bits_per_dim`: take the bound with that many draws instead.
        samples: For `swd`, `kid` and `fid`: number of samples, None for `DEFAULT_SAMPLES`.
        temperature: For `swd`, `kid` and `fid`: factor of the noise of every prior.
        weights: For `kid` and `fid`: the user's file of the weights of Inception-v3; `kid` has
            EfficientNet-Lite0 without it.
        sha256: The hash that this file must have.

    Raises:
        UserError: No measure has the name, or an option, a package or a file is missing.
    """
    if name == BITS_PER_DIM:
        return BitsPerDim(protocol) if draws is None else KSampleBound(draws, BOUND_IMAGES)
    declared = {measure.name: measure for measure in plugin_measures()}
    if name in declared:
        return DeclaredMeasure(declared[name])
    require_kept_measure(name)
    count = DEFAULT_SAMPLES[name] if samples is None else samples
    return _make_sample_measure(name, count, temperature, weights, sha256)


@lru_cache(maxsize=2)  # each holds a network and the features of real images
def _make_sample_measure(
    name: str,
    samples: int,
    temperature: float,
    weights: Path | None,
    sha256: str | None,
) -> SampleMeasure:
    sampling = make_sampling(samples, temperature)
    if name == SWD:
        return SampleMeasure(name, sampling)
    if name == KID and not (weights or sha256):
        return SampleMeasure(name, sampling, load_lite0())
    if weights is None or sha256 is None:
        raise UserError(
            f"{name} by {INCEPTION} needs your own file of its weights: give --weights FILE and "
            "--sha256 HASH"
        )
    return SampleMeasure(name, sampling, load_inception(weights, sha256))
