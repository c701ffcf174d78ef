"""What a network sees in pictures of the user's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from torchvision.datasets.folder import find_classes
from torchvision.models import ResNet18_Weights

from gsnet.data.class_folder import read_picture
from gsnet.data.data_sets import TRAINING, VALIDATION
from gsnet.models import ExpectedInput
from gsnet.validation.images import transform
from gsnet.validation.measure import prepared

_CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


@dataclass(frozen=True)
class Guess:
    """One class and the probability (softmax) that the network gives it."""

    label: int
    name: str
    probability: float


def class_names(classes: int, data_dir: str | Path | None = None) -> list[str]:
    """Names by label: a data set's training folders, or those to validate on, where there are as many; else those known.

    Known are ImageNet's and CIFAR-10's, where the number fits; any others are called "class 7".
    """
    for folder in (
        [Path(data_dir).expanduser() / split for split in TRAINING + VALIDATION] if data_dir is not None else []
    ):
        if folder.is_dir() and len(names := find_classes(folder)[0]) == classes:
            return names
    if classes == 1000:
        return list(ResNet18_Weights.DEFAULT.meta["categories"])
    return list(_CIFAR10) if classes == len(_CIFAR10) else [f"class {i}" for i in range(classes)]


@torch.inference_mode()
def predict(
    network: nn.Module,
    files: Sequence[Path],
    expected: ExpectedInput,
    device: str = "cpu",
    data_dir: str | Path | None = None,
) -> dict[str, list[Guess]]:
    """The five likeliest classes of each picture, by file name. Raises BrokenImageError where a file is no picture."""
    network = network.eval().to(device)
    prepare = transform(expected)
    found = {}
    for file in files:
        image = prepare(read_picture(file.expanduser()))[None].to(device)
        logits = network(prepared(image, expected.resolution, torch.float32, torch.preserve_format))[0].float()
        names = class_names(len(logits), data_dir)
        best = logits.softmax(0).topk(min(5, len(logits)))
        pairs = zip(best.indices.tolist(), best.values.tolist(), strict=True)
        found[str(file)] = [Guess(label, names[label], probability) for label, probability in pairs]
    return found
