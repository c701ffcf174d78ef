"""What a training asks of its network beside the weights: bodies that are left out, maps that are computed again."""

from __future__ import annotations

from torch import nn

from gsnet.interface.options import InputError
from gsnet.models.libraries import is_of_timm, timm_with_drop_path
from PlainNet import StructureError
from PlainNet.classifier import Classifier


def with_drop_path(network: nn.Module, rate: float) -> nn.Module:
    """The network, of which residual bodies are left out in training, with the same weights; timm's are made anew.

    rate: probability of the last body, above 0 and below 1. Raises InputError where there is none that could be left out.
    """
    if is_of_timm(network):
        return timm_with_drop_path(network, rate)
    if not isinstance(network, Classifier):
        raise InputError(
            f"--drop_path {rate} needs a network of a structure or of timm, and {type(network).__name__} is neither: "
            "use --drop_path 0"
        )
    try:
        network.set_drop_path(rate)
    except StructureError as error:
        raise InputError(
            f"--drop_path {rate}: this structure has no residual link, whose body could be left out: use --drop_path 0"
        ) from error
    return network


def checkpoint_gradients(network: nn.Module) -> None:
    """Have the network compute maps again in the backward pass. Raises InputError where it cannot."""
    try:
        network.set_grad_checkpointing(True)  # type: ignore[operator]
    # timm's networks all have the method, and those that cannot do it assert so.
    except (AttributeError, AssertionError) as error:
        raise InputError(
            f"{type(network).__name__} cannot do --grad_checkpointing, as networks of structures and most of timm's can: "
            "leave it out"
        ) from error
