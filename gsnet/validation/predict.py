"""What a network sees in pictures of the user's."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from torchvision.datasets.folder import IMG_EXTENSIONS
from torchvision.models import ResNet18_Weights

from gsnet.data.class_folder import class_folders
from gsnet.data.data_sets import TRAINING, VALIDATION
from gsnet.data.passed_over import files_in
from gsnet.data.pictures import read_picture
from gsnet.data.sharded import shard_classes, shards_in
from gsnet.models import ExpectedInput
from gsnet.models.module_costs import as_logits
from gsnet.validation.images import transform
from gsnet.validation.measure import prepared

_CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


@dataclass(frozen=True)
class Guess:
    """One class and the probability (softmax) that the network gives it."""

    label: int
    name: str
    probability: float


def class_names(classes: int, data_dir: str | Path | None = None, dataset: str = "imagenet") -> list[str]:
    """Names by label: a data set's training folders, or without any those to validate on, where there are as many.

    dataset: whose own names, of ImageNet or CIFAR-10, count without such folders. Any other class is called "class 7".
    """
    found = _folders_of(Path(data_dir).expanduser()) if data_dir is not None else []
    if len(found) == classes:
        return found
    if dataset == "imagenet" and classes == 1000:
        return list(ResNet18_Weights.DEFAULT.meta["categories"])
    return list(_CIFAR10) if dataset == "cifar10" and classes == 10 else [f"class {i}" for i in range(classes)]


def _folders_of(data_dir: Path) -> list[str]:
    """The class folders of a data set, or classes of its archives; where it has a training folder, those of no other count."""
    for split in (data_dir / name for name in TRAINING + VALIDATION):
        if split.is_dir() and shards_in(split):
            return shard_classes(split)
        if split.is_dir():
            return class_folders(split)
    return []


def pictures_in(paths: Iterable[Path]) -> list[Path]:
    """The paths, and in place of a folder its pictures in the order of their names. Raises InputError where it has none."""
    kinds = ", ".join(suffix.removeprefix(".") for suffix in IMG_EXTENSIONS)
    lacking = f"no pictures ({kinds})"
    return [one for path in paths for one in (files_in(path, IMG_EXTENSIONS, lacking) if path.is_dir() else [path])]


@torch.inference_mode()
def predict(
    network: nn.Module,
    files: Sequence[Path],
    expected: ExpectedInput,
    device: str = "cpu",
    names_of: Callable[[int], Sequence[str]] = class_names,
) -> tuple[dict[str, list[Guess]], int]:
    """The five likeliest classes of each picture, by file name, and how many classes the network has.

    names_of: the names of so many classes, by default `class_names`.

    Raises BrokenImageError where a file is no picture.
    """
    network = network.eval().to(device)
    prepare = transform(expected)
    found, classes = {}, 0
    for file in files:
        image = prepare(read_picture(file.expanduser()))[None].to(device)
        images = prepared(image, expected.resolution, torch.float32, torch.preserve_format)
        logits = as_logits(network(images))[0].float()
        classes = len(logits)
        names = names_of(classes)
        best = logits.softmax(0).topk(min(5, classes))
        pairs = zip(best.indices.tolist(), best.values.tolist(), strict=True)
        found[str(file)] = [Guess(label, names[label], probability) for label, probability in pairs]
    return found, classes
