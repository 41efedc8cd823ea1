"""Sources: what an argument stands for, what it yields, and one line for everything that is wrong with it."""

import os
import struct
import threading
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np
import pytest

from sqdet_cv.errors import SourceError
from sqdet_cv.media.find import find_sources
from sqdet_cv.media.sources import decode_image, read_image


def make_image(width=40, height=30, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def save(path, image, suffix=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(suffix or path.suffix, image)[1].tobytes())
    return path


def save_video(path, frames=10, fps=20):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), fps, (64, 48))
    for number in range(frames):
        writer.write(np.full((48, 64, 3), number * 20, np.uint8))
    writer.release()
    return path


def names(*arguments):
    return [source.name for source in find_sources([str(argument) for argument in arguments])]


def error_of(*arguments):
    with pytest.raises(SourceError) as caught:
        for source in find_sources([str(argument) for argument in arguments]):
            list(source.frames())
    assert "\n" not in str(caught.value)
    return str(caught.value)


# -- images -------------------------------------------------------------------------------------------------------


def test_image_is_read_exactly(tmp_path):
    image = make_image()
    (source,) = find_sources([str(save(tmp_path / "котик 猫.png", image))])
    (frame,) = source.frames()
    assert source.is_still and not source.is_live
    assert (source.name, frame.index, frame.fps, frame.frame_count) == ("котик 猫.png", 0, None, 1)
    np.testing.assert_array_equal(frame.image_bgr, image)


@pytest.mark.parametrize(
    "stored",
    [
        pytest.param(make_image().astype(np.uint16) * 257, id="16 bit"),
        pytest.param(make_image()[..., 0], id="grey"),
        pytest.param(make_image()[..., 0].astype(np.uint16) * 257, id="grey 16 bit"),
        pytest.param(np.dstack([make_image(), make_image()[..., 0]]), id="alpha"),
    ],
)
def test_every_kind_becomes_bgr_uint8(tmp_path, stored):
    image = read_image(save(tmp_path / "a.png", stored))
    expected = np.repeat(make_image()[..., :1], 3, axis=2) if stored.ndim == 2 else make_image()
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image, expected)


def test_image_without_suffix_is_an_image(tmp_path):
    (source,) = find_sources([str(save(tmp_path / "image", make_image(), ".png"))])
    assert source.is_still


def test_damaged_image_is_named_and_opencv_is_silent(tmp_path, capfd):
    path = save(tmp_path / "a.png", make_image())
    path.write_bytes(path.read_bytes()[:500])
    assert str(path) in error_of(path)
    assert capfd.readouterr().err == ""


def test_image_too_large_for_opencv_is_one_line(tmp_path):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    path = tmp_path / "bomb.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b""))
    assert "bomb.png" in error_of(path)


def test_bytes_are_decoded_as_their_file_is(tmp_path):
    path = save(tmp_path / "a.jpg", make_image())
    np.testing.assert_array_equal(decode_image(path.read_bytes(), "a"), read_image(path))
    for data in (b"", b"hello", path.read_bytes()[:20]):
        with pytest.raises(SourceError, match="^a: "):
            decode_image(data, "a")


def test_stderr_works_after_a_silenced_read(tmp_path, capfd):
    read_image(save(tmp_path / "a.png", make_image()))
    os.write(2, b"still here")
    assert capfd.readouterr().err == "still here"


# -- folders and globs ----------------------------------------------------------------------------------------------


def test_folder_is_sorted_deep_and_leaves_out_the_rest(tmp_path):
    for name in ("b.jpg", "a.PNG", "sub/c.png", ".hidden.png", ".git/d.png"):
        save(tmp_path / name, make_image(), ".png")
    (tmp_path / "notes.txt").write_text("x")
    assert names(tmp_path) == ["a.PNG", "b.jpg", "sub/c.png"]


def test_glob_keeps_folders_below_its_fixed_part(tmp_path):
    for name in ("one/a.png", "two/a.png", "two/b.jpg"):
        save(tmp_path / name, make_image(), ".png")
    assert names(tmp_path / "*" / "*.png") == ["one/a.png", "two/a.png"]
    assert names(tmp_path / "**" / "*.jpg") == ["two/b.jpg"]


def test_file_with_brackets_in_its_name_is_no_glob(tmp_path):
    assert names(save(tmp_path / "a[1].png", make_image())) == ["a[1].png"]


def test_a_file_given_twice_is_read_once(tmp_path):
    path = save(tmp_path / "a.png", make_image())
    assert names(path, tmp_path, path) == ["a.png"]


def test_an_empty_name_is_not_the_current_folder(tmp_path, monkeypatch):
    save(tmp_path / "a.png", make_image())
    monkeypatch.chdir(tmp_path)
    assert names(".") == ["a.png"]
    with pytest.raises(SourceError, match="^an empty name; expected"):
        find_sources([""])


@pytest.mark.parametrize(
    ("argument", "said"),
    [("missing.jpg", "no such file"), ("empty.jpg", "empty"), ("folder", "no image"), ("*.webp", "matches no")],
)
def test_what_is_wrong_is_known_before_any_frame(tmp_path, argument, said):
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    with pytest.raises(SourceError, match=said) as caught:
        find_sources([str(tmp_path / argument)])
    assert argument in str(caught.value)


