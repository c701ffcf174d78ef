# shellcheck shell=bash
# Sourced by the scripts that train on several GPUs or processes of one machine. A script calls `classify` or `distil`
# with the launcher (by_horovod, by_torchrun), the folder of its search, and what is particular to it.
#
# Overrides from the environment, all optional:
#   SAVE_DIR            folder of the search, whose best_structure.txt is trained (default: save_dir/NAME)
#   GPU                 GPUs, as 0,1,2,3 (default: all); empty for the CPU
#   PROCESSES           default: the published number, or as many as there are GPUs; 2 on a CPU
#   DATA_DIR            the data set (default: below ~/data)
#   EPOCHS, BATCH_SIZE_PER_GPU, WORKERS (reading processes of each)
#   MAX_RESTARTS        how often torchrun starts the group anew after a process has died (default 3)
#   SMOKE=1             noise, a tiny network and one epoch, to see that everything runs; results go to SAVE_DIR/smoke
# Further arguments of a script go to the training. Started again, a script goes on where it was stopped; SIGTERM and
# Ctrl-C save first.

set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
[[ -x $PYTHON ]] || PYTHON=python3
# Without it every process would start as many threads as the machine has cores.
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
[[ -z ${GPU+set} ]] || export CUDA_VISIBLE_DEVICES=$GPU

SMOKE_STRUCTURE="SuperConvK3BNRELU(3,8,2,1)SuperResK3K3(8,16,2,8,1)SuperResK3K3(16,24,2,8,1)SuperResK3K3(24,32,2,8,1)\
SuperResK3K3(32,48,2,8,1)SuperConvK1BNRELU(48,64,1,1)"

# What every published training has in common.
RECIPE=(
    --optimizer sgd --nesterov --bn_momentum 0.01 --warmup 5 --lr_mode cosine --lr_per_256 0.1 --target_lr_per_256 0.0
    --weight_init custom --label_smoothing --random_erase --mixup --auto_augment --auto_resume
)

fail() {
    echo "$(basename "$0"): $1" >&2
    exit 2
}

# processes PUBLISHED: how many to start.
processes() {
    local gpus=0
    if [[ -n ${PROCESSES:-} ]]; then
        echo "$PROCESSES"
        return
    fi
    if [[ -n ${GPU:-} ]]; then
        gpus=$(tr ',' '\n' <<<"$GPU" | grep -c .)
    elif [[ -z ${GPU+set} ]] && command -v nvidia-smi >/dev/null; then
        gpus=$(nvidia-smi -L 2>/dev/null | grep -c '^GPU') || gpus=0
    fi
    ((gpus > 0)) || gpus=2
    echo $((gpus < $1 ? gpus : $1))
}

# Run a launcher so that SIGTERM and Ctrl-C reach it, and wait until its processes have saved.
forwarding_signals() {
    local group status=0 stopped=0
    "$@" &
    group=$!
    trap 'stopped=143; kill -TERM "$group" 2>/dev/null || true' TERM
    trap 'stopped=130; kill -TERM "$group" 2>/dev/null || true' INT
    wait "$group" || status=$?
    while kill -0 "$group" 2>/dev/null; do
        wait "$group" || status=$?
    done
    trap - TERM INT
    ((stopped == 0)) || exit "$stopped"
    return "$status"
}

# by_horovod COUNT SCRIPT ARGUMENT...; torchrun does the same work where Horovod is not installed.
by_horovod() {
    local count=$1 script=$2
    shift 2
    "$PYTHON" -c "import horovod.torch" 2>/dev/null || {
        echo "Horovod is not installed (bash scripts/install_horovod.sh builds it): training by torchrun" >&2
        torchrun "$count" "$script" --dist_mode ddp "$@"
        return
    }
    forwarding_signals "$PYTHON" -m horovod.runner.launch -np "$count" -H "localhost:$count" --gloo \
        "$PYTHON" "$ROOT/$script" --dist_mode horovod "$@"
}

# by_torchrun COUNT SCRIPT ARGUMENT...
by_torchrun() {
    local count=$1 script=$2
    shift 2
    torchrun "$count" "$script" --dist_mode apex --apex --apex_opt_level O1 --apex_loss_scale dynamic "$@"
}

# torchrun COUNT SCRIPT ARGUMENT...
torchrun() {
    local count=$1 script=$2
    shift 2
    forwarding_signals "$PYTHON" -m torch.distributed.run --standalone --nproc_per_node "$count" \
        --max-restarts "${MAX_RESTARTS:-3}" "$ROOT/$script" "$@"
}

