from __future__ import annotations

import cv2
import numpy as np
import pytest

from sqdet_cv.util.opencv_errors import error_text


def test_reason_without_version_and_place():
    with pytest.raises(cv2.error) as caught:
        cv2.resize(np.zeros((0, 0, 3), np.uint8), (8, 8))
    text = error_text(caught.value)
    assert "ssize.empty()" in text
    assert not any(part in text for part in ("\n", cv2.__version__, ".cpp", "in function", "-215"))


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (
            "OpenCV(5.1.0) /a b/x.cpp:7: error: (-2:Unspecified error) in function 'f'\n> a > b:\n>   no layer\n> \n",
            "a > b: no layer",
        ),
        ("OpenCV(4.10.0) C:\\x.cpp:7: error: (-215:Assertion failed) a > 0 in function 'cv::f'\n", "a > 0"),
        ("raised in Python", "raised in Python"),
    ],
)
def test_forms_of_the_message(message: str, said: str):
    with pytest.raises(cv2.error):  # whose `err` must not come out below
        cv2.resize(np.zeros((0, 0, 3), np.uint8), (8, 8))
    assert error_text(cv2.error(message)) == said
