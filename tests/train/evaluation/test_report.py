from __future__ import annotations

import base64
import re
import sys
from dataclasses import replace
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest

from tests.train.evaluation.evaluation_cases import BIRD, CAT, DOG, LABELS, make_found, make_sample
from train.common.errors import TrainError
from train.evaluation.evaluate import evaluate_fully
from train.evaluation.report import check_report_path, report_html

BOX, FAR, OTHER = (0, 0, 40, 40), (100, 100, 150, 150), (100, 0, 140, 30)
VOID = {"meta", "img"}


class _Page(HTMLParser):
    """Tables as lists of rows of texts, images as bytes; open tags, to see that all are closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tables, self.sources, self.open, self.tags = [], [], [], set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.tags.add(tag)
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag == "img":
            self.sources.append(dict(attrs)["src"])

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("td", "th"):
            self.tables[-1][-1].append(data)


@pytest.fixture(scope="module")
def html(tmp_path_factory) -> str:
    """A cat that is found, a dog that is called a cat, and a bird that is missed."""
    path = tmp_path_factory.mktemp("photos") / "<image>.png"
    cv2.imwrite(str(path), np.full((160, 200, 3), 90, np.uint8))
    sample = replace(make_sample([(CAT, BOX), (DOG, FAR), (BIRD, OTHER)]), image_path=path)
    evaluation = evaluate_fully([make_found([(CAT, 0.9, BOX), (CAT, 0.8, FAR)])], [sample], LABELS, 0.5)
    return report_html(evaluation, "a<b>.onnx", "voc test")


@pytest.fixture
def page(html: str) -> _Page:
    return _Page(html)


def test_the_page_needs_nothing_else(html: str, page: _Page):
    assert page.open == []
    assert not page.tags & {"script", "link", "iframe"}
    assert all(source.startswith("data:image/") for source in page.sources)
    assert not re.search(r"https?://|url\(|@import", re.sub(r'src="data:[^"]*"', "", html))
    assert "<h1>a&lt;b&gt;.onnx on voc test</h1>" in html
    assert "(&lt;image&gt;.png)" in html


def test_every_picture_can_be_read(page: _Page):
    """Five plots, one wrong detection, and of the image's two missed objects the larger."""
    assert len(page.sources) == 8
    for source in page.sources:
        data = base64.b64decode(source.partition("base64,")[2], validate=True)
        assert cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) is not None


def test_the_numbers_in_the_tables(page: _Page):
    summary, classes, errors = page.tables
    assert summary[1] == ["mean AP, VOC area, IoU 0.5", "33.3"]
    assert {len(row) for row in classes} == {8}
    assert classes[2] == ["cat", "1", "100.0", "100.0", "100.0", "50.0", "100.0", "66.7"]
    assert classes[3] == ["dog", "1", "0.0", "0.0", "0.0", "\u2013", "0.0", "0.0"]
    assert classes[4] == ["all", "3", "33.3", "33.3", "33.3", "50.0", "33.3", "40.0"]
    assert errors[0] == (
        ["class", "detections", "right", "localisation", "confusion", "duplicate", "background", "objects", "missed"]
    )
    assert errors[2] == ["cat", "2", "1", "0", "1", "0", "0", "1", "0"]
    assert errors[4] == ["all", "2", "1", "0", "1", "0", "0", "3", "2"]


def test_nothing_found_and_nothing_there():
    e = evaluate_fully([make_found([])], [make_sample([])], LABELS)
    page = _Page(report_html(e, "m.pt", "voc val"))
    assert len(page.sources) == 6
    assert page.tables[0][1][1] == "\u2013"
    assert page.tables[1][4] == ["all", "0", *["\u2013"] * 6]


def test_a_report_that_could_not_be_written_is_said_before_the_work(monkeypatch):
    check_report_path("out/a.html")
    with pytest.raises(TrainError, match=r"--report a\.txt: expected an \.html file"):
        check_report_path("a.txt")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(TrainError, match="--report needs matplotlib"):
        check_report_path("a.html")
