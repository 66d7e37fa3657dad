"""Recipes: verbs composed into a paper."""
