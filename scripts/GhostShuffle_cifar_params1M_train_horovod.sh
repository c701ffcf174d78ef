#!/usr/bin/env bash
# Trains what GhostShuffle_cifar_params1M_search.sh found on CIFAR-10 by Horovod.
source "$(dirname "${BASH_SOURCE[0]}")/distributed_common.sh"

EPOCHS=${EPOCHS:-1440} BATCH_SIZE_PER_GPU=${BATCH_SIZE_PER_GPU:-256}
classify by_horovod GhostShuffle_cifar_params1M 4 --wd 5e-4 --sync_bn "$@"
