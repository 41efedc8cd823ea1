"""The training code needs PyTorch; without it these tests are not collected."""

from __future__ import annotations

import importlib.util

if importlib.util.find_spec("torch") is None:
    collect_ignore_glob = ["*"]
else:
    import torch

    torch.set_num_threads(1)  # the nets are tiny, and results then do not depend on the machine's cores

    # runs that several files of tests look at, made once
    from .trainers.classify_runs import classify_reference, colour_data  # noqa: F401
    from .trainers.fit_runs import fit_devkit, fit_reference  # noqa: F401
