from __future__ import annotations

import numpy as np
import pytest

from export.check import EXACT, compare
from export.errors import ExportError

from .commands.test_onnx import make_net


@pytest.mark.parametrize("broken", [0, 1], ids=["boxes", "scores"])
def test_nan_fails_the_check(broken: int):
    net, spec = make_net()
    outputs = [np.zeros((1, spec.num_anchors, width), np.float32) for width in (4, spec.num_classes)]
    outputs[broken][0, 3, 1] = np.nan
    with pytest.raises(ExportError, match=r"m\.onnx: OpenCV .* differs from PyTorch by .*inf"):
        compare("m.onnx", lambda blob: tuple(outputs), net, spec, 0, EXACT)
