"""Optuna studies of how much pretraining is worth buying, kept in the database."""
