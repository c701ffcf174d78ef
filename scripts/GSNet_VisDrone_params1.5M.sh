#!/usr/bin/env bash
# The whole way to a detector for drone images: a GhostShuffle backbone under 1.5M parameters is found by the closed-form
# Zen-Score, trained as a classifier, put under the neck and head, trained on VisDrone, evaluated by both protocols, drawn and
# exported.
#
#   VISDRONE_DIR=~/data/VisDrone bash scripts/GSNet_VisDrone_params1.5M.sh
#   SMOKE=1 bash scripts/GSNet_VisDrone_params1.5M.sh     # every step on synthetic scenes, a few minutes on a CPU
#
# Overrides, beside those of search_common.sh, all optional:
#   VISDRONE_DIR     holds VisDrone2019-DET-train and VisDrone2019-DET-val (default: ~/data/VisDrone)
#   BUDGET_FLOPS     of the backbone at 64 x 64 (7M): parameters alone leave operations free, and the score asks for many. With
#                    7M the detector is as fast as NanoDet-Plus-m-1.5x, which has as many parameters (docs/detection.md)
#   BUDGET_LATENCY   instead: seconds an image of IMAGE_SIZE x IMAGE_SIZE, by the table of the deployed runtime, LATENCY_TABLE=FILE
#                    (docs/latency.md), or measured on this machine
#   CLASSIFIER_DATA  cifar10, cifar100 or imagenet, in CLASSIFIER_DIR; without the folder the classifier is left out
#   CLASSIFIER_EPOCHS, CLASSIFIER_SIZE               EPOCHS, IMAGE_SIZE, IMAGE_HEIGHT, DETECTOR_BATCH  of the detector
#   DRAW             images with drawn detections (8)
# Trainings that were stopped go on when the script is started again.
source "$(dirname "${BASH_SOURCE[0]}")/search_common.sh"

NAME=GSNet_VisDrone_params1.5M
export SAVE_DIR=${SAVE_DIR:-$ROOT/save_dir/$NAME}
VISDRONE_DIR=${VISDRONE_DIR:-$HOME/data/VisDrone}
TRAIN_DIR=$VISDRONE_DIR/VisDrone2019-DET-train VAL_DIR=$VISDRONE_DIR/VisDrone2019-DET-val
CLASSIFIER_DATA=${CLASSIFIER_DATA:-cifar10} CLASSIFIER_DIR=${CLASSIFIER_DIR:-$HOME/data/pytorch_cifar10}
CLASSIFIER_EPOCHS=${CLASSIFIER_EPOCHS:-30} CLASSIFIER_SIZE=${CLASSIFIER_SIZE:-64}
IMAGE_SIZE=${IMAGE_SIZE:-640} IMAGE_HEIGHT=${IMAGE_HEIGHT:-384}
DETECTOR_BATCH=${DETECTOR_BATCH:-28} WORKERS_PER_GPU=${WORKERS_PER_GPU:-4}
detector=(--neck_channels 128 --head_channels 128 --tiny_radius 1.0 --keep_ratio)
where=(--dist_mode cpu)
on_gpu=()
if [[ -n ${GPU:-} ]]; then
    where=(--dist_mode single --gpu "$GPU" --fp16)
    on_gpu=(--gpu "$GPU")
fi

if [[ ${SMOKE:-} == 1 ]]; then
    TRAIN_DIR=$SAVE_DIR/scenes VAL_DIR=$SAVE_DIR/scenes
    mkdir -p "$SAVE_DIR"
    # From the project's folder, whose rooms `python -m` looks for.
    (cd "$ROOT" && "$PYTHON" -m gsnet detection-data synthetic --output "$SAVE_DIR/scenes" --images 8)
    CLASSIFIER_DATA=fake CLASSIFIER_DIR=$SAVE_DIR CLASSIFIER_EPOCHS=1 CLASSIFIER_SIZE=32
    EPOCHS=${EPOCHS:-2} IMAGE_SIZE=160 IMAGE_HEIGHT=96 DETECTOR_BATCH=4 WORKERS_PER_GPU=0
    detector=(--neck_channels 32 --head_channels 32 --tiny_radius 1.0 --keep_ratio)
