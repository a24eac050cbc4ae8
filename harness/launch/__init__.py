"""Launches: plan, driver and executors, and the checks before anything is changed."""
