#!/usr/bin/env bash
# litert-torch 0.10.0 with torch 2.14.1: maps enlarged or made smaller by torch's nearest neighbour.
#
# Expected: the file takes the pixels that torch takes, as it does for mode="nearest-exact", or the converter refuses.
# Seen: mode="nearest" is written as the layer of mode="nearest-exact", which reads the pixel under the middle of a new one where
#   torch reads the one under its corner. Whole factors such as 2 give the same pixels by both, which hides it. From a side of 7
#   to one of 13, as a neck enlarges maps of odd sides, three rows of 13 are others; half the size takes rows 1, 3 and 5 instead of
#   0, 2 and 4. The converter says nothing, and "nearest" is the default of functional.interpolate and nn.Upsample.
# Last line: as described: nearest is nearest-exact in the file, which differs unless the factor is whole
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    torch==2.14.1 litert-torch==0.10.0 ai-edge-litert==2.3.0 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PYTHON' 2>error.txt | grep -E "^(side|as described|changed)" || { tail -n 5 error.txt; exit 1; }
import litert_torch
import torch
from torch import nn


def rows(maps):
    return [int(value) for value in maps[0, 0, :, 0]]


def expect(what, seen, stated):
    print(f"{what}: {seen}", flush=True)
    if seen != stated:
        print(f"changed: {what} was {stated}", flush=True)
        raise SystemExit(1)


# Every pixel is the number of its row.
maps = torch.arange(7.0).repeat(7, 1).T[None, None].contiguous()
for change, wanted, found in (
    ({"scale_factor": 2}, [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6], [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6]),
    ({"size": 13}, [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6], [0, 0, 1, 1, 2, 2, 3, 4, 4, 5, 5, 6, 6]),
    ({"scale_factor": 0.5}, [0, 2, 4], [1, 3, 5]),
):
    for mode, by_torch in (("nearest", wanted), ("nearest-exact", found)):
        layer = nn.Upsample(**change, mode=mode).eval()
        expect(f"side 7, {change}, rows by torch's {mode}", rows(layer(maps)), by_torch)
        expect(f"side 7, {change}, rows in the file of {mode}", rows(litert_torch.convert(layer, (maps,))(maps)), found)
print("as described: nearest is nearest-exact in the file, which differs unless the factor is whole")
PYTHON
