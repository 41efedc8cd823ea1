"""Objects in an image: python detect_image.py IMAGE OUT, for instance cat.jpg found.jpg"""

import sys
from pathlib import Path

from sqdet_cv import Detector, SqdetError, draw
from sqdet_cv.media import read_image, write_image


def main(arguments: list[str]) -> int:
    if len(arguments) != 2:
        print("usage: python detect_image.py IMAGE OUT", file=sys.stderr)
        return 2
    path, out = arguments
    try:
        image_bgr = read_image(path)
        found = Detector()(image_bgr)
        write_image(Path(out), draw(image_bgr, found))
    except (SqdetError, OSError) as error:
        print(f"detect_image: {error}", file=sys.stderr)
        return 2
    for one in found:
        print(f"{one.label} {one.score:.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
