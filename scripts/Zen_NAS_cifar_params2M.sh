#!/usr/bin/env bash
# ResNet-like network for CIFAR under 2M parameters and 20 layers, by Zen-Score; then its training.
source "$(dirname "${BASH_SOURCE[0]}")/search_common.sh"
source "$(dirname "${BASH_SOURCE[0]}")/train_common.sh"

SPACE=XXBL START=$XX_START CLASSES=100
MAX_LAYERS=${MAX_LAYERS-20} BUDGET_MODEL_SIZE=${BUDGET_MODEL_SIZE-2e6} BUDGET_FLOPS=${BUDGET_FLOPS-}
ZERO_SHOT_SCORE=${ZERO_SHOT_SCORE:-Zen} BATCH_SIZE=${BATCH_SIZE:-64}
search Zen_NAS_cifar_params2M
train_cifar Zen_NAS_cifar_params2M "$@"
