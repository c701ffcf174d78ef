# shellcheck shell=bash
# Sourced by the other scripts: a virtual environment in .venv, made once, and its Python in $PYTHON.
#
#   ensure_environment requirements.txt     makes .venv if needed and installs what the file lists, silently when all is there
#
# Where PYTHON names a Python already, that one is used as it is. `bash SCRIPT --help` prints what stands at its head, and
# at the heads of the common parts.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
OWN_PYTHON=${PYTHON:-}
PYTHON=${PYTHON:-$ROOT/.venv/bin/python}

# head_of FILE: its comment before the first line of code, without the #.
head_of() {
    awk '/^#!|^# shellcheck/ { next } /^#/ { sub(/^# ?/, ""); print; next } { exit }' "$1"
}

if [[ ${1:-} == --help || ${1:-} == -h ]]; then
    head_of "$0"
    while read -r common; do
        printf '\n--- %s\n' "$common"
        head_of "$ROOT/scripts/$common"
    done < <(grep -oh '[a-z]*_common\.sh' "$0" <(printf '%s\n' "${BASH_SOURCE[@]}") | sort -u)
    exit 0
fi

# refuse SENTENCE: what is wrong with what the user gave, and the status for it.
refuse() {
    echo "$(basename "$0"): $1" >&2
    exit 2
}

# Overrides that are looked at by every script, before anything else is done.
for name in EVOLUTION_MAX_ITER POPULATION_SIZE; do
    [[ ${!name:-0} =~ ^([0-9]+|[0-9.]+(e[0-9]+|[kKMG]i?))$ ]] || refuse "$name is ${!name}: it must be a whole number, such as 480000 or 480k"
done
for name in BATCH_SIZE WORKERS SEED EPOCHS PROCESSES TRAIN_BATCH_SIZE TRAIN_WORKERS; do
    [[ ${!name:-0} =~ ^[0-9]+$ ]] || refuse "$name is ${!name}: it must be a whole number"
done
[[ ${GPU:-0} =~ ^[0-9]+(,[0-9]+)*$ ]] || refuse "GPU is $GPU: it must be the number of a GPU, several with commas between, or empty"
if [[ -n ${SAVE_DIR:-} ]]; then
    # The folder itself, or the nearest one above it that is there already.
    above=$SAVE_DIR
    while [[ ! -e $above && $above == */* ]]; do above=${above%/*}; done
    [[ -e ${above:=/} ]] || above=.
    [[ -d $above ]] || refuse "SAVE_DIR is $SAVE_DIR, but $above is not a folder"
    [[ -w $above ]] || refuse "SAVE_DIR is $SAVE_DIR, but nothing can be written in $above"
fi
unset name above

ensure_environment() {
    [[ -z $OWN_PYTHON ]] || return 0
    local requirements=$ROOT/$1 stamp
    if [[ ! -x $ROOT/.venv/bin/python ]]; then
        echo "Making a virtual environment in .venv" >&2
        python3 -m venv "$ROOT/.venv" || {
            echo "Python 3.11 or newer with venv is needed (Debian: apt-get install python3-venv)" >&2
            return 1
        }
    fi
    stamp=$ROOT/.venv/installed-$1
    if ! cmp -s <(cat "$ROOT"/requirements*.txt) "$stamp"; then
        echo "Installing $1 (some minutes the first time)" >&2
        local log=$ROOT/.venv/install.log
        "$ROOT/.venv/bin/python" -m pip install --quiet --disable-pip-version-check -r "$requirements" >"$log" 2>&1 || {
            cat "$log" >&2
            echo "pip could not install $1" >&2
            return 1
        }
        cat "$ROOT"/requirements*.txt >"$stamp"
    fi
}
