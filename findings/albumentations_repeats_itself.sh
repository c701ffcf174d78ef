#!/usr/bin/env bash
# albumentations 2.0.8 in a DataLoader of torch 2.14.1 with worker processes, no seed given anywhere.
#
# Expected: every picture of every epoch is changed in another way, as by torchvision's transforms in the same place.
# Seen: a `Compose` draws from a generator of its own, which is made with it and copied into every worker as it is forked: all
#   workers draw the same numbers, and, as workers are forked anew each epoch, every epoch is the first one again. Each picture has
#   one and the same change for the whole training. persistent_workers=True leaves the workers alike and lets epochs differ.
# Last line: as described: both epochs and both workers have the same changes; with persistent workers only the workers have
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check albumentations==2.0.8 torch==2.14.1 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PYTHON' 2>/dev/null
import albumentations
import numpy
import torch
from torch.utils.data import DataLoader, Dataset

GREY = numpy.full((4, 4, 3), 128, numpy.uint8)


class ByAlbumentations(Dataset):
    def __init__(self):
        self.change = albumentations.Compose([albumentations.RandomBrightnessContrast((-0.9, 0.9), 0, p=1)])

    def __len__(self):
        return 16

    def __getitem__(self, index):
        return int(self.change(image=GREY)["image"][0, 0, 0])


class ByTorch(ByAlbumentations):
    def __getitem__(self, index):
        return int(128 + 100 * torch.rand(()))


def epochs(data, persistent):
    """Two epochs; of each the greys that the first worker gave, and those of the second."""
    loader = DataLoader(data, batch_size=1, num_workers=2, multiprocessing_context="fork", persistent_workers=persistent)
    found = [[int(batch) for batch in loader] for _ in range(2)]
    return [(epoch[0::2], epoch[1::2]) for epoch in found]


def alike(first, second):
    return first == second and len(set(first)) > 2


for name, data, persistent, stated in (
    ("albumentations", ByAlbumentations(), False, (True, True)),
    ("albumentations, persistent workers", ByAlbumentations(), True, (False, True)),
    ("torch", ByTorch(), False, (False, False)),
):
    first, second = epochs(data, persistent)
    seen = alike(first[0], second[0]), alike(*first)
    print(f"{name}: {first} and {second}; epochs alike {seen[0]}, workers alike {seen[1]}")
    if seen != stated:
        raise SystemExit("changed")
print("as described: both epochs and both workers have the same changes; with persistent workers only the workers have")
PYTHON
