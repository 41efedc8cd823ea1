"""Objects in a camera's image, live: `python detect_webcam.py`; q or Esc ends.

Without a screen: `python detect_webcam.py --source rtsp://... --save out.mp4`; Ctrl-C ends.
"""

import argparse
import sys
import time
from contextlib import ExitStack
from pathlib import Path

from sqdet_cv import Detector, SqdetError
from sqdet_cv.boxes.postprocess import SCORE_THRESHOLD
from sqdet_cv.cli.parser import OneLineParser
from sqdet_cv.media.annotate import draw, write_text
from sqdet_cv.media.sources import find_sources
from sqdet_cv.media.window import QUIT_KEYS, Window
from sqdet_cv.media.writers import VideoFile, write_picture
from sqdet_cv.util.interrupt import CtrlC


def main(argv: list[str] | None = None) -> int:
    parser = OneLineParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", default="0", help="camera number, video, stream URL or image (default: 0)")
    parser.add_argument("--model", help="exported .onnx with its .json beside it (default: the embedded model)")
    parser.add_argument(
        "--score", type=float, default=SCORE_THRESHOLD, help="least score of a detection (default: %(default)s)"
    )
    parser.add_argument("--save", type=Path, metavar="FILE", help="write an .mp4 (an image: .png), open no window")
    arguments = parser.parse_args(argv)
    try:
        detect(arguments.source, arguments.save, Detector(arguments.model, score_threshold=arguments.score))
    except (SqdetError, OSError) as error:
        print(f"detect_webcam: {error}", file=sys.stderr)
        return 2
    return 0


def detect(address: str, save: Path | None, detector: Detector) -> None:
    source = find_sources([address])[0]
    if save is not None and not source.is_still and save.suffix != ".mp4":
        raise SqdetError(f"--save {save}: expected a name that ends in .mp4 for a video")
    window = Window("sqdet") if save is None else None
    fps, before = 0.0, time.perf_counter()
    with CtrlC() as ctrl_c, ExitStack() as files:
        video = None
        for frame in source.frames():
            image = draw(frame.image_bgr, detector(frame.image_bgr))
            now = time.perf_counter()
            # smoothed, since a number that jumps cannot be read
            fps = 0.9 * fps + 0.1 / (now - before) if frame.index > 1 else 1 / (now - before)
            before = now
            scale = max(0.4, image.shape[0] / 700)
            write_text(image, f"{fps:.1f} fps", (round(10 * scale), image.shape[0] - round(12 * scale)), scale)
            if window is not None:
                window.show(image)
                if window.poll(0 if source.is_still else 1) in QUIT_KEYS:
                    break
            elif source.is_still:
                write_picture(save, image)
            else:
                video = video or files.enter_context(VideoFile(save.with_suffix(""), frame.fps))
                video.write(image)
            if ctrl_c.pressed:
                break


if __name__ == "__main__":
    sys.exit(main())
