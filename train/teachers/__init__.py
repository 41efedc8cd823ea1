"""Labels from detectors: boxes for a data set, or what each view or cell shows."""
