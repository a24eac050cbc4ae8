"""The measures there are: those of every training, and those that a person asks for by name."""

from functools import lru_cache
from pathlib import Path

from lcma.harness.data import PreparedSet
from lcma.harness.measure.features import INCEPTION, LITE0, load_inception, load_lite0
from lcma.harness.measure.likelihood import BOUND_IMAGES, BitsPerDim, KSampleBound
from lcma.harness.measure.measure import DeclaredMeasure, Measure
from lcma.harness.measure.samples import SAMPLES, SampleMeasure, has_patches, make_sampling
from lcma.harness.text import printable
from lcma.harness.train.evaluate import residual_blocks
from lcma.harness.train.protocol import ProtocolName
from lcma.models import Flow
from lcma.sweeps.errors import UserError, suggest
from lcma.sweeps.measures import BITS_PER_DIM, FID, KID, OF_SAMPLES, SWD, plugin_measures

DEFAULT_SAMPLES = {SWD: SAMPLES, KID: 2000, FID: 5000}
"""Samples that are drawn unless a person says how many. Those of `swd` are as with every trial:
more do not tell rules apart any better, while those of `kid` do (docs/measures.md)."""


def list_evaluations(flow: Flow) -> list[Measure]:
    """Return what a training must have: likelihood, and its bound.

    With residual blocks there is no bound: each draw is expensive, and the noise of their estimate
    enters it.
    """
    return [BitsPerDim(), *(() if residual_blocks(flow) else (KSampleBound(),))]


def list_defaults(prepared: PreparedSet) -> list[Measure]:
    """Return what else is taken when a training ends: `swd`, and what plug-ins declare."""
    of_samples = [SampleMeasure(SWD)] if has_patches(prepared) else []
    return [*of_samples, *map(DeclaredMeasure, plugin_measures())]


def make_measure(
    name: str,
    *,
    protocol: ProtocolName = "plain",
    draws: int | None = None,
    samples: int | None = None,
    temperature: float = 1.0,
    extractor: str | None = None,
    weights: Path | None = None,
    sha256: str | None = None,
) -> Measure:
    """Return a measure of that name. It takes the options that it has, and leaves others alone.

    Args:
        name: `bits_per_dim`, `swd`, `kid` or `fid`, or a measure of a plug-in that is loaded.
        protocol: Of `bits_per_dim`.
        draws: Of `bits_per_dim`: a bound of that many draws instead.
        samples: Of samples: how many, None for `DEFAULT_SAMPLES`.
        temperature: Of samples: the factor of the noise of every prior.
        extractor: Of `kid`: what sees features, None for EfficientNet-Lite0.
        weights: Of `kid` and `fid`: a person's own weights of Inception-v3.
        sha256: The hash that they must have.

    Raises:
        UserError: There is none of that name, these do not go together, or what is needed is not
            there.
    """
    if name == BITS_PER_DIM:
        return BitsPerDim(protocol) if draws is None else KSampleBound(draws, BOUND_IMAGES)
    own = {one.name: one for one in plugin_measures()}
    if name in own:
        return DeclaredMeasure(own[name])
    if name not in OF_SAMPLES:
        hint = suggest(name, (*OF_SAMPLES, BITS_PER_DIM, *own), "choose among")
        if not own:
            hint += ", or load the plug-in that has it with LCMA_PLUGINS=FILE"
        raise UserError(f"'{printable(name)}' is not measured of kept weights: {hint}")
    count = DEFAULT_SAMPLES[name] if samples is None else samples
    return _make_of_samples(name, count, temperature, extractor, weights, sha256)


@lru_cache(maxsize=2)  # each holds a network, and the features of real images
def _make_of_samples(
    name: str,
    samples: int,
    temperature: float,
    extractor: str | None,
    weights: Path | None,
    sha256: str | None,
) -> SampleMeasure:
    sampling = make_sampling(samples, temperature)
    if name == SWD:
        return SampleMeasure(name, sampling)
    chosen = extractor or (INCEPTION if name == FID else LITE0.name)
    if name == FID and chosen != INCEPTION:
        raise UserError(f"{FID} is of {INCEPTION} alone: take {KID}, or leave --extractor out")
    if chosen != INCEPTION:
        if weights or sha256:
            raise UserError(f"--weights and --sha256 are of --extractor {INCEPTION}: add that")
        return SampleMeasure(name, sampling, load_lite0())
    if weights is None or sha256 is None:
        raise UserError(
            f"{name} by {INCEPTION} needs your own file of its weights: give --weights FILE and "
            "--sha256 HASH"
        )
    return SampleMeasure(name, sampling, load_inception(weights, sha256))
