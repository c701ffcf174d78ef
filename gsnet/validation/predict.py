"""What a network sees in pictures of the user's."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torchvision.datasets.folder import IMG_EXTENSIONS

from gsnet.data.passed_over import files_in
from gsnet.data.pictures import read_picture
from gsnet.models import ExpectedInput
from gsnet.models.module_costs import as_logits
from gsnet.validation.class_names import class_names
from gsnet.validation.images import transform
from gsnet.validation.measure import prepared


@dataclass(frozen=True)
class Guess:
    """One class and the probability (softmax) that the network gives it."""

    label: int
    name: str
    probability: float


def pictures_in(paths: Iterable[Path]) -> list[Path]:
    """The paths, and in place of a folder its pictures in the order of their names. Raises InputError where it has none."""
    kinds = ", ".join(suffix.removeprefix(".") for suffix in IMG_EXTENSIONS)
    lacking = f"no pictures ({kinds})"
    return [one for path in paths for one in (files_in(path, IMG_EXTENSIONS, lacking) if path.is_dir() else [path])]


@torch.inference_mode()
def probabilities(network: nn.Module, images: Tensor, expected: ExpectedInput) -> Tensor:
    """What a network says of images (N, 3, crop, crop) of `transform`: the softmax of its logits (N, classes), on the CPU."""
    device = next((tensor.device for tensor in network.parameters()), torch.device("cpu"))
    ready = prepared(images.to(device), expected.resolution, torch.float32, torch.preserve_format)
    return as_logits(network(ready)).float().softmax(1).cpu()


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
        chances = probabilities(network, prepare(read_picture(file.expanduser()))[None], expected)[0]
        classes = len(chances)
        names = names_of(classes)
        best = chances.topk(min(5, classes))
        pairs = zip(best.indices.tolist(), best.values.tolist(), strict=True)
        found[str(file)] = [Guess(label, names[label], probability) for label, probability in pairs]
    return found, classes
