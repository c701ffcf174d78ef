#!/usr/bin/env bash
# ResNet-like network for CIFAR under 1M parameters and 18 layers, by Zen-Score; then its training.
# The search is that of Zen_NAS_cifar_params1M_search.sh, in the same results folder: what was searched there is trained.
source "$(dirname "${BASH_SOURCE[0]}")/search_common.sh"
source "$(dirname "${BASH_SOURCE[0]}")/train_common.sh"

SPACE=XXBL START=$XX_START CLASSES=10
MAX_LAYERS=${MAX_LAYERS-18} BUDGET_MODEL_SIZE=${BUDGET_MODEL_SIZE-1e6} BUDGET_FLOPS=${BUDGET_FLOPS-}
ZERO_SHOT_SCORE=${ZERO_SHOT_SCORE:-Zen} BATCH_SIZE=${BATCH_SIZE:-64}
search Zen_NAS_cifar_params1M
train_cifar Zen_NAS_cifar_params1M "$@"
