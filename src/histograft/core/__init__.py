"""Contracts: units, tables, artefacts, seeds and where work runs. Imports nothing of ours."""
