"""Protocols of evaluation. A protocol belongs to a result's key, never to a trial's."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from lcma.sweeps.architectures import IResNetArchitecture, ResidualFlowArchitecture
from lcma.sweeps.identity import canonical_json
from lcma.sweeps.recipe import Model

ProtocolName = Literal["plain", "published"]
"""Names of the protocols that a user may choose."""


class Protocol(BaseModel):
    """A protocol of evaluation: the mean log-likelihood of an image over dequantization draws."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str
    draws: int = Field(1, ge=1)
    seed: int = 0
    precision: Literal["float32", "float64"] = "float32"
    # The others are for residual blocks.
    terms: int | None = Field(None, ge=1)  # of the power series; None: the recipe's `eval_terms`
    roulette_mean: float | None = Field(None, gt=0)  # of the Poisson number of further terms
    probe: Literal["rademacher", "gaussian"] = "rademacher"
    # The spectral norm that divides weights: after power iteration to tolerance, or with the
    # vectors of the last training step.
    sigma: Literal["converged", "training"] = "converged"

    @property
    def body(self) -> str:
        """Canonical JSON, without fields of residual blocks that have their default."""
        fields: dict[str, Any] = self.model_dump(mode="json")
        return canonical_json(
            {k: v for k, v in fields.items() if v != _SERIES_DEFAULTS.get(k, ...)}
        )

    @property
    def is_default_series(self) -> bool:
        """True if residual blocks are evaluated with their own estimator."""
        return all(getattr(self, name) == value for name, value in _SERIES_DEFAULTS.items())


_SERIES_DEFAULTS = {
    "terms": None,
    "roulette_mean": None,
    "probe": "rademacher",
    "sigma": "converged",
}

PLAIN = Protocol(name="plain")


def published_protocol(model: Model) -> Protocol:
    """Return the protocol of the flow's own paper, with one dequantization draw.

    - i-ResNet: as many terms of the series as in training, a Gaussian probe, no power iteration.
    - Residual Flow: exact terms and Russian roulette, a Gaussian probe, averaged weights (which are
      the kept ones).
    """
    series: dict[str, Any] = {}
    architecture = model.architecture
    if isinstance(architecture, IResNetArchitecture):
        terms = architecture.train_terms
        series = {"terms": terms, "probe": "gaussian", "sigma": "training"}
    elif isinstance(architecture, ResidualFlowArchitecture):
        series = {
            "terms": architecture.eval_terms,
            "roulette_mean": architecture.roulette_mean,
            "probe": "gaussian",
        }
    return Protocol(name="published", **series)


def find_protocol(name: ProtocolName, model: Model) -> Protocol:
    """Return the protocol with a name for a flow."""
    return PLAIN if name == "plain" else published_protocol(model)
