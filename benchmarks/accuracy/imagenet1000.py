"""How often a classifier is right about one image of each of its classes: top-1 and top-5 through cv2.dnn.

    python benchmarks/accuracy/imagenet1000.py --model squeezenet.onnx PHOTOS

PHOTOS is a folder with one image a class, named so that their sorted names are in the order of the classes, as WordNet
ids are for ImageNet (n01440764.jpg, ...).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import cv2
from tqdm import tqdm

from sqdet_cv import Classifier, SqdetError
from sqdet_cv.media.sources import read_image


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--model", required=True, help="exported .onnx with its .json beside it")
    args = parser.parse_args(argv)
    try:
        classifier = Classifier(args.model)
        top1, top5 = count_right(classifier, sorted(args.photos.glob("*.jpg")))
    except SqdetError as error:
        print(f"imagenet1000: {error}", file=sys.stderr)
        return 2
    share = 100 / classifier.spec.num_classes
    print(
        f"OpenCV {cv2.__version__}, {args.model}: top-1 {top1 * share:.1f} %, top-5 {top5 * share:.1f} % of "
        f"{classifier.spec.num_classes} images"
    )
    return 0


def count_right(classifier: Classifier, photos: list[Path]) -> tuple[int, int]:
    """In how many images the best answer is right, and in how many one of the best five; image i shows class i."""
    classes = classifier.spec.num_classes
    if len(photos) != classes:
        raise SqdetError(f"{len(photos)} images (*.jpg); expected one for each of {classes} classes")
    top1 = top5 = 0
    for class_id, path in enumerate(tqdm(photos, unit="image", disable=None)):
        answers = [found.class_id for found in classifier(read_image(path), top=5)]
        top1 += answers[0] == class_id
        top5 += class_id in answers
    return top1, top5


if __name__ == "__main__":
    sys.exit(main())
