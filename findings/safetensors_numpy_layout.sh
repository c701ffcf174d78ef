#!/usr/bin/env bash
# safetensors 0.8.0 with numpy 2.4.6: an array that is not laid out row by row comes back with its numbers in other places.
#
# Expected: what is saved is what is loaded, whatever the strides, or a refusal as for torch tensors ("non contiguous tensor").
# Seen: a transposed array (a kernel turned from HWIO to OIHW, say) keeps its shape and loses its order: the file holds the
#   memory as it lies. Nothing is raised, neither on saving nor on loading. A contiguous copy is saved correctly.
# Last line: as described: a transposed array came back scrambled, its contiguous copy did not
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check safetensors==0.8.0 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PYTHON'
import numpy as np
from safetensors.numpy import load_file, save_file


def expect(what, seen, stated):
    print(f"{what}: {seen}")
    if seen != stated:
        raise SystemExit(f"changed: {what} was {stated}")


kernel = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
turned = kernel.transpose(2, 0, 1)
save_file({"kernel": turned}, "turned.safetensors")
read = load_file("turned.safetensors")["kernel"]
expect("shape kept", read.shape == turned.shape, True)
expect("values kept", bool((read == turned).all()), False)
expect("file holds the memory as it lies", bool((read.ravel() == kernel.ravel()).all()), True)

save_file({"kernel": np.ascontiguousarray(turned)}, "copied.safetensors")
expect("values kept of a contiguous copy", bool((load_file("copied.safetensors")["kernel"] == turned).all()), True)
print("as described: a transposed array came back scrambled, its contiguous copy did not")
PYTHON
