"""Compute what results say: statistics, boards, verdicts, budgets, curves, maps. Draw nothing."""
