"""Trains, measures and compresses detectors; needs PyTorch, and runs from a checkout."""
