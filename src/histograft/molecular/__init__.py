"""Molecular tables in, patients out: mutations, expression, and who they belong to."""
