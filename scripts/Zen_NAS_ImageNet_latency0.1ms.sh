#!/usr/bin/env bash
# ResNet-like network for ImageNet within 0.1 ms an image of a V100 (half precision, batch 64) and 10 layers, by Zen-Score.
source "$(dirname "${BASH_SOURCE[0]}")/latency_common.sh"

MAX_LAYERS=${MAX_LAYERS-10} BUDGET_MODEL_SIZE=${BUDGET_MODEL_SIZE-} BUDGET_FLOPS=${BUDGET_FLOPS-}
ZERO_SHOT_SCORE=${ZERO_SHOT_SCORE:-ZenClosedForm} BATCH_SIZE=${BATCH_SIZE:-64}
latency_search 0.1 zennet_imagenet1k_latency01ms_res224 "$@"
