"""The checkpoint and the images of the tests of `compress`, made once a file."""

from __future__ import annotations

import importlib.util

if importlib.util.find_spec("torch") is not None:
    from .tiny_run import checkpoint, devkit  # noqa: F401  (fixtures)
