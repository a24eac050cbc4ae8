"""Curves over training: what a database has of them, in pictures, tables and numbers."""
