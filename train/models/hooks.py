"""Hooks on the modules of a net that stay only as long as they are needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager

import torch
from torch import nn

Read = Callable[[torch.Tensor], None]


@contextmanager
def reading_inputs(readers: Mapping[nn.Module, Read]) -> Iterator[None]:
    """Within the block, gives each module's first input to its function before the module computes (and perhaps changes
    that tensor in place). The hooks are removed at the end, after an error too."""
    with ExitStack() as stack:
        for module, read in readers.items():
            handle = module.register_forward_pre_hook(lambda _, inputs, read=read: read(inputs[0]))
            stack.callback(handle.remove)
        yield


@contextmanager
def reading_outputs(readers: Mapping[nn.Module, Read]) -> Iterator[None]:
    """The same with each module's output, once it is computed."""
    with ExitStack() as stack:
        for module, read in readers.items():
            handle = module.register_forward_hook(lambda _, __, output, read=read: read(output))
            stack.callback(handle.remove)
        yield
