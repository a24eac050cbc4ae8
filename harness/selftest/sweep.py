"""The small sweep that a self-test runs, with every kind of job."""

from pathlib import Path

DATASET = "digits"

SPEC = """
name: selftest
matrix:
  flow: realnvp
  dataset: digits
  factorization: [conventional, self, variance-low, low]
  budget: [20, 50]
  recipe: [{optimization: {stacked: false}}, {optimization: {stacked: true}}]
seeds: 1
exclude: [{factorization: self, budget: 20}]
recipe:
  model:
    splits: 2
    architecture: {width: 4, checkerboard_couplings: 1, channel_couplings: 1, last_couplings: 1}
  optimization: {batch: 8, warmup: 0}
  training: {steps: 60, ema: 0.9, select: best, holdout_every: 20}
resources: {gpus: 0}
"""
"""Two pretraining segments in a chain, one that finds tables split by split, and five trainings,
three of which wait for one; and the same in stacks. Two trainings wait for maps of the data."""


def write_sweep(folder: Path) -> Path:
    """Write the sweep file into a folder; return its path."""
    path = folder / "selftest.yaml"
    path.write_text(SPEC, encoding="utf-8")
    return path
