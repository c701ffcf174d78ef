#!/usr/bin/env bash
# numba 0.68.1 with numpy 2.4.6: arithmetic of unsigned numbers of 64 bits and literals, as hashes and random streams are made of.
#
# Expected: numpy's: an np.uint64 and the literal 10 make an np.uint64, compiled or not.
# Seen: compiled, the literal is an int64 and the result too: from 2**63 on, for half of all hashes, % 10 gives another
#   place of a table, and a number made by division is negative instead of from 0 to 1. Nothing is said. With np.uint64(10)
#   compiled and plain function agree.
# Last line: as described: from 2**63 on remainder and fraction are others compiled than plain, with np.uint64 constants the same
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check numba==0.68.1 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PYTHON'
import numpy
from numba import njit

TEN, ONE = numpy.uint64(10), numpy.uint64(1)
LARGE = numpy.uint64(2**63 + 1)


@njit
def place(hashed):
    return hashed % 10


@njit
def fraction(state):
    return float(state + 1) / 2.0**64


@njit
def place_by_constant(hashed):
    return hashed % TEN


@njit
def fraction_by_constant(state):
    return float(state + ONE) / 2.0**64


for function, compiled, plain in ((place, 3, 9), (fraction, -0.5, 0.5), (place_by_constant, 9, 9), (fraction_by_constant, 0.5, 0.5)):
    seen = function(LARGE), function.py_func(LARGE)
    print(f"{function.__name__}: {seen[0]} compiled, {seen[1]} plain")
    if seen != (compiled, plain):
        raise SystemExit("changed")
print("as described: from 2**63 on remainder and fraction are others compiled than plain, with np.uint64 constants the same")
PYTHON