fi
EPOCHS=${EPOCHS:-300}
[[ -d $TRAIN_DIR && -d $VAL_DIR ]] || {
    echo "There is no $TRAIN_DIR, or no $VAL_DIR: set VISDRONE_DIR, or SMOKE=1 for synthetic scenes" >&2
    exit 2
}

# 1. The backbone. Maps at stride 32 are 2 x 2 at this resolution.
export ZERO_SHOT_SCORE=${ZERO_SHOT_SCORE:-ZenClosedForm}
SPACE=ghostshuffle START=$GHOSTSHUFFLE_1M_START CLASSES=10 RESOLUTION=${RESOLUTION:-64}
MAX_LAYERS=${MAX_LAYERS-18} BUDGET_MODEL_SIZE=${BUDGET_MODEL_SIZE-1.5e6}
if [[ -n ${BUDGET_LATENCY:-} ]]; then
    set -- --latency_batch_size 1 --latency_resolution "$IMAGE_SIZE" ${LATENCY_TABLE:+--latency_table "$LATENCY_TABLE"} "$@"
else
    BUDGET_FLOPS=${BUDGET_FLOPS-7e6}
fi
if [[ ! -e $SAVE_DIR/best_structure.txt ]]; then
    [[ -e $SAVE_DIR/search.db ]] && set -- --resume "$@"
    search "$NAME" "$@"
fi
structure=$SAVE_DIR/best_structure.txt

# 2. First weights: a classifier of the unit that the detector runs.
start=() images=(--dataset "$CLASSIFIER_DATA")
[[ $CLASSIFIER_DATA == fake ]] || images+=(--data_dir "$CLASSIFIER_DIR")
if [[ -d $CLASSIFIER_DIR ]]; then
    "$PYTHON" "$ROOT/train_image_classification.py" "${images[@]}" \
        --arch Masternet.py:MasterNet --plainnet_struct_txt "$structure" --unit deployed --weight_init custom \
        --num_classes 10 --input_image_size "$CLASSIFIER_SIZE" --epochs "$CLASSIFIER_EPOCHS" --nesterov \
        --workers_per_gpu "$WORKERS_PER_GPU" --auto_resume --save_dir "$SAVE_DIR/classifier" "${where[@]}"
    start=(--start_weights "$SAVE_DIR/classifier/best-params_rank0.pth")
else
    echo "There is no $CLASSIFIER_DIR: the detector starts without a classifier's weights (set CLASSIFIER_DIR)" >&2
fi

# 3. The detector.
"$PYTHON" "$ROOT/train_detection.py" --arch "$structure" --data_dir "$TRAIN_DIR" --val_dir "$VAL_DIR" "${start[@]}" \
    "${detector[@]}" --input_image_size "$IMAGE_SIZE" --input_image_height "$IMAGE_HEIGHT" --epochs "$EPOCHS" \
    --batch_size "$DETECTOR_BATCH" --workers "$WORKERS_PER_GPU" --auto_resume --save_dir "$SAVE_DIR/detector" "${where[@]}"
weights=$SAVE_DIR/detector/best-params_rank0.pth

# 4. Both protocols, result files and pictures; 5. a file for other programs.
"$PYTHON" "$ROOT/val_detection.py" --weights "$weights" --data_dir "$VAL_DIR" --protocol both --draw "${DRAW:-8}" \
    --save_dir "$SAVE_DIR/evaluation" "${on_gpu[@]}" | tee "$SAVE_DIR/evaluation.txt"
(cd "$ROOT" && "$PYTHON" -m gsnet export --weights "$weights" --output "$SAVE_DIR/detector.onnx" --decode)

cat <<END

Backbone: $(cat "$structure")
In $SAVE_DIR: best_structure.txt  classifier/  detector/  evaluation.txt  evaluation/ (pictures, result files)  detector.onnx
END
