#!/usr/bin/env bash
# Runs the tests with the oldest libraries that the requirements allow, in an environment of its own (.venv-lower), which takes
# 6 GB. Newest ones are what scripts/test.sh installs. Arguments go to pytest, in place of all tests.
#
#   bash scripts/test_lower_bounds.sh
#   bash scripts/test_lower_bounds.sh tests/test_export.py tests/test_training_loop.py
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$HERE/environment.sh"

LOWER=$ROOT/.venv-lower
[[ -x $LOWER/bin/python ]] || python3 -m venv "$LOWER"
# pip always takes the newest; uv can take the oldest.
"$LOWER/bin/python" -m pip install --quiet --disable-pip-version-check uv
VIRTUAL_ENV=$LOWER "$LOWER/bin/uv" pip install --quiet --resolution lowest-direct -r "$ROOT/requirements-test.txt"

cd "$ROOT"
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
exec "$LOWER/bin/python" -m pytest -n 2 --dist loadfile "$@"
