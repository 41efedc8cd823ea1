"""BatchNorm of a net that came from an exported file, where it was folded into the convolutions before it."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import torch
from torch import nn

from .hooks import reading_inputs


@torch.no_grad()
def recalibrate_batchnorm(net: nn.Module, batches: Iterable[torch.Tensor]) -> int:
    """Gives every BatchNorm2d the mean and variance that its input really has, and a weight and bias that make up for
    the change: in evaluation mode the net computes what it did.

    The norms of a net from an exported file only add the folded bias. Training would divide by the batch's own
    deviation all the same, and so throw away in its first step what the file had learned.

    Args:
        batches: images (N, 3, H, W) as the net will be trained on; one pass over them.

    Returns:
        How many norms the net has; without any, no batch is taken.
    """
    norms = [module for module in net.modules() if isinstance(module, nn.BatchNorm2d)]
    if not norms:
        return 0
    moments = {norm: torch.zeros(3, norm.num_features, dtype=torch.float64) for norm in norms}

    def add(norm: nn.BatchNorm2d, values: torch.Tensor) -> None:
        values = values.double()
        count = torch.full((norm.num_features,), float(values.numel() // norm.num_features))
        sums = (count, values.sum(dim=(0, 2, 3)).cpu(), values.square().sum(dim=(0, 2, 3)).cpu())
        moments[norm] += torch.stack([one.double() for one in sums])

    was_training = net.training
    net.eval()
    try:
        with reading_inputs({norm: partial(add, norm) for norm in norms}):
            for images in batches:
                net(images)
    finally:
        net.train(was_training)
    for norm in norms:
        count, total, squares = moments[norm].to(norm.weight.device)
        mean = total / count
        variance = (squares / count - mean**2).clamp(min=0)
        scale = norm.weight / (norm.running_var + norm.eps).sqrt()
        norm.bias += scale * (mean - norm.running_mean)
        norm.weight.copy_(scale * (variance + norm.eps).sqrt())
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)
    return len(norms)
