"""From a picture to the tensor that a network is trained or tested with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from torchvision.transforms import v2

from gsnet.data.pictures import decode
from gsnet.data.policies import OF_TIMM, THREE, TRIVIAL, rand_numbers
from gsnet.data.settings import CIFAR_SIDE, DataSettings
from gsnet.data.timm_policy import TimmPolicy

_BICUBIC = v2.InterpolationMode.BICUBIC
_GREY = (128, 128, 128)
# Principal components of ImageNet's RGB values in [0, 1] (Krizhevsky et al. 2012, section 4.1).
_EIGENVALUES = (0.2175, 0.0188, 0.0045)
_EIGENVECTORS = ((-0.5675, 0.7192, 0.4009), (-0.5808, -0.0045, -0.8140), (-0.5836, -0.6948, 0.4203))
# Shares of an image that are cut out: torchvision's own, and those of CIFAR's images made larger; and how wide a part is.
_IMAGENET_SCALE, _LARGE_CIFAR_SCALE = (0.08, 1.0), (0.8, 1.0)
CROP_RATIO = (3 / 4, 4 / 3)
# Black pixels around CIFAR's images, of which a part as large as the image is taken.
CIFAR_PADDING = 4
ERASED_SCALE, ERASED_RATIO = (0.02, 0.33), (0.3, 3.3)
# Jitter and deviation of the lighting of ImageNet's published training, and the jitter that 3-Augment ends with (Touvron et
# al. 2022).
_JITTER, _LIGHTING, _JITTER_OF_THREE = (0.4, 0.4, 0.4), 0.1, (0.3, 0.3, 0.3)


class RGB(v2.RGB):
    """A picture as RGB: itself where it is, which torchvision's step would copy."""

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return inpt if isinstance(inpt, Image.Image) and inpt.mode == "RGB" else super().transform(inpt, params)


class ReducedResizedCrop(v2.RandomResizedCrop):
    """The same part of the same size, of a JPEG picture that is not decoded yet from no more of its pixels than are needed."""

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        top, left, height, width = (params[name] for name in ("top", "left", "height", "width"))
        pixels = decode(inpt, min(height, width) / max(self.size))
        if pixels == 1:
            return super().transform(inpt, params)
        box = (left / pixels, top / pixels, (left + width) / pixels, (top + height) / pixels)
        return inpt.resize(tuple(self.size), Image.Resampling.BICUBIC, box)


class Lighting(nn.Module):
    """Adds a random multiple of the colours' principal components to a float image (3, H, W), which it may overwrite.

    Multiples are normal with standard deviation `deviation` times the eigenvalue. Source: Krizhevsky et al. 2012.
    """

    def __init__(self, deviation: float = _LIGHTING, inplace: bool = False) -> None:
        super().__init__()
        self.deviation, self.inplace = deviation, inplace

    def forward(self, image: Tensor) -> Tensor:
        shift = self.shift(torch.randn(3) * self.deviation)
        return image.add_(shift) if self.inplace else image + shift

    @staticmethod
    def shift(alpha: Tensor) -> Tensor:
        """What is added to the three channels, (3, 1, 1), for the multiples alpha, (3,)."""
        return (torch.tensor(_EIGENVECTORS) @ (alpha * torch.tensor(_EIGENVALUES)))[:, None, None]


def training_transform(settings: DataSettings) -> v2.Transform:
    """A PIL image to a changed, normalised float tensor (3, side, side)."""
    if not settings.augment:
        return validation_transform(settings)
    found = strengths(settings)
    steps: list[nn.Module] = [*held_steps(settings), _crop(settings, found.scale), v2.RandomHorizontalFlip()]
    steps += _policy(settings)
    if any(found.jitter):
        steps.append(v2.ColorJitter(*found.jitter))
    steps += _to_tensor()
    if found.lighting:
        steps.append(Lighting(found.lighting, inplace=True))
    steps.append(_normalised(settings))
    if settings.random_erase:
        steps.append(v2.RandomErasing(p=settings.random_erase, scale=ERASED_SCALE, ratio=ERASED_RATIO, value=0))
    return v2.Compose([RGB(), *steps])


