"""A line of JSON for each frame, there as soon as it was searched; a job that was killed goes on behind the last."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..detections import Detections
from ..errors import SqdetError
from .sources import Frame, Source
from .writers import Recorder, json_entry


@dataclass(frozen=True)
class Progress:
    """How far a job came.

    Attributes:
        done: the sources that were searched to their end, as `str(source)`.
        length: bytes of the file up to the end of the last of them.
    """

    done: frozenset[str]
    length: int


def read_progress(path: str | Path, sources: Sequence[Source]) -> Progress:
    """What a file of `jsonl_recorder` says. A line that a kill cut off does not count, nor does a video that is the
    last: nobody knows whether it was at its end.

    Raises:
        OSError: the file cannot be read.
        SqdetError: it holds something else; names the file and the line.
    """
    stills = {str(source) for source in sources if source.is_still}
    done: set[str] = set()
    last, start, end = "", 0, 0
    for number, line in enumerate(Path(path).read_bytes().splitlines(keepends=True), start=1):
        if not line.endswith(b"\n"):
            break
        try:
            source = json.loads(line)["source"]
        except (ValueError, KeyError, TypeError):
            raise SqdetError(f"{path}: line {number} is not of `sqdet detect --jsonl`; expected such a file") from None
        if source != last:
            done.add(last)
            last, start = source, end
        end += len(line)
    if last in stills:
        return Progress(frozenset(done | {last}), end)
    return Progress(frozenset(done - {last}), start)


@contextmanager
def jsonl_recorder(path: str | Path, length: int = 0) -> Iterator[Recorder]:
    """Gives `record(source, frame, detections)`, which appends a `json_entry` as a line to the file.

    Args:
        length: bytes of what is there that stay; 0: the file begins anew.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("r+b" if length else "wb") as file:
        file.truncate(length)
        file.seek(length)

        def record(source: str, frame: Frame, detections: Detections) -> None:
            file.write(json.dumps(json_entry(source, frame, detections)).encode() + b"\n")
            file.flush()

        yield record
