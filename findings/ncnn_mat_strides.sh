#!/usr/bin/env bash
# ncnn 1.0.20261020 (Python) with numpy 2.4.6: ncnn.Mat reads an array's memory and forgets its strides.
#
# Expected: a matrix of the values that the array shows, as every other runtime's Python door gives.
# Seen: an image turned from (height, width, channels) to (channels, height, width) by `transpose` - a view - keeps its new
#   shape and its old order of numbers: channels are mixed, and the network answers on noise without an error. A contiguous
#   copy is read correctly.
# Last line: as described: a transposed image became another image, its contiguous copy did not
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check ncnn==1.0.20261020 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PYTHON'
import ncnn
import numpy as np


def expect(what, seen, stated):
    print(f"{what}: {seen}")
    if seen != stated:
        raise SystemExit(f"changed: {what} was {stated}")


image = np.arange(4 * 4 * 3, dtype=np.float32).reshape(4, 4, 3)
view = image.transpose(2, 0, 1)
matrix = ncnn.Mat(view)
expect("shape (channels, height, width)", (matrix.c, matrix.h, matrix.w), (3, 4, 4))
expect("first row of the first channel", np.array(matrix)[0, 0].tolist(), [0.0, 1.0, 2.0, 3.0])
expect("the same row of the array", view[0, 0].tolist(), [0.0, 3.0, 6.0, 9.0])

copy = np.ascontiguousarray(view)
expect("a contiguous copy is read as shown", bool((np.array(ncnn.Mat(copy)) == copy).all()), True)
print("as described: a transposed image became another image, its contiguous copy did not")
PYTHON
