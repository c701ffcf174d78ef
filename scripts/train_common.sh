# shellcheck shell=bash
# Sourced by the scripts that train: the two published recipes, for the network that a search left in $SAVE_DIR.
#
#   train_cifar NAME            CIFAR-10, then CIFAR-100: SGD, 1440 epochs
#   distil_imagenet NAME …      ImageNet with EfficientNet-B3 as its teacher: 480 epochs; further options go to the script
#
# Overrides from the environment, beside those of search_common.sh, all optional:
#   TRAIN=0        no training
#   EPOCHS         passes over the data              WARMUP         of them with a rising learning rate (5, if EPOCHS is more)
#   BATCH_PER_GPU  images of a step
#   DATA_DIR       where the data sets lie (default: ~/data), with the folders pytorch_cifar10, pytorch_cifar100, imagenet/images
#   CIFAR10_DIR, CIFAR100_DIR, IMAGENET_DIR          folders of their own
#   WORKERS_PER_GPU  reading processes               TEACHER_ARCH, TEACHER_WEIGHTS  another teacher, and its checkpoint
#   SMOKE=1        one epoch of noise, to see that everything runs
# A training that was stopped continues when its script is started again.

source "$(dirname "${BASH_SOURCE[0]}")/search_common.sh"

DATA_DIR=${DATA_DIR:-$HOME/data}
CIFAR10_DIR=${CIFAR10_DIR:-$DATA_DIR/pytorch_cifar10}
CIFAR100_DIR=${CIFAR100_DIR:-$DATA_DIR/pytorch_cifar100}
IMAGENET_DIR=${IMAGENET_DIR:-$DATA_DIR/imagenet/images}

# SGD with Nesterov's momentum, a cosine from 0.1 for 256 images to 0, and every published augmentation.
PUBLISHED_RECIPE=(
    --optimizer sgd --nesterov --lr_mode cosine --lr_per_256 0.1 --target_lr_per_256 0 --bn_momentum 0.01
    --weight_init custom --label_smoothing --random_erase --mixup --auto_augment
)

# found FOLDER VARIABLE: whether a data set is there; says what to set where it is not.
found() {
    [[ ${SMOKE:-} == 1 || -d $1 ]] && return
    echo "There is no $1: training left out (set $2 or DATA_DIR, then start this script again)" >&2
    return 1
}

# where_and_how: the device, and what SMOKE changes; fills the array `common`.
where_and_how() {
    common=(--dist_mode cpu)
    [[ -n ${GPU:-} ]] && common=(--dist_mode single --gpu "$GPU")
    [[ ${SMOKE:-} == 1 ]] && EPOCHS=1 WORKERS_PER_GPU=0
    local warmup=${WARMUP:-5}
    [[ -n ${EPOCHS:-} ]] && ((EPOCHS <= warmup)) && warmup=0
    common+=(--warmup "$warmup" --workers_per_gpu "${WORKERS_PER_GPU:-6}" --auto_resume)
}

train_cifar() {
    local save_dir=${SAVE_DIR:-$ROOT/save_dir/$1} classes folder dataset common
    [[ ${TRAIN:-1} == 0 ]] && return
    where_and_how
    for classes in 10 100; do
        folder=CIFAR${classes}_DIR dataset=cifar$classes
        found "${!folder}" "$folder" || continue
        [[ ${SMOKE:-} == 1 ]] && dataset=fake
        "$PYTHON" "$ROOT/train_image_classification.py" --dataset "$dataset" --data_dir "${!folder}" \
            --num_classes "$classes" --input_image_size 32 --epochs "${EPOCHS:-1440}" \
            --arch Masternet.py:MasterNet --plainnet_struct_txt "$save_dir/best_structure.txt" \
            --batch_size_per_gpu "${BATCH_PER_GPU:-64}" --wd 5e-4 "${PUBLISHED_RECIPE[@]}" "${common[@]}" \
            --save_dir "$save_dir/cifar${classes}_1440epochs"
    done
}

distil_imagenet() {
    local save_dir=${SAVE_DIR:-$ROOT/save_dir/$1} common data size=224 teacher_size=320
    shift
    [[ ${TRAIN:-1} == 0 ]] && return
    found "$IMAGENET_DIR" IMAGENET_DIR || return 0
    where_and_how
    data=(--dataset imagenet --data_dir "$IMAGENET_DIR" --num_classes 1000)
    if [[ ${SMOKE:-} == 1 ]]; then
        data=(--dataset fake --num_classes 10) size=64 teacher_size=64
        smoke_teacher "$save_dir/teacher"
    fi
    teacher
    "$PYTHON" "$ROOT/ts_train_image_classification.py" "${data[@]}" --input_image_size "$size" \
        --epochs "${EPOCHS:-480}" --arch Masternet.py:MasterNet --plainnet_struct_txt "$save_dir/best_structure.txt" \
        "${teacher_options[@]}" --teacher_input_image_size "$teacher_size" --teacher_feature_weight 1.0 \
        --teacher_logit_weight 1.0 --ts_proj_no_relu --ts_proj_no_bn --target_downsample_ratio 16 \
        --batch_size_per_gpu "${BATCH_PER_GPU:-64}" --wd 4e-5 "${PUBLISHED_RECIPE[@]}" "${common[@]}" \
        --save_dir "$save_dir/ts_effnet_b3ns_epochs480" "$@"
}

# teacher: fills the array `teacher_options`: published weights, or the checkpoint of TEACHER_WEIGHTS.
teacher() {
    teacher_options=(--teacher_arch "${TEACHER_ARCH:-geffnet_tf_efficientnet_b3_ns}")
    if [[ -n ${TEACHER_WEIGHTS:-} ]]; then
        teacher_options+=(--teacher_load_parameters_from "$TEACHER_WEIGHTS")
    else
        teacher_options+=(--teacher_pretrained)
    fi
}

# smoke_teacher FOLDER: a small teacher that has seen one epoch of noise.
smoke_teacher() {
    TEACHER_ARCH=resnet18 TEACHER_WEIGHTS=$1/best-params_rank0.pth
    "$PYTHON" "$ROOT/train_image_classification.py" --arch resnet18 --dataset fake --num_classes 10 \
        --input_image_size 64 --epochs 1 --workers_per_gpu 0 --auto_resume --save_dir "$1"
}