# network SAVE_DIR [NAME]: sets NETWORK to the searched structure, or to the published network of that name.
network() {
    if [[ ${SMOKE:-} == 1 ]]; then
        NETWORK=(--arch Masternet.py:MasterNet --plainnet_struct "$SMOKE_STRUCTURE")
    elif [[ -f $1/best_structure.txt ]]; then
        NETWORK=(--arch Masternet.py:MasterNet --plainnet_struct_txt "$1/best_structure.txt")
    elif [[ -n ${2:-} ]]; then
        echo "There is no $1/best_structure.txt: training the published $2" >&2
        NETWORK=(--arch "$2")
    else
        fail "there is no $1/best_structure.txt: run the search first, or name its folder with SAVE_DIR"
    fi
}

# data SET CLASSES PIXELS: sets DATA; noise in a smoke run.
data() {
    if [[ ${SMOKE:-} == 1 ]]; then
        DATA=(--dataset fake --fake_images 32 --num_classes 10 --input_image_size 64)
        DATA+=(--workers_per_gpu 0 --batch_size_per_gpu 8)
        return
    fi
    DATA=(
        --dataset "$1" --num_classes "$2" --input_image_size "$3" --workers_per_gpu "${WORKERS:-6}"
        --batch_size_per_gpu "$BATCH_SIZE_PER_GPU"
    )
    [[ -z ${DATA_DIR:-} ]] || DATA+=(--data_dir "$DATA_DIR")
}

# folder NAME: where results go.
folder() {
    [[ ${SMOKE:-} == 1 ]] && echo smoke || echo "$1"
}

# classify LAUNCHER NAME COUNT ARGUMENT...: CIFAR-10 by itself; needs BATCH_SIZE_PER_GPU and EPOCHS.
classify() {
    local launcher=$1 save_dir=${SAVE_DIR:-$ROOT/save_dir/$2} count
    count=$(processes "$3")
    shift 3
    network "$save_dir"
    data cifar10 10 32
    local recipe=("${RECIPE[@]}" --epochs "$EPOCHS")
    [[ ${SMOKE:-} != 1 ]] || recipe+=(--epochs 1 --warmup 0)
    "$launcher" "$count" train_image_classification.py "${NETWORK[@]}" "${DATA[@]}" "${recipe[@]}" \
        --save_dir "$save_dir/$(folder "cifar10_${EPOCHS}epochs")" "$@"
}

# distil LAUNCHER NAME COUNT PUBLISHED ARGUMENT...: ImageNet with EfficientNet-B3 as the teacher; needs the same.
distil() {
    local launcher=$1 save_dir=${SAVE_DIR:-$ROOT/save_dir/$2} count published=$4
    count=$(processes "$3")
    shift 4
    network "$save_dir" "$published"
    data imagenet 1000 224
    local results
    results=$save_dir/$(folder "ts_effnet_b3ns_epochs$EPOCHS")
    local recipe=("${RECIPE[@]}" --epochs "$EPOCHS" --wd 4e-5)
    local teacher=(--teacher_arch geffnet_tf_efficientnet_b3_ns --teacher_pretrained --teacher_input_image_size 320)
    if [[ ${SMOKE:-} == 1 ]]; then
        recipe+=(--epochs 1 --warmup 0)
        random_teacher "$results/teacher.pth"
        teacher=(--teacher_arch resnet18 --teacher_load_parameters_from "$results/teacher.pth")
        teacher+=(--teacher_input_image_size 64)
    fi
    teacher+=(--teacher_feature_weight 1.0 --teacher_logit_weight 1.0 --target_downsample_ratio 16)
    teacher+=(--ts_proj_no_relu --ts_proj_no_bn)
    "$launcher" "$count" ts_train_image_classification.py "${NETWORK[@]}" "${DATA[@]}" "${recipe[@]}" "${teacher[@]}" \
        --save_dir "$results" "$@"
}

# A teacher that knows nothing, for a smoke run without a download.
random_teacher() {
    mkdir -p "$(dirname "$1")"
    (cd "$ROOT" && "$PYTHON" -c "
import sys, torch
from gsnet.models import load_model
torch.save(load_model('resnet18', num_classes=10).state_dict(), sys.argv[1])" "$1")
}
