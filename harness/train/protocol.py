"""How a trained model is evaluated. A protocol is part of a result's key, never of a trial's."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from sweeps.identity import canonical_json


class Protocol(BaseModel):
    """``draws`` dequantizations of each image by a fixed seed; their log-likelihoods' mean."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str
    draws: int = 1
    seed: int = 0
    precision: Literal["float32", "float64"] = "float32"

    @property
    def body(self) -> str:
        return canonical_json(self.model_dump(mode="json"))


PLAIN = Protocol(name="plain")
