#!/usr/bin/env bash
# Builds Horovod against the PyTorch of this project's environment, and checks it with two real processes.
#
#   bash scripts/install_horovod.sh [cpu|nccl]
#
# cpu (default) sums gradients over Gloo and needs a C++ compiler alone. nccl is for NVIDIA GPUs and needs nvcc too; its
# build was checked, but it never ran on a GPU. From 5 minutes on one core. Overrides from the environment:
#   PYTHON            interpreter of an environment that has torch (default: .venv, which is made where it is missing)
#   HOROVOD_VERSION   release on PyPI (default: 0.28.1, the last one)
#   JOBS              compilers side by side (default: one a core; each takes up to 2 GB)
set -euo pipefail
chosen_python=${PYTHON:-}
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

MODE=${1:-cpu} VERSION=${HOROVOD_VERSION:-0.28.1} JOBS=${JOBS:-$(nproc)}

fail() {
    echo "install_horovod.sh: $1" >&2
    exit "${2:-1}"
}

# Two processes on loopback agree on a sum, by the same command that starts a training.
check() {
    local folder output
    folder=$(mktemp -d)
    cat >"$folder/check.py" <<'PYTHON'
import horovod
import horovod.torch as hvd
import torch

hvd.init()
total = hvd.allreduce(torch.full((2,), float(hvd.rank() + 1)), op=hvd.Sum)
if total.tolist() != [3.0, 3.0]:
    raise SystemExit(f"1 + 2 became {total.tolist()}")
if hvd.rank() == 0:
    print(f"Horovod {horovod.__version__} with torch {torch.__version__}: 1 + 2 = 3 in two processes")
hvd.shutdown()
PYTHON
    output=$("$PYTHON" -m horovod.runner.launch -np 2 -H localhost:2 --gloo "$PYTHON" "$folder/check.py" 2>&1) || {
        rm -rf "$folder"
        echo "$output" >&2
        return 1
    }
    rm -rf "$folder"
    sed -n 's/^\[0\]<stdout>://p' <<<"$output" | grep "1 + 2 = 3"
}

prepare() {
    [[ $MODE == cpu || $MODE == nccl ]] || fail "there is no mode $MODE: use cpu or nccl" 2
    [[ -n $chosen_python ]] || ensure_environment requirements.txt
    "$PYTHON" -c "import torch" 2>/dev/null || fail "$PYTHON has no torch: install requirements.txt there first" 2
    command -v g++ >/dev/null || fail "a C++20 compiler is needed (Debian: apt-get install g++)" 2
    echo 'int main() {}' | g++ -std=c++20 -x c++ -fsyntax-only - 2>/dev/null ||
        fail "$(g++ --version | head -n 1) knows no C++20, which torch's headers need: use g++ 10 or newer" 2
    [[ $MODE == cpu ]] || command -v nvcc >/dev/null || fail "nccl needs nvcc: install the CUDA toolkit, or use cpu" 2
}

# Without build isolation, which would hide torch from the build, pip installs no build requirement by itself.
install_build_tools() {
    "$PYTHON" -m pip install --quiet --disable-pip-version-check \
        "setuptools>=70" wheel packaging cloudpickle psutil pyyaml "cffi>=1.4"
    if ! command -v cmake >/dev/null; then
        "$PYTHON" -m pip install --quiet --disable-pip-version-check cmake
        HOROVOD_CMAKE=$("$PYTHON" -c 'import sysconfig; print(sysconfig.get_path("scripts") + "/cmake")')
        export HOROVOD_CMAKE
    fi
}

# replace FILE OLD NEW: in a file of the sources, where OLD must stand, so that another release fails here and not later.
replace() {
    grep -qF -- "$2" "$1" || fail "Horovod $VERSION has no '$2' in $1: this script knows release 0.28.1"
    "$PYTHON" - "$@" <<'PYTHON'
import pathlib
import sys

file, old, new = sys.argv[1:]
path = pathlib.Path(file)
path.write_text(path.read_text().replace(old, new))
PYTHON
}

# The sources are of 2023: C++14 is too old for torch's headers, and with nvcc about, CUDA would be switched on unasked.
adapt_sources() {
    replace CMakeLists.txt "set(CMAKE_CXX_STANDARD 14)" "set(CMAKE_CXX_STANDARD 20)"
    replace horovod/torch/CMakeLists.txt "set(CMAKE_CXX_STANDARD 14)" "set(CMAKE_CXX_STANDARD 20)"
    replace setup.py "'RelWithDebInfo'" "'Release'"
    if [[ $MODE == cpu ]]; then
        replace cmake/Modules/FindPytorch.cmake "(CUDA_HOME is not None)" "False"
    else
        replace horovod/common/ops/cuda/CMakeLists.txt "set(CMAKE_CUDA_STANDARD 11)" "set(CMAKE_CUDA_STANDARD 17)"
    fi
}

# NCCL's header and library come from the wheel that torch itself uses.
find_nccl() {
    local nccl
    nccl=$("$PYTHON" -c 'import importlib.util as u; print(*(u.find_spec("nvidia.nccl").submodule_search_locations))') ||
        fail "torch brought no nvidia-nccl wheel: install one, or use cpu"
    mkdir -p "$1"
    ln -sf "$nccl/lib/libnccl.so.2" "$1/libnccl.so"
    export HOROVOD_GPU_OPERATIONS=NCCL HOROVOD_NCCL_LINK=SHARED
    export HOROVOD_NCCL_INCLUDE=$nccl/include HOROVOD_NCCL_LIB=$1
    export HOROVOD_CUDA_HOME=${CUDA_HOME:-/usr/local/cuda}
}

build() {
    export HOROVOD_WITH_PYTORCH=1 HOROVOD_WITHOUT_TENSORFLOW=1 HOROVOD_WITHOUT_MXNET=1
    export HOROVOD_WITH_GLOO=1 HOROVOD_WITHOUT_MPI=1
    # CMake 4 refuses the policies of the bundled Gloo without the first; g++ 13 no longer includes cstdint by itself.
    export CMAKE_POLICY_VERSION_MINIMUM=3.5 CXXFLAGS="${CXXFLAGS:-} -include cstdint" MAKEFLAGS="-j$JOBS"
    "$PYTHON" -m pip install --no-deps --no-build-isolation --no-cache-dir --force-reinstall . >"$1" 2>&1 || {
        tail -n 60 "$1" >&2
        fail "the build failed; its last lines are above"
    }
}

prepare
if "$PYTHON" -c 'import horovod.torch' 2>/dev/null && check; then
    echo "Horovod is installed already and works"
    exit 0
fi
install_build_tools
sources=$(mktemp -d)
trap 'rm -rf "$sources"' EXIT
"$PYTHON" -m pip download --quiet --disable-pip-version-check --no-deps --no-binary horovod --no-build-isolation \
    -d "$sources" "horovod==$VERSION"
mkdir "$sources/horovod"
tar xzf "$sources/horovod-$VERSION.tar.gz" -C "$sources/horovod" --strip-components=1
cd "$sources/horovod"
adapt_sources
[[ $MODE == cpu ]] || find_nccl "$sources/nccl"
echo "Building Horovod $VERSION for $MODE with $JOBS compilers" >&2
build "$sources/build.log"
cd "$ROOT"
check || fail "Horovod is installed, but two processes could not agree on a sum"
