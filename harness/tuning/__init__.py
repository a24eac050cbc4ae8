"""Optuna studies of how much pretraining is worth its cost, kept in the database."""
