"""Optimisers by name, without weight decay for normalisation and biases."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from gsnet.interface.options import InputError
from gsnet.training.usual import OF_TIMM, OPTIMISERS, WITH_NESTEROV


@dataclass(frozen=True)
class OptimiserSettings:
    """An optimiser's name and constants; the learning rate is set before each step.

    decay_all: weight decay also for biases and the vectors of normalisation. head_scale: what the learning rate of the
    classifier is multiplied by; layer_decay: that of a layer, for every layer that it is away from the classifier.
    """

    name: str = "sgd"
    momentum: float = 0.9
    nesterov: bool = False
    weight_decay: float = 4e-5
    rho: float = 0.9
    eps: float = 1e-9
    decay_all: bool = False
    head_scale: float = 1.0
    layer_decay: float | None = None


def parameter_groups(
    network: nn.Module, weight_decay: float, decay_all: bool = False, scales: Mapping[nn.Parameter, float] | None = None
) -> list[dict]:
    """Two groups: matrices and kernels with weight decay; biases and the vectors of normalisation without, by default.

    scales: of the learning rate, 1 where a parameter is not named; there are two groups, then, for each `lr_scale`. Frozen
    parameters are in none.
    """
    trained = [p for p in network.parameters() if p.requires_grad]
    if not scales:
        return _by_dimensions(trained, weight_decay, decay_all)
    values = sorted({scales.get(p, 1.0) for p in trained})
    return [
        group | {"lr_scale": value}
        for value in values
        for group in _by_dimensions([p for p in trained if scales.get(p, 1.0) == value], weight_decay, decay_all)
    ]


def _by_dimensions(parameters: list[nn.Parameter], weight_decay: float, decay_all: bool) -> list[dict]:
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": weight_decay if decay_all else 0.0},
    ]


def optimiser(
    network: nn.Module, settings: OptimiserSettings, lr: float, scales: Mapping[nn.Parameter, float] | None = None
) -> Optimizer:
    """The optimiser of a network's trained parameters; scales: as in `parameter_groups`. Raises InputError."""
    if settings.name not in OPTIMISERS:
        raise InputError(f"There is no --optimizer {settings.name!r}: use one of {', '.join(OPTIMISERS)}")
    groups = parameter_groups(network, settings.weight_decay, settings.decay_all, scales)
    if settings.nesterov and (settings.name not in WITH_NESTEROV or settings.momentum == 0):
        raise InputError(f"--nesterov belongs to --optimizer {' or '.join(WITH_NESTEROV)} with a --momentum above 0")
    if settings.name in OF_TIMM:
        return _of_timm(groups, settings, lr)
    match settings.name:
        case "sgd":
            return torch.optim.SGD(groups, lr, momentum=settings.momentum, nesterov=settings.nesterov)
        case "adam":
            return torch.optim.Adam(groups, lr)
        case "adamw":
            return torch.optim.AdamW(groups, lr)
        case "rmsprop":
            return torch.optim.RMSprop(groups, lr, alpha=0.9, momentum=settings.momentum)
        case _:
            return torch.optim.Adadelta(groups, lr, rho=settings.rho, eps=settings.eps)


def _of_timm(groups: list[dict], settings: OptimiserSettings, lr: float) -> Optimizer:
    """As timm's own trainings make it; what is no matrix or kernel is left to AdamW by its Muon. Raises InputError."""
    if importlib.util.find_spec("timm") is None:
        raise InputError(f"--optimizer {settings.name} is timm's, which is not installed: pip install timm")
    import timm
    from timm.optim import create_optimizer_v2, list_optimizers

    if settings.name not in list_optimizers():
        raise InputError(
            f"timm {timm.__version__} has no {settings.name}: pip install --upgrade timm, or use another --optimizer"
        )
    more: dict[str, Any] = {"nesterov": settings.nesterov} if settings.name == "muon" else {}
    try:
        return create_optimizer_v2(groups, settings.name, lr, momentum=settings.momentum, **more)
    except ValueError as error:
        raise InputError(f"--optimizer {settings.name}: {error}") from error
