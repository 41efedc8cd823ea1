"""Smaller nets: filters removed, weights pruned and shared, with retraining."""
