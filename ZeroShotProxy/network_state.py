"""Weights and modes that a proxy's network is put in, and the network given back as it came."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

from ZeroShotProxy.registry import Weights

# torch's initialisation draws from a generator that all threads share.
_global_generator = threading.Lock()
HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def set_gaussian_weights(module: nn.Module, generator: torch.Generator) -> None:
    """Standard normal convolutions and linear layers, zero biases; normalisation at weight 1, bias 0, fresh statistics."""
    set_normal_weights(module, Weights.GAUSSIAN, generator)


def set_kaiming_weights(module: nn.Module, generator: torch.Generator) -> None:
    """As `set_gaussian_weights`, with a variance of 2 over the inputs of one output (He et al. 2015, equation 10)."""
    set_normal_weights(module, Weights.KAIMING, generator)


@torch.no_grad()
def set_normal_weights(module: nn.Module, weights: Weights, generator: torch.Generator) -> None:
    """As `set_gaussian_weights` or, for KAIMING, `set_kaiming_weights`."""
    weighted: list[nn.Module] = []
    for layer in module.modules():
        if isinstance(layer, _ConvNd | nn.Linear):
            weighted.append(layer)
            if layer.bias is not None:
                layer.bias.zero_()
        elif isinstance(layer, _BatchNorm | nn.GroupNorm | nn.LayerNorm):
            _reset_normalisation(layer)
    draw_normal_weights(weighted, weights, generator)


@torch.no_grad()
def draw_normal_weights(layers: Iterable[nn.Module], weights: Weights, generator: torch.Generator) -> None:
    """The random numbers of these alone, layer by layer: GAUSSIAN or KAIMING."""
    for layer in layers:
        weight: Tensor = layer.weight  # type: ignore[assignment]
        deviation = math.sqrt(2 / weight[0].numel()) if weights is Weights.KAIMING else 1.0
        weight.normal_(0, deviation, generator=generator)


def _reset_normalisation(layer: nn.Module) -> None:
    for name, value in (("weight", 1), ("bias", 0)):
        parameter = getattr(layer, name, None)
        if parameter is not None:
            parameter.fill_(value)
    if isinstance(layer, _BatchNorm):
        layer.reset_running_stats()


def set_default_weights(module: nn.Module, seed: int) -> None:
    """PyTorch's own initialisation, from `seed` and without moving torch's global generator."""
    with _global_generator, torch.random.fork_rng():
        torch.manual_seed(seed)
        for layer in module.modules():
            if hasattr(layer, "reset_parameters"):
                layer.reset_parameters()  # type: ignore[operator]


def normalise_by_batch(network: nn.Module) -> None:
    """Batch normalisation in training mode and everything else in evaluation mode.

    Dropout and stochastic depth would draw from torch's global generator and give another score each time, and some
    classifiers return a tuple with auxiliary logits in training mode.
    """
    network.eval()
    for layer in network.modules():
        if isinstance(layer, _BatchNorm):
            layer.train()


@contextmanager
def single_values_kept(network: nn.Module) -> Iterator[None]:
    """Inside this context, BN that gets a single value a channel hands it on, normalised by its fresh running statistics.

    One image has such maps where they are 1 x 1, as in squeeze-and-excitation; in training mode BN refuses them.
    """

    def choose_mode(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        layer.train(inputs[0].numel() > inputs[0].shape[1])

    layers = [layer for layer in network.modules() if isinstance(layer, _BatchNorm)]
    handles = [layer.register_forward_pre_hook(choose_mode) for layer in layers]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def untouched(module: nn.Module) -> Iterator[None]:
    """Whatever happens inside, the module comes back as it was: tensors and their storage, gradients, modes and hooks.

    Inside, every parameter and buffer is a copy, so that the caller's own memory is never written to.
    """
    tensors = [(holder, name, tensor, tensor.data) for holder, name, tensor in _tensors(module)]
    parameters = [(p, p.grad, p.requires_grad) for p in module.parameters()]
    modes = [(m, m.training) for m in module.modules()]
    hooks = [(live, dict(live)) for m in module.modules() for live in (getattr(m, name) for name in HOOKS)]
    for _, _, tensor, original in tensors:
        if tensor.data_ptr() == original.data_ptr():
            tensor.data = original.clone()
    for parameter, _, _ in parameters:
        parameter.grad = None
    try:
        yield
    finally:
        for holder, name, tensor, original in tensors:
            tensor.data = original
            holder[name] = tensor
        for parameter, gradient, requires_grad in parameters:
            parameter.requires_grad_(requires_grad)
            parameter.grad = gradient
        for layer, training in modes:
            layer.training = training
        for live, saved in hooks:
            live.clear()
            live.update(saved)


def _tensors(module: nn.Module) -> Iterator[tuple[dict, str, Tensor]]:
    for layer in module.modules():
        for holder in (layer._parameters, layer._buffers):
            for name, tensor in holder.items():
                if tensor is not None:
                    yield holder, name, tensor
