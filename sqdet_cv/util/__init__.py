"""Helpers that know no detector: atomic files, Ctrl-C, stderr, image checks."""
