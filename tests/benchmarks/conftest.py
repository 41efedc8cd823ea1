"""The forms of the graph, the loader and the rivals need PyTorch; without it their tests are not collected."""

from __future__ import annotations

import importlib.util

if importlib.util.find_spec("torch") is None:
    collect_ignore = ["test_graph_forms.py", "test_loader.py"]
    collect_ignore_glob = ["test_rivals*.py"]
else:
    import torch

    torch.set_num_threads(1)  # the nets are tiny, and results then do not depend on the machine's cores
