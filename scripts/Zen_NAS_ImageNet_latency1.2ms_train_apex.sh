#!/usr/bin/env bash
# Distils a network of 1.2 ms an image, searched or published, on ImageNet in mixed precision by torchrun.
source "$(dirname "${BASH_SOURCE[0]}")/distributed_common.sh"

EPOCHS=${EPOCHS:-100} BATCH_SIZE_PER_GPU=${BATCH_SIZE_PER_GPU:-256}
distil by_torchrun Zen_NAS_ImageNet_latency1.2ms 8 zennet_imagenet1k_latency12ms_res224 "$@"
