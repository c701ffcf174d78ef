#!/usr/bin/env bash
# GhostShuffle network for CIFAR-10 under 1M parameters and 18 layers, by Zen-Score.
source "$(dirname "${BASH_SOURCE[0]}")/search_common.sh"

SPACE=ghostshuffle START=$GHOSTSHUFFLE_1M_START CLASSES=10
MAX_LAYERS=${MAX_LAYERS-18} BUDGET_MODEL_SIZE=${BUDGET_MODEL_SIZE-1e6} BUDGET_FLOPS=${BUDGET_FLOPS-}
ZERO_SHOT_SCORE=${ZERO_SHOT_SCORE:-Zen} BATCH_SIZE=${BATCH_SIZE:-64}
search GhostShuffle_cifar_params1M "$@"
