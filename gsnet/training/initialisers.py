"""Weights before the first step, by name."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from gsnet.interface.options import InputError

_LOG = logging.getLogger(__name__)
_GAIN = 3.26033
_XAVIER = {"xavier": math.sqrt(2), "MSRAPrelu": _GAIN}
_NORMAL = {"stupid": 1.0, "01": 0.1, "zero": 1e-3}
INITIALISERS = ("None", "custom", *_XAVIER, *_NORMAL)


@torch.no_grad()
def initialise(network: nn.Module, name: str) -> None:
    """Set the weights of convolutions and linear layers; biases become 0, normalisation the identity.

    xavier and MSRAPrelu: Xavier normal with gain sqrt 2 or 3.26033, linear layers normal with standard deviation
    3.26033 sqrt(2 / (in + out)). stupid, 01 and zero: normal with standard deviation 1, 0.1 or 0.001 over
    sqrt(out k k), for linear layers over sqrt(out). custom: the network's own init_parameters(). None: as built.
    Raises InputError for another name, or where a network has no initialisation of its own.
    """
    if name not in INITIALISERS:
        raise InputError(f"There is no --weight_init {name!r}: use one of {', '.join(INITIALISERS)}")
    if name == "None":
        _LOG.info("Weights start as the network's constructor left them (weight_init None)")
        return
    if name == "custom":
        own = getattr(network, "init_parameters", None)
        if not callable(own):
            raise InputError("The network has no initialisation of its own: use another --weight_init than custom")
        own()
        return
    if name in _NORMAL:
        initialise_normal(network, _NORMAL[name])
        return
    for layer in network.modules():
        _initialise_layer(layer, _xavier(_XAVIER[name]))


@torch.no_grad()
def initialise_normal(network: nn.Module, factor: float) -> None:
    """Normal weights with standard deviation factor over sqrt(out k k); biases 0, normalisation the identity."""
    for layer in network.modules():
        _initialise_layer(layer, _normal(factor))


def _initialise_layer(layer: nn.Module, fill: Callable[[Tensor], None]) -> None:
    if isinstance(layer, nn.Conv2d | nn.Linear):
        fill(layer.weight)
        if layer.bias is not None:
            layer.bias.zero_()
    elif isinstance(layer, nn.modules.batchnorm._BatchNorm):
        layer.reset_parameters()


def _xavier(gain: float) -> Callable[[Tensor], None]:
    def fill(weight: Tensor) -> None:
        # For a linear layer this is gain sqrt(2 / (in + out)), whatever the gain of the convolutions.
        nn.init.xavier_normal_(weight, _GAIN if weight.ndim == 2 else gain)

    return fill


def _normal(factor: float) -> Callable[[Tensor], None]:
    def fill(weight: Tensor) -> None:
        spread = weight.shape[0] * math.prod(weight.shape[2:])
        weight.normal_(0, factor / math.sqrt(spread))

    return fill
