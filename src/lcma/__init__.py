"""A benchmark harness with a results database for factorizations of multi-scale flows."""
