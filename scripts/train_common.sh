# shellcheck shell=bash
# Sourced by scripts that train what they searched, after search_common.sh.
#
#   train_cifar NAME       CIFAR-10, then CIFAR-100, into save_dir/NAME/cifar10_1440epochs and …/cifar100_1440epochs
#   distil_imagenet NAME   ImageNet with a teacher, into save_dir/NAME/ts_effnet_b3ns_epochs480
#
# Both take the network from best_structure.txt in the results folder of the search. Overrides from the environment, beside
# those of search_common.sh:
#   EPOCHS              passes over the data (1440 for CIFAR, 480 for ImageNet)
#   DATA_DIR            folder of the data set; for CIFAR the one that holds pytorch_cifar10 and pytorch_cifar100
#                       (default: below ~/data). Where it is not there, the training is left out, and the script says so
#   DOWNLOAD=1          CIFAR is fetched where it is missing
#   TRAIN_BATCH_SIZE    images of a step (64)          TRAIN_WORKERS   reading processes (6)
#   TEACHER_ARCH        another teacher                TEACHER_WEIGHTS its checkpoint, instead of published weights
#   ONLY_SEARCH=1       search and analyse, and leave the training out
#   SMOKE=1             two epochs of 32 images of noise and, for ImageNet, a teacher without weights
# Further arguments go to the training script. A training that was stopped goes on where it was.

set -euo pipefail

# training_options NAME: those that both recipes have, into the array `common`.
training_options() {
    local save_dir=${SAVE_DIR:-$ROOT/save_dir/$1}
    common=(
        --arch Masternet.py:MasterNet --plainnet_struct_txt "$save_dir/best_structure.txt"
        --batch_size_per_gpu "${TRAIN_BATCH_SIZE:-64}" --workers_per_gpu "${TRAIN_WORKERS:-6}" --seed "${SEED:-0}"
        --optimizer sgd --nesterov --bn_momentum 0.01 --weight_init custom --label_smoothing --random_erase --mixup
        --auto_augment --lr_per_256 0.1 --target_lr_per_256 0.0 --lr_mode cosine --auto_resume
    )
    if [[ -n ${GPU:-} ]]; then
        common+=(--dist_mode single --gpu "$GPU")
    else
        common+=(--dist_mode cpu)
    fi
}

# has_images FOLDER: whether a training has something to learn from; says what to do where it has not.
has_images() {
    [[ ${SMOKE:-} == 1 || -d $1 ]] && return
    echo "There is no $1: the training is left out. Set DATA_DIR (DOWNLOAD=1 fetches CIFAR), and start this script again" >&2
    return 1
}

train_cifar() {
    local name=$1
    shift
    [[ ${ONLY_SEARCH:-} == 1 ]] && return
    local common save_dir=${SAVE_DIR:-$ROOT/save_dir/$name} epochs=${EPOCHS:-1440} classes data
    training_options "$name"
    for classes in 10 100; do
        local folder=${DATA_DIR:-$HOME/data}/pytorch_cifar$classes
        data=(--dataset "cifar$classes" --data_dir "$folder" --epochs "$epochs" --warmup 5)
        if [[ ${DOWNLOAD:-} == 1 ]]; then
            data+=(--download)
        else
            has_images "$folder" || continue
        fi
        if [[ ${SMOKE:-} == 1 ]]; then
            data=(--dataset fake --fake_images 32 --epochs "${EPOCHS:-2}" --warmup 0 --workers_per_gpu 0 --batch_size_per_gpu 16)
        elif ((epochs <= 5)); then
            data+=(--warmup 0)
        fi
        "$PYTHON" "$ROOT/train_image_classification.py" "${common[@]}" "${data[@]}" --num_classes "$classes" \
            --input_image_size 32 --wd 5e-4 --save_dir "$save_dir/cifar${classes}_1440epochs" "$@"
    done
}

distil_imagenet() {
    local name=$1
    shift
    [[ ${ONLY_SEARCH:-} == 1 ]] && return
    local common save_dir=${SAVE_DIR:-$ROOT/save_dir/$name} epochs=${EPOCHS:-480} data teacher
    has_images "${DATA_DIR:-$HOME/data/imagenet}" || return 0
    training_options "$name"
    data=(--dataset imagenet --num_classes 1000 --input_image_size 224 --epochs "$epochs" --warmup 5)
    [[ -n ${DATA_DIR:-} ]] && data+=(--data_dir "$DATA_DIR")
    ((epochs <= 5)) && data+=(--warmup 0)
    teacher=(--teacher_arch "${TEACHER_ARCH:-geffnet_tf_efficientnet_b3_ns}" --teacher_input_image_size 320)
    if [[ -n ${TEACHER_WEIGHTS:-} ]]; then
        teacher+=(--teacher_load_parameters_from "$TEACHER_WEIGHTS")
    else
        teacher+=(--teacher_pretrained)
    fi
    if [[ ${SMOKE:-} == 1 ]]; then
        data=(--dataset fake --fake_images 32 --num_classes 10 --input_image_size 64 --epochs "${EPOCHS:-2}" --warmup 0)
        data+=(--workers_per_gpu 0 --batch_size_per_gpu 16)
        teacher=(--teacher_arch "${TEACHER_ARCH:-resnet18}" --teacher_input_image_size 64 --teacher_untrained)
    fi
    "$PYTHON" "$ROOT/ts_train_image_classification.py" "${common[@]}" "${data[@]}" "${teacher[@]}" --wd 4e-5 \
        --teacher_feature_weight 1.0 --teacher_logit_weight 1.0 --ts_proj_no_relu --ts_proj_no_bn \
        --target_downsample_ratio 16 --save_dir "$save_dir/ts_effnet_b3ns_epochs480" "$@"
}
