"""The HTTP service, called as an application: no port is opened."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest

pytest.importorskip("starlette", reason="pip install '.[serve]'")
pytest.importorskip("uvicorn", reason="pip install '.[serve]'")
pytest.importorskip("httpx2", reason="starlette's TestClient needs it")
from starlette.testclient import TestClient

from sqdet_cv import Detector, __version__
from sqdet_cv.cli import main as cli
from tests.colours import DETECTOR, red_and_blue_picture

from .loading import load_sample

LIMIT = 200_000


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    with TestClient(load_sample("serve").make_app(Detector(DETECTOR), LIMIT)) as client:
        yield client


def png(image_bgr: np.ndarray) -> bytes:
    return cv2.imencode(".png", image_bgr)[1].tobytes()


def test_the_answer_is_that_of_sqdet_detect(client, tmp_path, capsys):
    path = tmp_path / "picture.png"
    path.write_bytes(png(red_and_blue_picture()))
    answer = client.post("/detect", content=path.read_bytes())
    assert answer.status_code == 200
    assert cli.main(["detect", str(path), "--model", str(DETECTOR), "--json", "-", "--quiet"]) == 0
    (expected,) = json.loads(capsys.readouterr().out)
    assert len(answer.json()["detections"]) == 2
    assert answer.json() == expected | {"source": "body"}


def test_health(client):
    answer = client.get("/health")
    assert answer.status_code == 200
    assert answer.json() == {"status": "ok", "version": __version__, "labels": ["red", "blue"]}


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        pytest.param("POST", "/detect", b"hello", 400, id="no image"),
        pytest.param("POST", "/detect", b"", 400, id="empty"),
        pytest.param("POST", "/detect", png(red_and_blue_picture())[:300], 400, id="truncated"),
        pytest.param("POST", "/detect", bytes(LIMIT + 1), 413, id="too large"),
        pytest.param("GET", "/detect", b"", 405, id="method"),
        pytest.param("POST", "/health", b"", 405, id="method of health"),
        pytest.param("POST", "/other", b"", 404, id="path"),
    ],
)
def test_what_is_refused(client, method: str, path: str, body: bytes, status: int):
    answer = client.request(method, path, content=body)
    assert answer.status_code == status and list(answer.json()) == ["error"]
    assert answer.json()["error"] and "\n" not in answer.json()["error"]


def test_a_body_of_unknown_length_is_limited_too(client):
    assert client.post("/detect", content=(bytes(1000) for _ in range(LIMIT // 1000 + 1))).status_code == 413


def test_an_image_of_the_largest_size_is_taken(client):
    data = png(red_and_blue_picture())
    assert client.post("/detect", content=data + bytes(LIMIT - len(data))).status_code == 200  # PNG ends before


def test_fifty_at_once_are_answered_as_one_by_one(client):
    pictures = [png(np.roll(red_and_blue_picture(), 32 * i, axis=1)) for i in range(6)] * 9
    post = lambda picture: client.post("/detect", content=picture).json()  # noqa: E731
    serial = [post(picture) for picture in pictures[:50]]
    with ThreadPoolExecutor(50) as pool:
        assert list(pool.map(post, pictures[:50])) == serial
    assert len({json.dumps(answer) for answer in serial}) > 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        pytest.param(["--model", "nowhere.onnx"], "nowhere.onnx: no such model file", id="model"),
        pytest.param(["--score", "2"], "score_threshold is 2.0", id="score"),
        pytest.param(["--limit", "0"], "--limit 0", id="no bytes"),
        pytest.param(["--limit", "nan"], "--limit nan", id="no number"),
        pytest.param(["--port", "65536"], "--port 65536", id="port"),
    ],
)
def test_bad_options_are_one_line(capsys, options: list[str], said: str):
    assert load_sample("serve").main(options) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"serve: {said}")
