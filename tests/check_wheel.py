"""Run by .ci/run in an environment where only the wheel is installed: is everything in it, and nothing else?

Needs `python -I`: without it the folder tests, with its sqdet_cv, comes first on the path.
"""

import importlib.metadata
import sys
import zipfile


def main(wheel: str) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert tops == {"sqdet_cv", next(top for top in tops if top.endswith(".dist-info"))}, tops
    assert "sqdet_cv/models/sqdet_voc.sqdet" in names, names
    size = sum(info.file_size for info in zipfile.ZipFile(wheel).infolist() if "/models/" in info.filename)
    assert size <= 4_000_000, f"the model takes {size} bytes"

    import sqdet_cv

    sqdet_cv.Detector()
    heavy = {"torch", "onnx", "matplotlib", "scipy", "train", "export"} & set(sys.modules)
    assert not heavy, f"import sqdet_cv brings in {heavy}"
    installed = {dist.metadata["Name"].lower() for dist in importlib.metadata.distributions()}
    assert installed <= {"sqdet-cv", "numpy", "opencv-contrib-python", "pip", "setuptools"}, installed
    print(f"wheel: {len(names)} files, model {size / 1e6:.2f} MB, installed {', '.join(sorted(installed))}")


if __name__ == "__main__":
    main(sys.argv[1])
