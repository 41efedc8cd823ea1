"""The error a user of `python -m export` can cause or must see: shown as one line, exit code 2."""


class ExportError(ValueError):
    """A net that cannot be exported, or a written file that does not compute what the net does."""
