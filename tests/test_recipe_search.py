"""The search of the tiny recipes: what is kept is not run again, and the best are trained again."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from benchmarks import recipes


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    images = np.random.default_rng(0).integers(0, 256, (20, 3, 16, 16), np.uint8)
    data = SimpleNamespace(part=lambda name: SimpleNamespace(images=images))
    monkeypatch.setattr(recipes, "load", lambda name, root: data)
    monkeypatch.setattr(recipes, "TIMED_STEPS", 5)
    monkeypatch.setattr(recipes, "KEPT", tmp_path / "recipes.jsonl")
    return tmp_path / "recipes.jsonl"


@pytest.mark.slow
@pytest.mark.parametrize("flow", ["glow", "iresnet"])
def test_the_best_of_the_grid_are_trained_again(
    flow: str, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fewest = {"blocks": 1, "train_terms": 1, "eval_terms": 1, "power_iterations": 1}
    small: dict[str, Any] = {"glow": {"steps": 1}, "iresnet": fewest}[flow]
    small |= {"width": 4, "batch": 2}
    grid = [{**small, "lr": rate} for rate in (0.001, 0.01)]
    monkeypatch.setitem(recipes.GRIDS, flow, grid)
    for _ in range(2):
        assert recipes.main(["screen", flow, "--seconds", "0.01"]) == 0
    for _ in range(2):
        assert recipes.main(["final", flow, "--seconds", "0.01", "--seeds", "2"]) == 0
    rows = [json.loads(line) for line in kept.read_text().splitlines()]
    assert [row["stage"] for row in rows] == ["screen"] * 2 + ["final"] * 2
    assert [row["changes"] for row in rows[:2]] == grid
    best = sorted(rows[:2], key=lambda row: row["holdout_bits_per_dim"])
    assert [row["changes"] for row in rows[2:]] == [row["changes"] for row in best]
    # the first seed is the screen's: equal steps give equal models, in a stack too
    for row, again in zip(best, rows[2:], strict=True):
        assert again["steps"] == row["steps"] == 20
        assert again["holdout_bits_per_dim"][0] == row["holdout_bits_per_dim"][0]
        assert len(again["holdout_bits_per_dim"]) == 2
