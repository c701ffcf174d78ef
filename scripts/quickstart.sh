#!/usr/bin/env bash
# From a fresh clone to a network: makes .venv, installs requirements.txt, searches a GhostShuffle network for CIFAR-10 under
# 1M parameters on the CPU, analyses the winner, draws the search, and times the winner in every runtime that is installed.
#
#   bash scripts/quickstart.sh
#
#   BACKEND   the runtimes, with commas between; "all" has torch compile it too, for a minute
#
# EVOLUTION_MAX_ITER, SAVE_DIR and the other overrides of search_common.sh work here too.
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$HERE/environment.sh"
ensure_environment requirements.txt

export SAVE_DIR=${SAVE_DIR:-$ROOT/save_dir/quickstart}
export ZERO_SHOT_SCORE=${ZERO_SHOT_SCORE:-ZenClosedForm}
[[ ${SMOKE:-} == 1 ]] || export EVOLUTION_MAX_ITER=${EVOLUTION_MAX_ITER:-100000}
export BATCH_SIZE=${BATCH_SIZE:-16}
# No latency budget, and no word about it, unless one is given.
export BUDGET_LATENCY=${BUDGET_LATENCY-}
# The winner's score is checked by forward passes.
[[ $ZERO_SHOT_SCORE == Zen* ]] && set -- --verify_top 1 "$@"
"$HERE/GhostShuffle_cifar_params1M_search.sh" "$@"

[[ ${SMOKE:-} == 1 ]] && BACKEND=${BACKEND:-torch}
"$PYTHON" "$ROOT/benchmark_network_latency.py" --arch "$SAVE_DIR" --untrained --batch_size_list 1 \
    --backend "${BACKEND:-torch,onnxruntime,openvino,ncnn,opencv,executorch,litert}" | tee "$SAVE_DIR/latency.txt"

verified=$([[ ! -e $SAVE_DIR/verified.csv ]] || echo "  verified.csv")
cat <<END

Found: $(cat "$SAVE_DIR/best_structure.txt")
The network, its costs and every candidate are in $SAVE_DIR:
  best_structure.txt  best.json  analyze_model.txt  latency.txt  history.csv  pareto.csv  search.png  pareto.png$verified
To go on, the Python that did this is $PYTHON
END
