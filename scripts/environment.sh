# shellcheck shell=bash
# Sourced by the other scripts: a virtual environment in .venv, made once, and its Python in $PYTHON.
#
#   ensure_environment requirements.txt     makes .venv if needed and installs what the file lists, silently when all is there

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
PYTHON=${PYTHON:-$ROOT/.venv/bin/python}

ensure_environment() {
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
