"""Ours beside other small detectors: accuracy, time, bytes."""
