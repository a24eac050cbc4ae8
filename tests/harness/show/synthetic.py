"""Results with a known truth as rows of the view `results`, their board, and what is printed."""

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np
from rich.console import Console, RenderableType

from lcma.db import Bar, Making, RecipeRow, SeededCell
from lcma.harness.results.board import Board, make_board
from lcma.harness.results.lookup import WHOLE_SET_VERDICTS
from lcma.sweeps.recipe import Recipe

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

CELL_KEY = (
    *("flow", "dataset", "variant", "data_digest", "recipe_id", "protocol", "precision"),
    *("factorization", "budget", "map_options"),
)
"""Columns that tell cells apart."""

SHARED = (*CELL_KEY, "profile", "splits", "size", "steps")
"""Columns of which all rows of a cell have the same."""

WOBBLE = (0.011, -0.004, 0.007, -0.013, 0.002, -0.003, 0.009)


def row(factorization: str, seed: int, bits_per_dim: float, **columns: Any) -> dict[str, Any]:
    """A row of the view, with other values in these columns."""
    result = {"factorization": factorization, "seed": seed, "bits_per_dim": bits_per_dim}
    return BASE | result | columns


def rows(
    bits: Mapping[str, Mapping[int, float]], *, budget: int | None = 100, **columns: Any
) -> list[dict[str, Any]]:
    """A row for each factorization and seed; words have the budget, the others none."""
    return [
        row(name, seed, value, budget=budget if set(name) <= {"L", "H"} else None, **columns)
        for name, by_seed in bits.items()
        for seed, value in by_seed.items()
    ]


def wobbling(name: str, mean: float, seeds: int = 7, turn: int = 1) -> list[dict[str, Any]]:
    """Rows of a rule; those of two rules wobble differently if their turns differ."""
    return [row(name, s, mean + 0.1 * s + WOBBLE[(turn * s) % 7]) for s in range(seeds)]


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


def make_bar(name: str, bits: float | None, detail: str = "how", digest: str = DIGEST) -> Bar:
    return Bar(
        data_digest=digest,
        name=name,
        bits_per_dim=bits,
        standard_error=None,
        images=100,
        detail=detail,
    )


def board(
    results: list[dict[str, Any]],
    bar: float | None = 9.0,
    files: str | None = "2,000 of 60,000 images",
    **options: Any,
) -> Board:
    """The board of rows, with one bar and the same verdict on its files for every data set."""
    digests = {result["data_digest"] for result in results}
    bars = {} if bar is None else {d: [make_bar("webp", bar, digest=d)] for d in digests}
    return board_of(results, digests if files in WHOLE_SET_VERDICTS else (), bars=bars, **options)


def board_of(
    results: Iterable[Mapping[str, Any]],
    *arguments: Any,
    recipes: Mapping[str, str] | None = None,
    **options: Any,
) -> Board:
    """The board of the rows, whatever their order, with the bodies of recipes by their ids."""
    recipe_rows = {
        name: RecipeRow(id=name, flow="", profile="", splits=0, size=0, steps=0, body=body)
        for name, body in (recipes or {}).items()
    }
    return make_board(cells_of(results), *arguments, recipes=recipe_rows, **options)


def cells_of(results: Iterable[Mapping[str, Any]]) -> list[SeededCell]:
    """The cells of the rows, whatever their order."""
    by_key: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for result in results:
        by_key.setdefault(tuple(result[name] for name in CELL_KEY), []).append(result)
    return [_cell(group) for group in by_key.values()]


def _cell(results: Sequence[Mapping[str, Any]]) -> SeededCell:
    bits: dict[int, float] = {}
    repeated = None
    for result in results:
        repeated = result["seed"] if result["seed"] in bits else repeated
        bits[result["seed"]] = result["bits_per_dim"]

    def known(name: str) -> list[Any]:
        return [result[name] for result in results if result.get(name) is not None]

    names = [field.name for field in fields(Making)]
    return SeededCell(
        **{name: results[0][name] for name in SHARED},
        values=dict(sorted(bits.items())),
        repeated=repeated,
        standard_error=max(known("standard_error"), default=None),
        images=min(known("images")),
        clusters=min(known("clusters"), default=None),
        makings=tuple({Making(**{n: result.get(n) for n in names}) for result in results}),
    )


def bodies(*recipes: Recipe) -> dict[str, str]:
    """Recipes as a database has them."""
    return {recipe.id: recipe.body for recipe in recipes}


def print_text(renderable: RenderableType, width: int = 80) -> str:
    """What a terminal of this width shows."""
    console = Console(width=width, file=io.StringIO())
    console.print(renderable)
    return console.file.getvalue()
