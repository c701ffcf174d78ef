#!/usr/bin/env bash
# safetensors 0.8.0 with torch 2.13.0: a state dict comes back in another order than it had.
#
# Expected: a mapping of the same names in the same order, as torch.save and torch.load give it; converters that carry weights
#   from one library's network into another's often go by position.
# Seen: tensors are sorted by the size of their numbers, then by name: counters (int64) first, "bias" before "weight", and
#   layer 10 before layer 2.
# Last line: as described: by position only 0 of 16 tensors of a loaded state dict are the saved ones
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 safetensors==0.8.0 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PYTHON'
import torch
from safetensors.torch import load_file, save_file
from torch import nn


def expect(what, seen, stated):
    print(f"{what}: {seen}")
    if seen != stated:
        raise SystemExit(f"changed: {what} was {stated}")


layers = [nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 3), *[nn.ReLU()] * 6, nn.BatchNorm2d(4)]
saved = nn.Sequential(*layers, nn.Linear(4, 2)).state_dict()
torch.save(saved, "weights.pt")
expect("order kept by torch.save", list(torch.load("weights.pt", weights_only=True)) == list(saved), True)

save_file(saved, "weights.safetensors")
read = load_file("weights.safetensors")
expect("same names and values", sorted(read) == sorted(saved) and all(read[k].equal(saved[k]) for k in saved), True)
expect("first name saved", next(iter(saved)), "0.weight")
expect("first name loaded", next(iter(read)), "1.num_batches_tracked")
expect("layer 10 before layer 3", list(read).index("10.weight") < list(read).index("3.weight"), True)
same = sum(one == other for one, other in zip(saved, read))
print(f"as described: by position only {same} of {len(saved)} tensors of a loaded state dict are the saved ones")
PYTHON
