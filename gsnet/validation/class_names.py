"""What a network's classes are called, and in which order they count."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from pathlib import Path

from torchvision.models import ResNet18_Weights

from gsnet.data.class_folder import class_folders
from gsnet.data.data_sets import TRAINING, VALIDATION
from gsnet.data.sharded import shard_classes, shards_in
from gsnet.interface.options import named_few
from gsnet.models.expected import classes_text

_LOG = logging.getLogger(__name__)
_IN_NAMES = ("cifar10", "cifar100")
_CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


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


def data_set_in(arch: str) -> str | None:
    """The data set that a network's name has in it, as zennet_cifar10_model_size1M_res32."""
    return next((part for part in arch.split("_") if part in _IN_NAMES), None)


def _folders_of(data_dir: Path) -> list[str]:
    """The class folders of a data set, or classes of its archives; where it has a training folder, those of no other count."""
    for split in (data_dir / name for name in TRAINING + VALIDATION):
        if split.is_dir() and shards_in(split):
            return shard_classes(split)
        if split.is_dir():
            return class_folders(split)
    return []


def say_order_of_folders(names: Sequence[str], arch: str) -> None:
    """Warn where folders of these names count otherwise in timm, whose checkpoints do not say the names.

    names: in the order of the alphabet, capitals first, as torchvision's ImageFolder has it. timm looks at no capitals and
    counts 2 before 10 (`natural_key` of `timm.utils.misc`).
    """
    theirs = sorted(names, key=_by_numbers)
    if list(names) == theirs:
        return
    _LOG.warning(
        "%s does not say its classes, so that the folders count in the order of the alphabet: %s. timm has another: %s. Where "
        "it was trained by timm on such folders, give a file with a name a line as class_names",
        *(arch, named_few(names), named_few(theirs)),
    )


def say_other_number(folders: Sequence[str], classes: int, arch: str) -> None:
    """Warn where a network that does not say its classes has another number of them than there are folders."""
    if len(folders) == classes:
        return
    _LOG.warning(
        "%s has %s, and there are %d folders of pictures, which count as its first ones (class 0 is %s): give the names of all "
        "of them, one a line, in a file as class_names, where they are others",
        *(arch, classes_text(classes), len(folders), folders[0]),
    )


def _by_numbers(name: str) -> list[tuple[bool, int | str]]:
    return [(part.isdigit(), int(part) if part.isdigit() else part) for part in re.split(r"(\d+)", name.lower())]
