"""How much pretraining is worth buying: an Optuna study over budgets, kept in the database."""
