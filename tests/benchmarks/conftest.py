"""Without PyTorch the tests of the benchmarks that need it are not collected."""

from __future__ import annotations

import importlib.util

if importlib.util.find_spec("torch") is None:
    need_it = "compression_curve graph_forms loader members oracles rivals* sharing_ratio train_step".split()
    collect_ignore_glob = [f"test_{name}.py" for name in need_it]
else:
    import torch

    torch.set_num_threads(1)  # the nets are tiny, and results then do not depend on the machine's cores

    # what a run of `train compress` starts with, for the benchmarks that need a checkpoint
    from tests.train.compress.tiny_run import checkpoint, devkit  # noqa: F401
