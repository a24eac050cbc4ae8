"""Curves that fall from 1 at no pretraining towards 0.

``exponential``: exp(-(n / scale)^power); ``hill``: 1 / (1 + (n / scale)^power).
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Family = Literal["exponential", "hill"]

FAMILIES: tuple[Family, ...] = ("exponential", "hill")
POWERS = (0.4, 3.2)
"""The least and the greatest power."""
_DEVIATION = 0.4


def remaining_share(family: Family, steps: Floats, scale: Floats, power: Floats) -> Floats:
    """What is left after ``steps``; all broadcast."""
    z = (steps / scale) ** power
    return np.asarray(np.exp(-z) if family == "exponential" else 1 / (1 + z))


def steps_until(family: Family, left: Floats, scale: Floats, power: Floats) -> Floats:
    """After how many steps so much is ``left``, between 0 and 1."""
    z = -np.log(left) if family == "exponential" else 1 / left - 1
    return np.asarray(scale * z ** (1 / power))


def log_prior(power: Floats) -> Floats:
    """A power far from 1 has to earn its place: normal in log(power), deviation 0.4."""
    return np.asarray(-np.square(np.log(power) / _DEVIATION) / 2)
