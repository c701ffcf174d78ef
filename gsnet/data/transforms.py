"""From a picture to the tensor that a network is trained or tested with."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torchvision.transforms import v2

from gsnet.data.settings import DataSettings

_BICUBIC = v2.InterpolationMode.BICUBIC
_GREY = (128, 128, 128)
# Principal components of ImageNet's RGB values in [0, 1] (Krizhevsky et al. 2012, section 4.1).
_EIGENVALUES = (0.2175, 0.0188, 0.0045)
_EIGENVECTORS = ((-0.5675, 0.7192, 0.4009), (-0.5808, -0.0045, -0.8140), (-0.5836, -0.6948, 0.4203))
_CIFAR_SIDE = 32


class Lighting(nn.Module):
    """Adds a random multiple of the colours' principal components to a float image (3, H, W).

    Multiples are normal with standard deviation `deviation` times the eigenvalue. Source: Krizhevsky et al. 2012.
    """

    def __init__(self, deviation: float = 0.1) -> None:
        super().__init__()
        self.deviation = deviation

    def forward(self, image: Tensor) -> Tensor:
        return image + self.shift(torch.randn(3) * self.deviation)

    @staticmethod
    def shift(alpha: Tensor) -> Tensor:
        """What is added to the three channels, (3, 1, 1), for the multiples alpha, (3,)."""
        return (torch.tensor(_EIGENVECTORS) @ (alpha * torch.tensor(_EIGENVALUES)))[:, None, None]


def training_transform(settings: DataSettings) -> v2.Transform:
    """A PIL image to a changed, normalised float tensor (3, side, side)."""
    if not settings.augment:
        return validation_transform(settings)
    steps = _cifar_training(settings) if settings.kind.cifar else _imagenet_training(settings)
    steps.append(v2.Normalize(*map(list, settings.normalisation)))
    if settings.random_erase:
        steps.append(v2.RandomErasing(p=settings.random_erase, scale=(0.02, 0.33), ratio=(0.3, 3.3), value=0))
    return v2.Compose([v2.RGB(), *steps])


def validation_transform(settings: DataSettings) -> v2.Transform:
    """A PIL image to a normalised float tensor (3, side, side): its centre, or for CIFAR the whole of it."""
    side = settings.side
    if settings.kind.cifar:
        steps = [v2.Resize((side, side), _BICUBIC)]
    else:
        steps = [v2.Resize(settings.resize, _BICUBIC), v2.CenterCrop(side)]
    return v2.Compose([v2.RGB(), *steps, *_to_tensor(), v2.Normalize(*map(list, settings.normalisation))])


def _to_tensor() -> list[nn.Module]:
    return [v2.ToImage(), v2.ToDtype(torch.float32, scale=True)]


def _cifar_training(settings: DataSettings) -> list[nn.Module]:
    side = settings.side
    if side > _CIFAR_SIDE:
        steps = [v2.Resize(round(side / 0.75), _BICUBIC), v2.RandomResizedCrop(side, (0.8, 1), interpolation=_BICUBIC)]
    else:
        shrunk = [] if side == _CIFAR_SIDE else [v2.Resize((side, side), _BICUBIC)]
        steps = [*shrunk, v2.RandomCrop(side, padding=4)]
    steps.append(v2.RandomHorizontalFlip())
    if settings.auto_augment:
        steps.append(v2.AutoAugment(v2.AutoAugmentPolicy.CIFAR10, fill=list(_GREY)))
    return [*steps, *_to_tensor()]


def _imagenet_training(settings: DataSettings) -> list[nn.Module]:
    colours = (
        v2.AutoAugment(v2.AutoAugmentPolicy.IMAGENET, fill=list(_GREY))
        if settings.auto_augment
        else v2.ColorJitter(0.4, 0.4, 0.4)
    )
    crop = v2.RandomResizedCrop(settings.side, interpolation=_BICUBIC)
    return [crop, v2.RandomHorizontalFlip(), colours, *_to_tensor(), Lighting()]
