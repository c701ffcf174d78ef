#!/usr/bin/env bash
# Inverted-residual network for ImageNet under 800M FLOPs and 16 layers, by Zen-Score; then its training by a teacher.
source "$(dirname "${BASH_SOURCE[0]}")/search_common.sh"
source "$(dirname "${BASH_SOURCE[0]}")/train_common.sh"

SPACE=IDW_fixfc START=$IDW_START CLASSES=1000 RESOLUTION=224
MAX_LAYERS=${MAX_LAYERS-16} BUDGET_MODEL_SIZE=${BUDGET_MODEL_SIZE-} BUDGET_FLOPS=${BUDGET_FLOPS-800e6}
ZERO_SHOT_SCORE=${ZERO_SHOT_SCORE:-Zen} BATCH_SIZE=${BATCH_SIZE:-64}
[[ ${SMOKE:-} == 1 ]] && RESOLUTION=64
search Zen_NAS_ImageNet_flops800M
distil_imagenet Zen_NAS_ImageNet_flops800M --use_se "$@"