def test_a_name_too_long_is_one_line():
    assert "cannot be looked up" in error_of("x" * 5000)


# -- videos, cameras, streams ---------------------------------------------------------------------------------------


def test_video_yields_its_frames_in_order(tmp_path):
    (source,) = find_sources([str(save_video(tmp_path / "clip.avi"))])
    frames = list(source.frames())
    assert not source.is_still and not source.is_live
    assert [frame.index for frame in frames] == list(range(10))
    assert (frames[0].fps, frames[0].frame_count) == (20.0, 10)
    assert [round(frame.image_bgr.mean(), -1) for frame in frames] == [number * 20 for number in range(10)]


@pytest.mark.parametrize("name", ["text.mp4", "text.txt"])
def test_text_is_no_video_and_nothing_else_is_printed(tmp_path, capfd, name):
    (tmp_path / name).write_text("not a video " * 50)
    assert name in error_of(tmp_path / name)
    assert capfd.readouterr().err == ""


def test_camera_that_is_not_there(capfd):
    (source,) = find_sources(["97"])
    assert (source.address, source.name, source.is_live) == (97, "camera-97", True)
    assert "camera 97 does not open" in error_of("97")
    assert capfd.readouterr().err == ""


def test_stream_refused_is_one_line_without_the_password(capfd):
    message = error_of("rtsp://user:secret@127.0.0.1:9/live")
    assert "secret" not in message and "127.0.0.1:9/live" in message
    assert capfd.readouterr().err == ""


def test_stream_name_is_a_file_name_without_the_password():
    assert names("rtsp://user:secret@192.168.0.7:554/live/main?x=1") == ["stream-192.168.0.7-554-live-main"]


class MjpegHandler(BaseHTTPRequestHandler):
    """A network camera that sends 12 frames of rising brightness and hangs up."""

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        for number in range(12):
            data = cv2.imencode(".jpg", np.full((48, 64, 3), number * 20, np.uint8))[1].tobytes()
            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
            self.wfile.write(head.encode() + data + b"\r\n")

    def log_message(self, *arguments):
        """Silent: its log would go to stderr."""


@pytest.fixture
def mjpeg_url():
    server = ThreadingHTTPServer(("127.0.0.1", 0), MjpegHandler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/live.mjpg"
    server.shutdown()
    server.server_close()
    thread.join()


def test_mjpeg_stream(mjpeg_url):
    (source,) = find_sources([mjpeg_url])
    frames = list(source.frames())
    assert source.is_live
    assert frames[-1].index >= 9  # FFmpeg may drop the frame that the hang-up cuts
    assert frames[0].frame_count is None
    assert sum(1 + frame.skipped for frame in frames) == frames[-1].index + 1
    assert all(round(frame.image_bgr.mean(), -1) == 20 * frame.index for frame in frames)


@pytest.mark.parametrize(
    ("url", "shown", "name"),
    [
        ("rtsp://admin:P@ssw0rd@10.0.0.5/live", "rtsp://***@10.0.0.5/live", "stream-10.0.0.5-live"),
        ("rtsp://admin:pass/w0rd@10.0.0.5/live", "rtsp://***@10.0.0.5/live", "stream-10.0.0.5-live"),
        ("http://h/video?user=me&password=s3cret&n=2", "http://h/video?user=***&password=***&n=2", "stream-h-video"),
        ("http://h/video?size=2", "http://h/video?size=2", "stream-h-video"),
        ("rtsp://[::1", "rtsp://[::1", "stream-1"),
    ],
)
def test_no_password_is_shown_or_becomes_a_name(url, shown, name):
    (source,) = find_sources([url])
    assert (str(source), source.name, source.address) == (shown, name, url)


def test_a_long_number_is_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "20240131123456: no such file" in error_of("20240131123456")
    save(tmp_path / "20240131123456", make_image(), ".png")
    assert names("20240131123456") == ["20240131123456"]


def test_type_script_is_no_video(tmp_path):
    save(tmp_path / "a.png", make_image())
    (tmp_path / "app.ts").write_text("const a = 1;\n")
    assert names(tmp_path) == names(tmp_path / "*") == ["a.png"]
    assert "text file" in error_of(tmp_path / "app.ts")


def test_linked_folders_are_searched_and_circles_end(tmp_path):
    save(tmp_path / "other" / "b.png", make_image())
    save(tmp_path / "images" / "a.png", make_image())
    (tmp_path / "images" / "link").symlink_to(tmp_path / "other")
    (tmp_path / "images" / "circle").symlink_to(tmp_path / "images")
    assert names(tmp_path / "images") == ["a.png", "link/b.png"]


def test_names_never_leave_the_folder_of_results(tmp_path):
    save(tmp_path / "a" / "x.png", make_image())
    save(tmp_path / "b" / "y.png", make_image())
    assert all(".." not in name for name in names(tmp_path / "*" / ".." / "b" / "*.png"))


def test_a_file_with_two_names_is_read_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "a.png", make_image())
    assert names("a.png", tmp_path / "a.png", "./a.png") == ["a.png"]
