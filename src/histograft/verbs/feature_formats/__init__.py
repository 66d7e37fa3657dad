"""Layouts in which other programs keep features of slides, one file each, read and written."""
