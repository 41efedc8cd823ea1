"""The commands of `python -m export`: arguments in, one call, text out."""
