"""What is known of a network that is about to be written to a file."""

from __future__ import annotations

from dataclasses import replace

from torch import nn

from gsnet.interface.description import NetworkDescription, versions
from gsnet.models.expected import ExpectedInput
from gsnet.models.own import batch_norm_of
from Masternet import MasterNet


def structure_description(network: nn.Module, arch: str) -> NetworkDescription:
    """What a network is built of; its name, `arch`, where it has no structure."""
    momentum, eps = batch_norm_of(network)
    if not isinstance(network, MasterNet):
        return NetworkDescription(arch=arch, bn_momentum=momentum, bn_eps=eps)
    style = network.style
    return NetworkDescription(
        structure=str(network.network),
        unit="deployed" if style.shuffle_always else "searched",
        use_se=style.use_se,
        se_activation=style.se_activation,
        no_BN=style.no_BN,
        no_reslink=style.no_reslink,
        bn_momentum=momentum,
        bn_eps=eps,
    )


def of_these_weights(told: NetworkDescription, own: bool, resolution: int) -> NetworkDescription:
    """The same without what a training says that was not of these weights, or not of images of this side in pixels.

    own: whether the weights are those that the description goes with.
    """
    if not own:
        return replace(told, dataset=None, accuracy={})
    return told if resolution == told.resolution else replace(told, accuracy={})


def with_input(description: NetworkDescription, expected: ExpectedInput, classes: int) -> NetworkDescription:
    """The same with the images that a network expects, as far as they are known."""
    return replace(
        description,
        resolution=expected.resolution,
        crop=expected.crop,
        resize=expected.resize,
        crop_mode=expected.crop_mode,
        interpolation=expected.interpolation,
        mean=None if expected.assumed else expected.mean,
        std=None if expected.assumed else expected.std,
        classes=classes,
        class_names=description.class_names if len(description.class_names) == classes else (),
        versions=description.versions or versions(),
    )
