"""What an image shows, by SqueezeNet: python classify_image.py cat.jpg

Another model than the one in the package comes from an archive of ImageNet weights and a list of the class names:
    python -m export classifier WEIGHTS.npz --labels NAMES.txt --out squeezenet.onnx
"""

import argparse
import sys
from pathlib import Path

import cv2

from sqdet_cv import Classification, Classifier, SqdetError
from sqdet_cv.media import FONT, find_sources, plan_outputs, read_image, write_image, write_text


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="image, folder or glob")
    parser.add_argument("--model", help="exported .onnx with its .json beside it, or a .sqdet (default: the embedded)")
    parser.add_argument("--top", type=int, default=5, help="classes an image (default: 5)")
    parser.add_argument("--out", type=Path, metavar="DIR", help="write annotated images here")
    arguments = parser.parse_args(argv)
    try:
        failed = classify(arguments.images, Classifier(arguments.model), arguments.top, arguments.out)
    except (SqdetError, OSError) as error:
        print(f"classify_image: {error}", file=sys.stderr)
        return 2
    return 2 if failed else 0


def classify(images: list[str], classifier: Classifier, top: int, folder: Path | None) -> int:
    """Returns how many images could not be read."""
    sources = find_sources(images)
    for source in sources:
        if not source.is_still:
            raise SqdetError(f"{source}: not an image; expected images, folders of them or globs")
    outputs = plan_outputs(sources, folder) if folder else [None] * len(sources)
    failed = 0
    for source, output in zip(sources, outputs):
        try:
            image_bgr = read_image(source.address)
        except SqdetError as error:  # one damaged image must not cost the rest of a folder
            print(f"classify_image: {error}", file=sys.stderr)
            failed += 1
            continue
        found = classifier(image_bgr, top)
        print(source)
        for one in found:
            print(f"  {one.score:.4f} {one.label}")
        if output is not None:
            write_image(output, write_classes(image_bgr, found))
    return failed


def write_classes(image_bgr, found: list[Classification]):
    """A copy of the image with a line of text for each class, at most as wide as the image."""
    image = image_bgr.copy()
    lines = [f"{one.score:.2f} {one.label}" for one in found]
    height, width = image.shape[:2]
    widest = max(cv2.getTextSize(line, FONT, 1, 1)[0][0] for line in lines)
    scale = min(max(0.4, height / 500), 0.95 * width / (widest + 20))
    for i, line in enumerate(lines):
        write_text(image, line, (round(10 * scale), round((i + 1) * 32 * scale)), scale)
    return image


if __name__ == "__main__":
    sys.exit(main())
