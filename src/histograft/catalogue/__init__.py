"""Facts about public data sets, one file for each; no logic."""
