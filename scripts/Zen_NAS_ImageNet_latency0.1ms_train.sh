#!/usr/bin/env bash
# Distils a network of 0.1 ms an image, searched or published, on ImageNet by Horovod.
source "$(dirname "${BASH_SOURCE[0]}")/distributed_common.sh"

EPOCHS=${EPOCHS:-480} BATCH_SIZE_PER_GPU=${BATCH_SIZE_PER_GPU:-64} WORKERS=${WORKERS:-8}
distil by_horovod Zen_NAS_ImageNet_latency0.1ms 8 zennet_imagenet1k_latency01ms_res224 --sync_bn "$@"
