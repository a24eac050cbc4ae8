"""Measures of a trained flow."""
