"""From a picture to the tensor that a network is trained or tested with."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torchvision.transforms import v2

from gsnet.data.policies import OF_TIMM, THREE, TRIVIAL, rand_numbers
from gsnet.data.settings import DataSettings
from gsnet.data.timm_policy import TimmPolicy

_BICUBIC = v2.InterpolationMode.BICUBIC
_GREY = (128, 128, 128)
# Principal components of ImageNet's RGB values in [0, 1] (Krizhevsky et al. 2012, section 4.1).
_EIGENVALUES = (0.2175, 0.0188, 0.0045)
_EIGENVECTORS = ((-0.5675, 0.7192, 0.4009), (-0.5808, -0.0045, -0.8140), (-0.5836, -0.6948, 0.4203))
_CIFAR_SIDE = 32
# Shares of an image that are cut out: torchvision's own, and those of CIFAR's images made larger.
_IMAGENET_SCALE, _LARGE_CIFAR_SCALE = (0.08, 1.0), (0.8, 1.0)
# Jitter and deviation of the lighting of ImageNet's published training, and the jitter that 3-Augment ends with (Touvron et
# al. 2022).
_JITTER, _LIGHTING, _JITTER_OF_THREE = (0.4, 0.4, 0.4), 0.1, (0.3, 0.3, 0.3)


class Lighting(nn.Module):
    """Adds a random multiple of the colours' principal components to a float image (3, H, W).

    Multiples are normal with standard deviation `deviation` times the eigenvalue. Source: Krizhevsky et al. 2012.
    """

    def __init__(self, deviation: float = _LIGHTING) -> None:
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
    policy, jitter, light = _colours(settings, v2.AutoAugmentPolicy.CIFAR10, usual_jitter=(), usual_lighting=0.0)
    return [*_cifar_crop(settings), v2.RandomHorizontalFlip(), *policy, *jitter, *_to_tensor(), *light]


def _cifar_crop(settings: DataSettings) -> list[nn.Module]:
    side = settings.side
    if side > _CIFAR_SIDE:
        scale = settings.crop_scale or _LARGE_CIFAR_SCALE
        return [v2.Resize(round(side / 0.75), _BICUBIC), v2.RandomResizedCrop(side, scale, interpolation=_BICUBIC)]
    if settings.crop_scale is not None:
        return [v2.RandomResizedCrop(side, settings.crop_scale, interpolation=_BICUBIC)]
    shrunk = [] if side == _CIFAR_SIDE else [v2.Resize((side, side), _BICUBIC)]
    return [*shrunk, v2.RandomCrop(side, padding=4)]


def _imagenet_training(settings: DataSettings) -> list[nn.Module]:
    policy, jitter, light = _colours(settings, v2.AutoAugmentPolicy.IMAGENET, _JITTER, _LIGHTING)
    crop = v2.RandomResizedCrop(settings.side, settings.crop_scale or _IMAGENET_SCALE, interpolation=_BICUBIC)
    return [crop, v2.RandomHorizontalFlip(), *policy, *jitter, *_to_tensor(), *light]


def _colours(
    settings: DataSettings, auto: v2.AutoAugmentPolicy, usual_jitter: tuple[float, ...], usual_lighting: float
) -> tuple[list[nn.Module], list[nn.Module], list[nn.Module]]:
    """The policy and the jitter of a picture, and the lighting of its tensor, each as a list of one or none.

    auto: the policy that True means. usual_jitter: without a policy; a policy other than 3-Augment stands in its place.
    """
    jitter = settings.color_jitter
    if jitter is None:
        jitter = {False: usual_jitter, THREE: _JITTER_OF_THREE}.get(settings.auto_augment, ())
    lighting = usual_lighting if settings.lighting is None else settings.lighting
    return (
        _policy(settings, auto),
        [v2.ColorJitter(*jitter)] if any(jitter) else [],
        [Lighting(lighting)] if lighting else [],
    )


def _policy(settings: DataSettings, auto: v2.AutoAugmentPolicy) -> list[nn.Module]:
    name, fill = settings.auto_augment, list(_GREY)
    if not name:
        return []
    if name is True:
        return [v2.AutoAugment(auto, fill=fill)]
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
