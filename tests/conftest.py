"""Settings for all tests; imports neither PyTorch nor the training code, which the runtime's tests do without."""

from __future__ import annotations

import cv2
from hypothesis import HealthCheck, settings

# The same examples every time: a failure on one machine is a failure on all.
settings.register_profile(
    "sqdet",
    deadline=None,
    max_examples=50,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("sqdet")
cv2.setNumThreads(1)
