"""Measurements; each file says how it is run. They need a checkout."""
