"""Dextr: how independent the channels of a network's maps are, and how strongly its output bends along a curve of images."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from ZeroShotProxy.layer_maps import measured_maps
from ZeroShotProxy.network_state import normalise_by_batch, single_values_kept
from ZeroShotProxy.registry import Needs, ProxyFailure, Weights, proxy
from ZeroShotProxy.scoring import ScoringContext

# Logits that the published code looks at.
_MOST_LOGITS = 10


@proxy("Dextr", needs=Needs.GRADIENT, weights=Weights.DEFAULT)
def dextr_score(network: nn.Module, context: ScoringContext) -> float:
    """a b / (a + b), a = log(1 + sum over maps of 1 / condition number), b = log(1 + curvature). Larger is better.

    Asthana et al., "Dextr: Zero-Shot Neural Architecture Search with Singular Value Decomposition and Extrinsic Curvature",
    TMLR 2025. Condition number: largest over smallest singular value of a layer's map, (channels, positions), for one image.
    Curvature: of the curve that the logits f run through as the image runs through a circle, x(t) = u cos t + w sin t with
    orthonormal random u and w: |f'|^-3 sqrt(|f'|^2 |f''|^2 - (f' f'')^2) at t = 0, over all logits where there are at most 10,
    else over the first 10.

    PyTorch's own weights, one standard normal image, BN in training mode over that image alone. The published code draws the
    ten logits with replacement, takes the curve at 64 x 64 pixels whatever the data set, and counts a map again for every
    container around its layer; here each layer counts once and the resolution is that of the search. Where the curvature is not
    a finite number, as in a network without a curve, the published code falls back on a; this raises ProxyFailure.

    A network of rectifiers bends through BN (or another smooth layer) alone: without one, the curvature is that of an ellipse
    around the origin, and says nothing.
    """
    normalise_by_batch(network)
    with single_values_kept(network):
        with torch.no_grad():
            independence = sum(measured_maps(network, context.random_images()[:1], inverse_condition_number))
        convergence = math.log1p(independence)
        expressivity = math.log1p(extrinsic_curvature(network, context))
    if convergence + expressivity == 0:
        raise ProxyFailure("all maps are singular and the logits run along a straight line")
    return convergence * expressivity / (convergence + expressivity)


def inverse_condition_number(channels: Tensor) -> float:
    """Smallest over largest singular value of a (channels, positions) map; 0 for a map of zeros."""
    singular = torch.linalg.svdvals(channels.double())
    return float(singular[-1] / singular[0]) if singular[0] > 0 else 0.0


def extrinsic_curvature(network: nn.Module, context: ScoringContext) -> float:
    """Curvature of the logits' path where a random circle of images begins. Raises ProxyFailure where they stand still."""
    side, channels = context.settings.resolution, context.channels
    device = context.settings.device
    directions = torch.randn(channels * side * side, 2, generator=context.generator, device=device)
    cosine, sine = torch.linalg.qr(directions).Q.T.reshape(2, 1, channels, side, side)
    angle = torch.zeros((), device=device, requires_grad=True)
    with _TwiceDifferentiable():
        logits = network(cosine * angle.cos() + sine * angle.sin())[0, :_MOST_LOGITS]
    velocity, acceleration = _derivatives(logits, angle)
    speed = float(velocity @ velocity)
    if not 0 < speed < math.inf:
        raise ProxyFailure("the logits do not move along a curve of images")
    area = speed * float(acceleration @ acceleration) - float(velocity @ acceleration) ** 2
    return math.sqrt(max(0.0, area)) / speed**1.5


class _TwiceDifferentiable(TorchFunctionMode):
    """Inside this mode, hard sigmoids are written in operators that torch can differentiate twice."""

    def __torch_function__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        if func is functional.hardsigmoid:
            return (args[0] / 6 + 0.5).clamp(0, 1)
        return func(*args, **(kwargs or {}))


def _derivatives(logits: Tensor, angle: Tensor) -> tuple[Tensor, Tensor]:
    """First and second derivatives of all logits with respect to one number.

    Backward passes give derivatives of a weighted sum of the logits, which is linear in the weights: its derivative with
    respect to those holds all logits at once.
    """
    weights = torch.ones_like(logits, requires_grad=True)
    try:
        (first,) = torch.autograd.grad(logits, angle, weights, create_graph=True)
        (second,) = torch.autograd.grad(first, angle, create_graph=True)
    except RuntimeError as error:
        raise ProxyFailure(f"the logits have no curve along a circle of images: {error}") from error
    (velocity,) = torch.autograd.grad(first, weights, retain_graph=True)
    (acceleration,) = torch.autograd.grad(second, weights)
    return velocity.double(), acceleration.double()
