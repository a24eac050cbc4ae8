"""Curves that fall from 1 at no pretraining towards 0."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Shape:
    """``exponential``: exp(-(n / t)^power); ``hill``: 1 / (1 + (n / t)^power)."""

    family: Literal["exponential", "hill"]
    power: float

    @property
    def log_prior(self) -> float:
        """A power far from 1 has to earn its place: normal in log(power), deviation 0.4."""
        return -((math.log(self.power) / 0.4) ** 2) / 2

    def at(self, steps: Floats, scale: Floats) -> Floats:
        """What is left after ``steps``, for time constants ``scale``; both broadcast."""
        z = (steps / scale) ** self.power
        return np.asarray(np.exp(-z) if self.family == "exponential" else 1 / (1 + z))

    def inverse(self, left: Floats, scale: Floats) -> Floats:
        """After how many steps so much is ``left``, between 0 and 1."""
        z = -np.log(left) if self.family == "exponential" else 1 / left - 1
        return np.asarray(scale * z ** (1 / self.power))


SHAPES = (
    *(Shape("exponential", power) for power in (0.5, 0.7, 1.0, 1.4, 2.0)),
    *(Shape("hill", power) for power in (1.0, 1.5, 2.0, 3.0)),
)
"""Slow and quick ones. The results choose."""
