"""The error a user of `python -m train` can cause: shown as one line, exit code 2."""


class TrainError(ValueError):
    """Bad input for training: names the file or value and says what was expected."""


class NotFiniteError(TrainError):
    """A run whose loss, or its gradient, is no longer a number."""
