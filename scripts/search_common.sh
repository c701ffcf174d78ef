# shellcheck shell=bash
# Sourced by the search scripts: one search, then its analysis. A script sets what is particular to it and calls `search`.
#
# Overrides from the environment, all optional:
#   SAVE_DIR            results folder (default: save_dir/NAME)
#   GPU                 GPU number; empty for the CPU (default)
#   EVOLUTION_MAX_ITER  proposals        POPULATION_SIZE  survivors       BATCH_SIZE  images per score
#   EVOLUTION           another rule of evolution: published replaces whole blocks
#   ZERO_SHOT_SCORE     another proxy    SEED             random numbers  WORKERS     scoring processes
#   BUDGET_MODEL_SIZE, BUDGET_FLOPS, BUDGET_MAC, BUDGET_LATENCY, BUDGET_GROWTH, BUDGET_PEAK_MEMORY,
#   BUDGET_WEIGHTS, MEMORY_PRECISION, MAX_LAYERS   other budgets; empty for none
#   MIN_WIDTH           least output width and bottleneck of every block; START is made as wide
#   LATENCY_BACKEND     runtime that BUDGET_LATENCY is of, such as onnxruntime (default: torch, or what the table is of)
#   SMOKE=1             a few iterations, to see that everything runs
# Further arguments of a script that only searches go to evolution_search.py, of others to the training (train_common.sh).
# What was searched already is not searched again.

set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
[[ -x $PYTHON ]] || PYTHON=python3

XX_START="SuperConvK3BNRELU(3,8,1,1)SuperResK3K3(8,16,1,8,1)SuperResK3K3(16,32,2,16,1)SuperResK3K3(32,64,2,32,1)\
SuperResK3K3(64,64,2,32,1)SuperConvK1BNRELU(64,128,1,1)"
GHOSTSHUFFLE_1M_START="SuperConvK3BNRELU(3,32,2,1)SuperGhostShuffleK3(32,64,2,32,1)SuperGhostShuffleK3(64,128,2,64,1)\
SuperGhostShuffleK3(128,256,2,128,1)SuperGhostShuffleK3(256,512,2,256,1)SuperConvK1BNRELU(512,128,1,1)"
GHOSTSHUFFLE_2M_START="SuperConvK3BNRELU(3,8,1,1)SuperGhostShuffleK3(8,16,1,8,1)SuperGhostShuffleK3(16,32,2,16,1)\
SuperGhostShuffleK3(32,64,2,32,1)SuperGhostShuffleK3(64,64,2,32,1)SuperConvK1BNRELU(64,128,1,1)"
IDW_START="SuperConvK3BNRELU(3,8,2,1)SuperResIDWE6K3(8,32,2,8,1)SuperResIDWE6K3(32,48,2,32,1)\
SuperResIDWE6K3(48,96,2,48,1)SuperResIDWE6K3(96,128,2,96,1)SuperConvK1BNRELU(128,2048,1,1)"
export XX_START IDW_START GHOSTSHUFFLE_1M_START GHOSTSHUFFLE_2M_START

# search NAME: needs SPACE and START; RESOLUTION, CLASSES and the budgets may be set before.
search() {
    local name=$1
    shift
    local save_dir=${SAVE_DIR:-$ROOT/save_dir/$name}
    local resolution=${RESOLUTION:-32} classes=${CLASSES:-10}
    if [[ ${MIN_WIDTH:-} =~ ^[1-9][0-9]*$ ]]; then
        START=$(PYTHONPATH=$ROOT "$PYTHON" -c \
            "import PlainNet; from SearchSpace.least_width import widened; print(widened(PlainNet.parse('$START'), $MIN_WIDTH))")
    fi
    if [[ ${SMOKE:-} == 1 ]]; then
        EVOLUTION_MAX_ITER=${EVOLUTION_MAX_ITER:-16} POPULATION_SIZE=${POPULATION_SIZE:-16} BATCH_SIZE=4
    fi
    local options=(
        --zero_shot_score "${ZERO_SHOT_SCORE:-Zen}"
        --search_space "$ROOT/SearchSpace/search_space_$SPACE.py" --fix_initialize --origin --plainnet_struct "$START"
        --evolution_max_iter "${EVOLUTION_MAX_ITER:-480000}" --population_size "${POPULATION_SIZE:-512}"
        --batch_size "${BATCH_SIZE:-64}" --seed "${SEED:-0}" --workers "${WORKERS:-1}"
        --input_image_size "$resolution" --num_classes "$classes" --save_dir "$save_dir"
    )
    [[ -n ${EVOLUTION:-} ]] && options+=(--evolution "$EVOLUTION")
    [[ -n ${GPU:-} ]] && options+=(--gpu "$GPU")
    [[ -n ${BUDGET_MODEL_SIZE:-} ]] && options+=(--budget_model_size "$BUDGET_MODEL_SIZE")
    [[ -n ${BUDGET_FLOPS:-} ]] && options+=(--budget_flops "$BUDGET_FLOPS")
    [[ -n ${BUDGET_MAC:-} ]] && options+=(--budget_mac "$BUDGET_MAC")
    [[ -n ${BUDGET_GROWTH:-} ]] && options+=(--budget_growth "$BUDGET_GROWTH")
    [[ -n ${BUDGET_PEAK_MEMORY:-} ]] && options+=(--budget_peak_memory "$BUDGET_PEAK_MEMORY")
    [[ -n ${BUDGET_WEIGHTS:-} ]] && options+=(--budget_weights "$BUDGET_WEIGHTS")
    [[ -n ${MEMORY_PRECISION:-} ]] && options+=(--memory_precision "$MEMORY_PRECISION")
    [[ -n ${BUDGET_LATENCY:-} ]] &&
        options+=(--budget_latency "$BUDGET_LATENCY" ${LATENCY_BACKEND:+--latency_backend "$LATENCY_BACKEND"})
    [[ -n ${MAX_LAYERS:-} ]] && options+=(--max_layers "$MAX_LAYERS")
    [[ -n ${MIN_WIDTH:-} ]] && options+=(--min_width "$MIN_WIDTH")
    # A search that was stopped goes on.
    [[ -e $save_dir/search.db && ! -e $save_dir/best_structure.txt ]] && options+=(--resume)
    "$PYTHON" "$ROOT/evolution_search.py" "${options[@]}" "$@"
    "$PYTHON" "$ROOT/analyze_model.py" --plainnet_struct_txt "$save_dir/best_structure.txt" \
        --input_image_size "$resolution" --num_classes "$classes" | tee "$save_dir/analyze_model.txt"
}
