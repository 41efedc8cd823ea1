"""Objects in a camera's image, live: `python detect_webcam.py`; q or Esc ends.

Without a screen: `python detect_webcam.py --source rtsp://... --save out.mp4`; Ctrl-C ends.
"""

import argparse
import sys
import time
from contextlib import ExitStack, suppress
from pathlib import Path

from sqdet_cv import Detector, SqdetError, draw
from sqdet_cv.media import QUIT_KEYS, VideoFile, Window, find_sources, write_image, write_text


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", default="0", help="camera number, video, stream URL or image (default: 0)")
    parser.add_argument("--model", help="exported .onnx with its .json beside it (default: the embedded model)")
    parser.add_argument("--score", type=float, help="least score of a detection (default: the model's)")
    parser.add_argument("--save", type=Path, metavar="FILE", help="write an .mp4 (an image: .png), open no window")
    arguments = parser.parse_args(argv)
    options = {} if arguments.score is None else {"score_threshold": arguments.score}
    try:
        detector = Detector(arguments.model, **options)
        detect(arguments.source, arguments.save, detector)
    except (SqdetError, OSError) as error:
        print(f"detect_webcam: {error}", file=sys.stderr)
        return 2
    return 0


def detect(address: str, save: Path | None, detector: Detector) -> None:
    source, *others = find_sources([address])
    if others:
        raise SqdetError(f"--source {address}: {len(others) + 1} images and videos; expected one")
    if save is not None and not source.is_still and save.suffix != ".mp4":
        raise SqdetError(f"--save {save}: expected a name that ends in .mp4 for a video")
    window = Window("sqdet") if save is None else None
    fps, before = 0.0, time.perf_counter()
    with ExitStack() as files, suppress(KeyboardInterrupt):  # Ctrl-C ends the loop; the video is closed after it
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
                key = window.poll(1)
                while source.is_still and key is None:  # in short waits, between which Ctrl-C is heard
                    key = window.poll(50)
                if key in QUIT_KEYS:
                    break
            elif source.is_still:
                write_image(save, image)
            else:
                video = video or files.enter_context(VideoFile(save.with_suffix(""), frame.fps))
                video.write(image, frame.seconds)


if __name__ == "__main__":
    sys.exit(main())
