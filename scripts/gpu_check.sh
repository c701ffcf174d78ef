#!/usr/bin/env bash
# Walks every path that runs on a GPU once, in at most six minutes, and writes one page with the device's name: right, wrong,
# slower than the bar, not judged or left out, row by row. Send it with docs/gpu.md in mind, which collects such pages.
#
#   GPU=0 bash scripts/gpu_check.sh            # results in save_dir/gpu_check.md, or in the file that PAGE names
#   SMOKE=1 bash scripts/gpu_check.sh          # on the processor and on next to nothing: that every path runs
#
# Further options go to benchmarks.gpu_check.
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$HERE/environment.sh"
ensure_environment requirements-test.txt

options=(--page "${PAGE:-${SAVE_DIR:-$ROOT/save_dir}/gpu_check.md}")
if [[ ${SMOKE:-} == 1 ]]; then
    # A processor that is busy takes its time.
    options+=(--smoke --minutes 30)
else
    options+=(--gpu "${GPU:-0}")
fi
PYTHONPATH=$ROOT${PYTHONPATH:+:$PYTHONPATH} exec "$PYTHON" -m benchmarks.gpu_check "${options[@]}" "$@"
