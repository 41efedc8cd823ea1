#!/bin/sh
# Installs sqdet-cv into .venv and detects in the sample images; the annotated ones appear under out/.
set -eu
cd "$(dirname "$0")/.."
. samples/setup.sh
make_environment .venv .
.venv/bin/sqdet detect samples/pictures/*.jpg --out out
echo "annotated images: $(pwd)/out"
