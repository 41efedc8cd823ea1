"""Training: run from a checkout with `python -m train`. Not part of the installed package."""
