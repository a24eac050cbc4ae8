"""Verdicts on claims, each by the same rule: supported, refuted or undecided."""