@dataclass(frozen=True)
class Strengths:
    """How far training changes images.

    scale: which shares of an image a part that is cut out has; None: a part of its own size of the image with a border. jitter:
    of brightness, contrast, saturation, hue, as many as there are. lighting: deviation of the shift of colours.
    """

    scale: tuple[float, float] | None
    jitter: tuple[float, ...]
    lighting: float


def strengths(settings: DataSettings) -> Strengths:
    """What the settings say, or where they do not what the data set's training does."""
    cifar = settings.kind.cifar
    scale = settings.crop_scale
    if scale is None and not (cifar and settings.side <= CIFAR_SIDE):
        scale = _LARGE_CIFAR_SCALE if cifar else _IMAGENET_SCALE
    jitter = settings.color_jitter
    if jitter is None:
        # A policy other than 3-Augment stands in its place.
        jitter = {False: () if cifar else _JITTER, THREE: _JITTER_OF_THREE}.get(settings.auto_augment, ())
    lighting = settings.lighting
    if lighting is None:
        lighting = 0.0 if cifar else _LIGHTING
    return Strengths(scale, jitter, lighting)


def held_steps(settings: DataSettings) -> list[nn.Module]:
    """What is done to every picture of training alike, before any change: CIFAR's are brought to another size."""
    side = settings.side
    if not settings.kind.cifar or side == CIFAR_SIDE:
        return []
    if side > CIFAR_SIDE:
        return [v2.Resize(round(side / 0.75), _BICUBIC)]
    return [] if settings.crop_scale is not None else [v2.Resize((side, side), _BICUBIC)]


def _crop(settings: DataSettings, scale: tuple[float, float] | None) -> nn.Module:
    side = settings.side
    if scale is None:
        return v2.RandomCrop(side, padding=CIFAR_PADDING)
    kind = ReducedResizedCrop if settings.reduced_decoding else v2.RandomResizedCrop
    return kind(side, scale, CROP_RATIO, interpolation=_BICUBIC)


def validation_transform(settings: DataSettings) -> v2.Transform:
    """A PIL image to a normalised float tensor (3, side, side): its centre, or for CIFAR the whole of it."""
    steps = [*validated_steps(settings), *_to_tensor(), _normalised(settings)]
    return v2.Compose([RGB(), *steps])


def validated_steps(settings: DataSettings) -> list[nn.Module]:
    """From a picture to the part of it that validation sees, still a picture."""
    side = settings.side
    if settings.kind.cifar:
        return [v2.Resize((side, side), _BICUBIC)]
    return [v2.Resize(settings.resize, _BICUBIC), v2.CenterCrop(side)]


def _to_tensor() -> list[nn.Module]:
    return [v2.ToImage(), v2.ToDtype(torch.float32, scale=True)]


def _normalised(settings: DataSettings) -> nn.Module:
    # In place: the numbers before are nobody else's.
    return v2.Normalize(*map(list, settings.normalisation), inplace=True)


def _policy(settings: DataSettings) -> list[nn.Module]:
    name, fill = settings.auto_augment, list(_GREY)
    if not name:
        return []
    if name is True:
        kinds = v2.AutoAugmentPolicy
        return [v2.AutoAugment(kinds.CIFAR10 if settings.kind.cifar else kinds.IMAGENET, fill=fill)]
    if name == TRIVIAL:
        return [v2.TrivialAugmentWide(fill=fill)]
    if name == THREE:
        return [three_augment(settings.side)]
    if name.startswith(OF_TIMM):
        return [TimmPolicy(name, settings.side, settings.normalisation[0])]
    magnitude, operations = rand_numbers(name)
    return [v2.RandAugment(operations, magnitude, fill=fill)]


def three_augment(side: int) -> v2.Transform:
    """One of greyscale, solarisation and blur, all alike; side: of the images, in pixels (Touvron et al. 2022, figure 2)."""
    # Three deviations of the strongest blur to both sides, as far as an image can be mirrored.
    kernel = min(13, 2 * side - 1)
    blur = v2.GaussianBlur(kernel, sigma=(0.1, 2.0))
    return v2.RandomChoice([v2.RandomGrayscale(p=1), v2.RandomSolarize(threshold=128, p=1), blur])
