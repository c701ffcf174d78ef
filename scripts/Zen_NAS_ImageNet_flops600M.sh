#!/usr/bin/env bash
# Network of inverted residuals for ImageNet under 600M FLOPs and 14 layers, by Zen-Score, then distilled.
source "$(dirname "${BASH_SOURCE[0]}")/train_common.sh"

SPACE=IDW_fixfc START=$IDW_START CLASSES=1000 RESOLUTION=${RESOLUTION:-224}
MAX_LAYERS=${MAX_LAYERS-14} BUDGET_MODEL_SIZE=${BUDGET_MODEL_SIZE-} BUDGET_FLOPS=${BUDGET_FLOPS-6e8}
ZERO_SHOT_SCORE=${ZERO_SHOT_SCORE:-Zen} BATCH_SIZE=${BATCH_SIZE:-64}
search Zen_NAS_ImageNet_flops600M "$@"
distil_imagenet Zen_NAS_ImageNet_flops600M --use_se
