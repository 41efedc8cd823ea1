"""`nox`: the tests on every OpenCV we support; `nox --list` shows the sessions, `nox -s "tests(5.1.0.95)"` runs one.

Each session is `tests/run.sh`, which makes the environment: on the OpenCV of constraints.txt it runs everything, on the
others the runtime. What follows `--` goes to pytest.
"""

from __future__ import annotations

import re
from pathlib import Path

import nox

HERE = Path(__file__).parent
OLDEST = "4.10.0.84"
PINNED = re.search(r"^opencv-contrib-python==(\S+)$", (HERE / "constraints.txt").read_text(), re.MULTILINE).group(1)
NEWEST = (HERE / ".ci" / "opencv5").read_text().strip()


@nox.session(venv_backend="none")
@nox.parametrize("opencv", [nox.param(version, id=version) for version in (OLDEST, PINNED, NEWEST)])
def tests(session: nox.Session, opencv: str) -> None:
    # None removes a variable: a caller's own OPENCV or ENVIRONMENT would send all sessions to one place
    env = {"OPENCV": None if opencv == PINNED else opencv, "ENVIRONMENT": None}
    session.run("sh", "tests/run.sh", *session.posargs, env=env, external=True)
