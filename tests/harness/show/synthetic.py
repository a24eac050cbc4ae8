"""Results with a known truth, as rows of the view `results`."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from lcma.db import Bar
from lcma.harness.results.board import Board
from lcma.harness.results.lookup import WHOLE_SET_VERDICTS
from lcma.sweeps.recipe import Recipe
from tests.harness.show.frames import board_of

DIGEST = "d" * 64

DEMO = ("checkerboard-even", "checkerboard-odd", "random", "random-local", "LLL", "HHH")

BASE: dict[str, Any] = {
    "flow": "realnvp",
    "profile": "tiny",
    "dataset": "photos16",
    "variant": "u8",
    "data_digest": DIGEST,
    "budget": None,
    "protocol": "plain",
    "precision": "float32",
    "standard_error": 0.01,
    "images": 100,
    "clusters": None,
    "splits": 3,
    "size": 16,
    "steps": 250,
    "threads": 1,
    "device": "cpu",
    "cpu_capability": "AVX2",
    "torch": "2.6",
    "code_version": "0.1",
    "dirty": None,
    "map_options": None,
    "recipe_id": "r" * 20,
}


def rows(
    bits: Mapping[str, Mapping[int, float]], *, budget: int | None = 100, **more: Any
) -> list[dict[str, Any]]:
    """A row for each factorization and seed; words have the budget, the others none."""
    return [
        BASE
        | {
            "factorization": name,
            "seed": seed,
            "bits_per_dim": value,
            "budget": budget if set(name) <= {"L", "H"} else None,
        }
        | more
        for name, by_seed in bits.items()
        for seed, value in by_seed.items()
    ]


def board(
    found: list[dict[str, Any]],
    bar: float | None = 9.0,
    files: str | None = "2,000 of 60,000 images",
    **more: Any,
) -> Board:
    """The board of rows, with one bar and the same verdict on its files for every data set."""
    numbered = [row | {"attempt_id": f"{i:05}"} for i, row in enumerate(found)]
    digests = {row["data_digest"] for row in found}
    bars = {} if bar is None else {d: [_bar(d, bar)] for d in digests}
    return board_of(numbered, digests if files in WHOLE_SET_VERDICTS else (), bars=bars, **more)


def bodies(*recipes: Recipe) -> dict[str, str]:
    """Recipes as a database has them."""
    return {recipe.id: recipe.body for recipe in recipes}


def noisy(
    means: Mapping[str, float], seeds: int, deviation: float, rng: np.random.Generator
) -> dict[str, dict[int, float]]:
    """Bits/dim around means; a difference of two has this standard deviation over seeds."""
    common = rng.normal(0, 0.2, size=seeds)  # what one seed does to all factorizations
    return {
        name: {
            seed: float(mean + common[seed] + rng.normal(0, deviation / np.sqrt(2)))
            for seed in range(seeds)
        }
        for name, mean in means.items()
    }


def _bar(digest: str, bits: float) -> Bar:
    return Bar(
        data_digest=digest,
        name="webp",
        bits_per_dim=bits,
        standard_error=None,
        images=100,
        detail="how",
    )
