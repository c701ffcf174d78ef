#!/usr/bin/env bash
# Makes .venv, installs requirements-test.txt, then runs ruff and all tests. Arguments go to pytest.
#
#   bash scripts/test.sh
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$HERE/environment.sh"
ensure_environment requirements-test.txt

cd "$ROOT"
"$PYTHON" -m ruff check --quiet .
"$PYTHON" -m mypy
"$PYTHON" -m ruff format --check --quiet . || {
    echo "ruff format would change files: run .venv/bin/ruff format ." >&2
    exit 1
}
# One thread for each of the two processes: sums of floats depend on the number of threads.
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
# In the order of names, the longest file first: by number of tests, files of a few long ones would come last and leave one
# process waiting.
# A process that ended is not replaced: with whole files as portions, pytest-xdist would then wait for ever at its end.
exec "$PYTHON" -m pytest -n 2 --dist loadfile --no-loadscope-reorder --max-worker-restart 0 "$@"
