"""Computing what results say: statistics, boards, verdicts, budgets, curves and maps."""
