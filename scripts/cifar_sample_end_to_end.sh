#!/usr/bin/env bash
# From nothing to a trained network on real images, in minutes on a CPU: searches a small student and a larger teacher, trains
# both, trains the student once more with the teacher's help, and validates all three.
#
#   DATA_DIR=folder_with_train_and_test bash scripts/cifar_sample_end_to_end.sh
#   DATA_ARCHIVE=cifar10_jpeg_2000_1000.tar.gz bash scripts/cifar_sample_end_to_end.sh
#
# DATA_DIR holds train/CLASS/IMAGE and test/CLASS/IMAGE with ten classes, or torchvision's CIFAR-10; DATA_ARCHIVE is a tar of
# such a folder called cifar10. Other overrides: SAVE_DIR, GPU, SEED, EPOCHS (12), EVOLUTION_MAX_ITER (2000), SMOKE=1.
# Searches are by Ensemble under a limit on growth, whose winners train best; ZERO_SHOT_SCORE=ZenClosedForm BUDGET_GROWTH= is
# quicker, and as good for a look at the chain.
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$HERE/search_common.sh"

results=${SAVE_DIR:-$ROOT/save_dir/cifar_sample}
mkdir -p "$results"
data=(--dataset cifar10 --download)
if [[ -n ${DATA_ARCHIVE:-} ]]; then
    [[ -d $results/data/cifar10/test ]] || { mkdir -p "$results/data" && tar -xzf "$DATA_ARCHIVE" -C "$results/data"; }
    DATA_DIR=$results/data/cifar10
fi
[[ -n ${DATA_DIR:-} ]] && data=(--dataset cifar10 --data_dir "$DATA_DIR")
if [[ ${SMOKE:-} == 1 ]]; then
    EPOCHS=${EPOCHS:-2} batch=16
else
    EPOCHS=${EPOCHS:-12} EVOLUTION_MAX_ITER=${EVOLUTION_MAX_ITER:-2000} batch=64
fi
machine=(--dist_mode cpu) validation_machine=()
if [[ -n ${GPU:-} ]]; then
    machine=(--dist_mode single --gpu "$GPU") validation_machine=(--gpu "$GPU")
fi

SPACE=XXBL CLASSES=10 MAX_LAYERS=12 BATCH_SIZE=16
ZERO_SHOT_SCORE=${ZERO_SHOT_SCORE:-Ensemble} BUDGET_GROWTH=${BUDGET_GROWTH-3.5}
START="SuperConvK3BNRELU(3,16,2,1)SuperResK3K3(16,16,1,16,1)SuperResK3K3(16,32,2,16,1)SuperResK3K3(32,64,2,32,1)\
SuperConvK1BNRELU(64,128,1,1)"

# search_network NAME FLOPS
search_network() {
    SAVE_DIR=$results/$1 BUDGET_FLOPS=$2 BUDGET_MODEL_SIZE=
    export SPACE START
    search "$1" >&2
}

# train SCRIPT NETWORK FOLDER [OPTION…]
train() {
    local script=$1 network=$2 folder=$3
    shift 3
    "$PYTHON" "$ROOT/$script" "${data[@]}" "${machine[@]}" --arch "$results/$network/best_structure.txt" \
        --input_image_size 32 --batch_size "$batch" --workers_per_gpu "${TRAIN_WORKERS:-0}" --seed "${SEED:-0}" \
        --epochs "$EPOCHS" --warmup 1 --lr 0.1 --nesterov --wd 5e-4 --weight_init custom --label_smoothing \
        --save_dir "$results/$folder" --auto_resume "$@"
}

# validate FOLDER: of a training, which says itself what it is of
validate() {
    "$PYTHON" "$ROOT/val_cifar.py" "${validation_machine[@]}" --arch "$results/$1" --workers 0 --json |
        tee "$results/$1/validation.json" |
        "$PYTHON" -c "import json, sys; row = json.load(sys.stdin)
print(f'$1: top-1 {row[\"top1\"]:.2f} %, top-5 {row[\"top5\"]:.2f} %, {row[\"images\"]} images')"
}

search_network student "${STUDENT_FLOPS:-3e6}"
search_network teacher "${TEACHER_FLOPS:-8e6}"
train train_image_classification.py teacher teacher/training
train train_image_classification.py student student/training
train ts_train_image_classification.py student student/distillation --teacher_arch "$results/teacher/best_structure.txt" \
    --teacher_load_parameters_from "$results/teacher/training/best-params_rank0.pth" \
    --teacher_feature_weight 1 --teacher_logit_weight 1 --ts_proj_no_relu --ts_proj_no_bn --target_downsample_ratio 4
validate teacher/training
validate student/training
validate student/distillation
