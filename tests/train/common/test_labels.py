from __future__ import annotations

import pytest

from sqdet_cv.spec.detector_spec import VOC_LABELS
from train.common.errors import TrainError
from train.common.labels import parse_labels


def test_default_list_and_file(tmp_path):
    assert parse_labels("") == VOC_LABELS
    assert parse_labels("cat, traffic light") == ("cat", "traffic light")
    (tmp_path / "names.txt").write_text("cat\n\nTür \n", encoding="utf-8")
    assert parse_labels(str(tmp_path / "names.txt")) == ("cat", "Tür")


@pytest.mark.parametrize("text", ["cat,", "cat,cat", ",", "missing.txt"])
def test_what_is_refused_is_named(text):
    with pytest.raises(TrainError, match=f"--labels {text}"):
        parse_labels(text)
