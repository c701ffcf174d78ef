#!/usr/bin/env bash
# ResNet-like network for ImageNet within 0.2 ms an image of a V100 (half precision, batch 64) and 13 layers, by Zen-Score.
source "$(dirname "${BASH_SOURCE[0]}")/latency_common.sh"

MAX_LAYERS=${MAX_LAYERS-13} BUDGET_MODEL_SIZE=${BUDGET_MODEL_SIZE-} BUDGET_FLOPS=${BUDGET_FLOPS-}
ZERO_SHOT_SCORE=${ZERO_SHOT_SCORE:-ZenClosedForm} BATCH_SIZE=${BATCH_SIZE:-64}
latency_search 0.2 zennet_imagenet1k_latency02ms_res224 "$@"
