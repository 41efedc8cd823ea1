"""All numbers of a detector or classifier: AP, errors, calibration, report."""
