#!/usr/bin/env bash
# GhostShuffle network for CIFAR-10 under 1M parameters and 18 layers, by Zen-Score; on a GPU (GPU=N), or with the table of a
# device (LATENCY_TABLE=FILE), also within 6 ms an image of 640 x 640.
#
#   BUDGET_LATENCY    seconds an image of 640 x 640, batch 1. The network that the search starts from takes 95 ms on one thread of
#                     an EPYC processor: without GPU and LATENCY_TABLE there is no budget unless this is given. Then the calibrated
#                     table of this processor predicts, where there is one (docs/latency.md has the command); else what is
#                     accepted is measured.
source "$(dirname "${BASH_SOURCE[0]}")/search_common.sh"

SPACE=ghostshuffle START=$GHOSTSHUFFLE_1M_START CLASSES=10
MAX_LAYERS=${MAX_LAYERS-18} BUDGET_MODEL_SIZE=${BUDGET_MODEL_SIZE-1e6} BUDGET_FLOPS=${BUDGET_FLOPS-}
ZERO_SHOT_SCORE=${ZERO_SHOT_SCORE:-Zen} BATCH_SIZE=${BATCH_SIZE:-64}
if [[ -n ${GPU:-}${LATENCY_TABLE:-} ]]; then
    BUDGET_LATENCY=${BUDGET_LATENCY-6e-3}
elif [[ -z ${BUDGET_LATENCY+set} ]]; then
    echo "The budget of 6 ms is left out: it goes with GPU=N or LATENCY_TABLE=FILE, since a processor's single thread takes" \
        "longer. BUDGET_LATENCY=SECONDS sets one for this processor; docs/latency.md says how to find it" >&2
fi
if [[ -n ${BUDGET_LATENCY:-} ]]; then
    set -- --latency_batch_size 1 --latency_resolution 640 ${LATENCY_TABLE:+--latency_table "$LATENCY_TABLE"} "$@"
fi
search GhostShuffle_cifar_params1M "$@"
