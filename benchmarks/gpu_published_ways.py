"""Scores as their published code computes them, for ratios: plain loops without what makes ours fast.

Each builds the network layer by layer on the processor, moves it, and reads numbers as it goes. Sources: the repository of
Zen-NAS (Zen-Score, NASWOT, GradNorm) and of TE-NAS (tangent kernel).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.neural_tangent_kernel_speed import kernel_of_backward_passes
from Masternet import MasterNet
from PlainNet import Network
from ZeroShotProxy import ScoringSettings


def _built(network: Network, settings: ScoringSettings, gaussian: bool = True, links: bool = True) -> MasterNet:
    module = MasterNet(num_classes=settings.num_classes, plainnet_struct=network, no_reslink=not links)
    for layer in module.modules() if gaussian else ():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.normal_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        elif isinstance(layer, nn.BatchNorm2d):
            nn.init.ones_(layer.weight)
            nn.init.zeros_(layer.bias)
    return module.to(settings.device).train()


def _images(settings: ScoringSettings) -> Tensor:
    side = settings.resolution
    return torch.randn(settings.batch_size, 3, side, side, device=settings.device)


@torch.no_grad()
def plain_zen(network: Network, settings: ScoringSettings, seed: int) -> float:
    """Zen-Score, whose response and scales are read one by one."""
    torch.manual_seed(seed)
    module, images = _built(network, settings, links=False), _images(settings)
    clean = module.forward_pre_GAP(images)
    disturbed = module.forward_pre_GAP(images + settings.gamma * torch.randn_like(images))
    response = (clean - disturbed).abs().sum(dim=(1, 2, 3)).mean().log().item()
    scales = [
        layer.running_var.mean().sqrt().log().item()
        for layer in module.modules()
        if isinstance(layer, nn.BatchNorm2d) and layer.running_var is not None
    ]
    return response + sum(scales)


@torch.no_grad()
def plain_naswot(network: Network, settings: ScoringSettings, seed: int) -> float:
    """log |det K|, whose part of each rectifier is brought to the processor."""
    torch.manual_seed(seed)
    module, kernel = _built(network, settings), np.zeros((settings.batch_size, settings.batch_size))

    def add(_: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal kernel
        on = (output > 0).flatten(1).float()
        kernel = kernel + (on @ on.T).cpu().numpy() + ((1 - on) @ (1 - on).T).cpu().numpy()

    for layer in module.modules():
        if isinstance(layer, nn.ReLU):
            layer.register_forward_hook(add)
    module(_images(settings))
    return float(np.linalg.slogdet(kernel)[1])


def plain_gradient_norm(network: Network, settings: ScoringSettings, seed: int) -> float:
    """The norm of the cross-entropy's gradient, read parameter by parameter."""
    torch.manual_seed(seed)
    module = _built(network, settings)
    labels = torch.randint(settings.num_classes, (settings.batch_size,), device=settings.device)
    functional.cross_entropy(module(_images(settings)), labels).backward()
    return sum(weight.grad.norm().item() ** 2 for weight in module.parameters() if weight.grad is not None) ** 0.5


def plain_condition(network: Network, settings: ScoringSettings, seed: int) -> float:
    """Minus the condition number of the tangent kernel, by a backward pass for each image."""
    torch.manual_seed(seed)
    kernel = kernel_of_backward_passes(_built(network, settings, gaussian=False), _images(settings))
    values = torch.linalg.eigvalsh(kernel)
    return -float(values[-1] / values[0])
