#!/bin/sh
# Runs all tests, two at a time, in an environment of their own, with the versions of constraints.txt.
#   tests/run.sh [pytest arguments]
# OPENCV=VERSION    another OpenCV than the pinned one; then only the runtime (no torch) is installed, and tested where
#                   no path is given
# ENVIRONMENT=DIR   where the environment goes (default .venv-test, or .venv-test-VERSION)
set -eu
cd "$(dirname "$0")/.."
. samples/setup.sh
if [ -n "${OPENCV:-}" ]; then
    environment=${ENVIRONMENT:-.venv-test-$OPENCV}
    make_environment "$environment" . "opencv-contrib-python==$OPENCV" pytest pytest-xdist hypothesis
    paths=
    for argument; do
        if [ -e "${argument%%::*}" ]; then paths=given; fi
    done
    if [ -z "$paths" ]; then set -- tests/sqdet_cv tests/samples "$@"; fi
else
    environment=${ENVIRONMENT:-.venv-test}
    make_environment "$environment" -c constraints.txt ".[dev]"
fi
"$environment/bin/python" -m pytest -q -n 2 "$@"
