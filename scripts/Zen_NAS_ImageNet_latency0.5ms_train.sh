#!/usr/bin/env bash
# Distils a network of 0.5 ms an image, searched or published, on ImageNet by Horovod.
source "$(dirname "${BASH_SOURCE[0]}")/distributed_common.sh"

EPOCHS=${EPOCHS:-480} BATCH_SIZE_PER_GPU=${BATCH_SIZE_PER_GPU:-128} WORKERS=${WORKERS:-6}
distil by_horovod Zen_NAS_ImageNet_latency0.5ms 8 zennet_imagenet1k_latency05ms_res224 --sync_bn "$@"
