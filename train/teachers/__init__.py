"""Labels from detectors: boxes for a data set, or class probabilities for each view."""
