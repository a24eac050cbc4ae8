"""Computing what results say: statistics, boards, verdicts, effects, budgets, curves and maps."""
