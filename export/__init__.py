"""Export: run from a checkout with `python -m export`. Not part of the installed package."""
