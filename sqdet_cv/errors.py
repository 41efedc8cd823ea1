"""The errors a user can cause. All are ValueErrors too, so a caller without our names can catch them."""


class SqdetError(ValueError):
    """Base of all: bad input, said in one line that names the file or value and what was expected."""


class SpecError(SqdetError):
    """A model spec that is malformed or contradicts its model."""


class ModelFileError(SqdetError):
    """A model file that is missing, damaged or not one of ours."""


class SourceError(SqdetError):
    """An image, folder, video, camera or stream that cannot be read."""


class BackendError(SqdetError):
    """A backend or target that this OpenCV does not have."""
