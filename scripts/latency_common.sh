# shellcheck shell=bash
# Sourced by the Zen_NAS_ImageNet_latency scripts: what a latency budget means on the device at hand, the search, and then
# the training by a teacher (train_common.sh; ONLY_SEARCH=1 leaves it out).
#
#   LATENCY_TABLE     table (.db), or a TinyNAS library (.txt, .txt.gz) of another device. With a V100's, half precision and
#                     batch 64 this is the published search, and runs on any processor.
#   BUDGET_LATENCY    seconds an image. Default: with LATENCY_TABLE the published budget; without, a table of this device is
#                     built and calibrated, and the budget is what the published network takes here.
#   LATENCY_BACKEND   runtime of that table, such as onnxruntime (default: torch)
#   LATENCY_BATCH_SIZE, LATENCY_NETWORKS, LATENCY_CALIBRATION_NETWORKS   batch, and networks for that table

source "$(dirname "${BASH_SOURCE[0]}")/search_common.sh"
source "$(dirname "${BASH_SOURCE[0]}")/train_common.sh"

LATENCY_START="SuperConvK3BNRELU(3,32,2,1)SuperResK3K3(32,64,2,32,1)SuperResK3K3(64,128,2,64,1)SuperResK3K3(128,256,2,128,1)\
SuperResK3K3(256,512,2,256,1)SuperConvK1BNRELU(512,512,1,1)"

# latency_search MILLISECONDS PUBLISHED_NETWORK [options of the training]
latency_search() {
    local milliseconds=$1 published=$2 name=Zen_NAS_ImageNet_latency$1ms source
    shift 2
    SPACE=XXBL START=$LATENCY_START CLASSES=1000 RESOLUTION=${RESOLUTION:-224}
    export SAVE_DIR=${SAVE_DIR:-$ROOT/save_dir/$name}
    if [[ -n ${LATENCY_TABLE:-} ]]; then
        table_of_another_device
        BUDGET_LATENCY=${BUDGET_LATENCY-$(awk "BEGIN { print $milliseconds / 1000 }")}
        LATENCY_BATCH_SIZE=${LATENCY_BATCH_SIZE:-64}
        source=(--latency_table "$LATENCY_TABLE" --latency_source "${LATENCY_SOURCE:-table}" --fp16)
    else
        [[ ${SMOKE:-} == 1 ]] && RESOLUTION=64
        LATENCY_BATCH_SIZE=${LATENCY_BATCH_SIZE:-$([[ -n ${GPU:-} ]] && echo 64 || echo 1)}
        table_of_this_device "$published"
        source=(--latency_source predict ${GPU:+--fp16})
    fi
    search "$name" --latency_batch_size "$LATENCY_BATCH_SIZE" "${source[@]}"
    distil_imagenet "$name" "$@"
}

table_of_another_device() {
    [[ $LATENCY_TABLE == *.txt || $LATENCY_TABLE == *.txt.gz ]] || return 0
    local name
    name=$(basename "${LATENCY_TABLE%%.*}")
    local imported=$ROOT/save_dir/latency/$name.db
    mkdir -p "$(dirname "$imported")"
    [[ -e $imported ]] ||
        "$PYTHON" "$ROOT/benchmark_network_latency.py" --import_tinynas "$LATENCY_TABLE" --latency_table "$imported" >&2
    LATENCY_TABLE=$imported
}

# table_of_this_device PUBLISHED_NETWORK: sets BUDGET_LATENCY where it is not set. A search that was stopped goes on with the
# table as it is and the budget that it began with: measured anew, both would differ in some digit.
table_of_this_device() {
    if [[ -e $SAVE_DIR/search.db && -e $SAVE_DIR/config.json ]]; then
        BUDGET_LATENCY=${BUDGET_LATENCY:-$("$PYTHON" -c \
            "import json, sys; print(json.load(open(sys.argv[1]))['settings']['budget_latency'])" "$SAVE_DIR/config.json")}
        return
    fi
    local networks=${LATENCY_NETWORKS:-60} timed=${LATENCY_CALIBRATION_NETWORKS:-30} flops
    local options=(--batch_size "$LATENCY_BATCH_SIZE" --input_image_size "$RESOLUTION" ${GPU:+--gpu "$GPU" --fp16})
    local missing=--measure_missing
    [[ -n ${LATENCY_BACKEND:-} ]] && options+=(--backend "$LATENCY_BACKEND") missing=
    # Layers of a runtime are inferred from 12 networks at least.
    [[ ${SMOKE:-} == 1 ]] && networks=${LATENCY_BACKEND:+1}2 timed=6
    # Networks somewhat larger than the published one: what the search looks at lies among them.
    flops=$("$PYTHON" "$ROOT/analyze_model.py" --arch "$1" --input_image_size "$RESOLUTION" --json |
        "$PYTHON" -c "import json, sys; print(1.5 * json.load(sys.stdin)['flops'])")
    "$PYTHON" "$ROOT/benchmark_network_latency.py" --build_table --calibrate "${options[@]}" --num_classes "$CLASSES" \
        --search_space "$ROOT/SearchSpace/search_space_$SPACE.py" --plainnet_struct "$START" --budget_flops "$flops" \
        --max_layers "${MAX_LAYERS:-30}" --networks "$networks" --calibration_networks "$timed" >&2
    [[ -n ${BUDGET_LATENCY:-} ]] && return
    BUDGET_LATENCY=$("$PYTHON" "$ROOT/benchmark_network_latency.py" --predict ${missing:+"$missing"} --arch "$1" --json \
        "${options[@]}" | "$PYTHON" -c "import json, sys; print(json.load(sys.stdin)['rows'][0]['seconds_per_image'])")
    echo "budget: the $BUDGET_LATENCY seconds an image that $1 takes on this device" >&2
}
