"""How a trained model is evaluated. A protocol is part of a result's key, never of a trial's."""

from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

from lcma.sweeps.architectures import IResNetArchitecture, ResidualFlowArchitecture
from lcma.sweeps.identity import canonical_json
from lcma.sweeps.recipe import Model

Name = Literal["plain", "published"]

NAMES: tuple[Name, ...] = get_args(Name)
"""The protocols that a person may ask for."""


class Protocol(BaseModel):
    """``draws`` dequantizations of each image by a fixed seed; their log-likelihoods' mean.

    The other fields speak of residual blocks alone: ``terms`` of the power series (None: the
    recipe's ``eval_terms``), with ``roulette_mean`` a Poisson number of further ones that makes
    the estimate unbiased, and the kind of probe.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str
    draws: int = Field(1, ge=1)
    seed: int = 0
    precision: Literal["float32", "float64"] = "float32"
    terms: int | None = Field(None, ge=1)
    roulette_mean: float | None = Field(None, gt=0)
    probe: Literal["rademacher", "gaussian"] = "rademacher"

    @property
    def body(self) -> str:
        """Canonical JSON; of the fields on residual blocks those that say something."""
        content: dict[str, Any] = self.model_dump(mode="json")
        return canonical_json({k: v for k, v in content.items() if v != _UNSAID.get(k, ...)})

    @property
    def is_default_series(self) -> bool:
        """Whether residual blocks are evaluated as they would be by themselves."""
        return all(getattr(self, name) == value for name, value in _UNSAID.items())


_UNSAID = {"terms": None, "roulette_mean": None, "probe": "rademacher"}

PLAIN = Protocol(name="plain")


def published_protocol(model: Model) -> Protocol:
    """How the flow's own paper evaluates: one dequantization draw, and

    - i-ResNet: as many terms of the series as in training, a Gaussian probe;
    - Residual Flow: exact terms and Russian roulette, a Gaussian probe, averaged weights (those
      that are kept);
    - any other flow: nothing that `PLAIN` has not.
    """
    series: dict[str, Any] = {}
    architecture = model.architecture
    if isinstance(architecture, IResNetArchitecture):
        series = {"terms": architecture.train_terms, "probe": "gaussian"}
    elif isinstance(architecture, ResidualFlowArchitecture):
        series = {
            "terms": architecture.eval_terms,
            "roulette_mean": architecture.roulette_mean,
            "probe": "gaussian",
        }
    return Protocol(name="published", **series)


def find_protocol(name: Name, model: Model) -> Protocol:
    """The protocol of that name for a flow."""
    return PLAIN if name == "plain" else published_protocol(model)
