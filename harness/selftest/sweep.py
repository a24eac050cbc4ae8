"""The small sweep that a self-test runs, with every kind of job."""

from pathlib import Path

DATASET = "digits"

SPEC = """
name: selftest
matrix:
  flow: realnvp
  dataset: digits
  factorization: [conventional, random, low]
  budget: [20, 50]
  recipe: [{}, {optimization: {stacked: true}}]
seeds: 1
recipe:
  model:
    splits: 2
    architecture: {width: 4, checkerboard_couplings: 1, channel_couplings: 1, last_couplings: 1}
  optimization: {batch: 8, warmup: 0}
  training: {steps: 60, ema: 0.9, select: best, holdout_every: 20}
resources: {gpus: 0}
"""
"""Two pretraining segments in a chain, and four trainings, two of which wait for one; and the same
in stacks."""


def write_sweep(folder: Path) -> Path:
    """Write the sweep file into a folder; return its path."""
    path = folder / "selftest.yaml"
    path.write_text(SPEC, encoding="utf-8")
    return path
