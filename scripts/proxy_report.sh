#!/usr/bin/env bash
# Measures every zero-shot proxy against trained accuracies (NAS-Bench-201, NAS-Bench-Macro); tables and plots go to
# docs/proxy_report, or to the folder in SAVE_DIR. SMOKE=1 takes 16 networks and value-only proxies.
#
#   GSNET_DATA=FOLDER bash scripts/proxy_report.sh [options of benchmarks.proxy_report]
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$HERE/environment.sh"
ensure_environment requirements-test.txt

options=(--output_dir "${SAVE_DIR:-$ROOT/docs/proxy_report}" --cache_dir "$ROOT/save_dir/proxy_report")
if [[ ${SMOKE:-} == 1 ]]; then
    options=(--output_dir "${SAVE_DIR:-$ROOT/save_dir/proxy_report_smoke}" --cache_dir "$ROOT/save_dir/proxy_report_smoke")
    options+=(--samples 16 --searches 2 --search_networks 20 --proxies "Params,Flops,Random,PerturbationClosedForm")
fi
# Not by changing folder: relative paths among the options are the user's.
PYTHONPATH=$ROOT${PYTHONPATH:+:$PYTHONPATH} exec "$PYTHON" -m benchmarks.proxy_report "${options[@]}" "$@"
