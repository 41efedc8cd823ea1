"""The commands of `python -m train`: arguments in, one call, text out."""
