#!/usr/bin/env bash
# GhostShuffle network for CIFAR-10 under 2M parameters, 480M FLOPs and 20 layers, by Zen-Score.
source "$(dirname "${BASH_SOURCE[0]}")/search_common.sh"

SPACE=ghostshuffle START=$GHOSTSHUFFLE_2M_START CLASSES=10
MAX_LAYERS=${MAX_LAYERS-20} BUDGET_MODEL_SIZE=${BUDGET_MODEL_SIZE-2e6} BUDGET_FLOPS=${BUDGET_FLOPS-480e6}
ZERO_SHOT_SCORE=${ZERO_SHOT_SCORE:-Zen} BATCH_SIZE=${BATCH_SIZE:-64}
search GhostShuffle_cifar_params2M "$@"
