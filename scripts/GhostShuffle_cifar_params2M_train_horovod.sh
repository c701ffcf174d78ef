#!/usr/bin/env bash
# Trains what GhostShuffle_cifar_params2M_search.sh found on CIFAR-10 by Horovod.
source "$(dirname "${BASH_SOURCE[0]}")/distributed_common.sh"

EPOCHS=${EPOCHS:-1440} BATCH_SIZE_PER_GPU=${BATCH_SIZE_PER_GPU:-128}
classify by_horovod GhostShuffle_cifar_params2M 4 --wd 5e-4 --sync_bn "$@"
