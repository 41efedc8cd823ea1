"""Each test here runs in a folder of its own, with a detector that needs no model."""

from .detect_runs import fake_detector  # noqa: F401
