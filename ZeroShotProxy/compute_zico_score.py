"""ZiCo: how steady the gradient of every weight is from batch to batch."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.conv import _ConvNd

from ZeroShotProxy.network_state import normalise_by_batch
from ZeroShotProxy.registry import Needs, ProxyFailure, Weights, proxy
from ZeroShotProxy.scoring import ScoringContext

_BATCHES = 2


@proxy("ZiCo", needs=Needs.GRADIENT, weights=Weights.DEFAULT)
def zico_score(network: nn.Module, context: ScoringContext) -> float:
    """Sum over layers of log sum over weights of mean |g| / std g over batches. Larger is better.

    Li et al., "ZiCo: Zero-shot NAS via Inverse Coefficient of Variation on Gradients", ICLR 2023. g: gradients of the
    cross-entropy of two batches with respect to one weight of a convolution or linear layer; PyTorch's own initialisation, BN
    in training mode.

    The paper's equation has the deviation of |g|, its code that of g itself (std over the batches, not of a sample), and the
    published correlations are the code's; so this is the code's. With two batches the quotient of a weight is then
    (|a| + |b|) / |a - b|: exactly 1 where the two gradients differ in sign, so that the score mostly counts weights, on a log
    scale, layer by layer. Weights with the same gradient in both batches are left out, and so are layers without any other.

    Images are standard normal and labels uniformly random; published figures are of real ones. Raises ProxyFailure where no
    layer has a gradient that varies.
    """
    normalise_by_batch(network)
    layers = [layer for layer in network.modules() if isinstance(layer, _ConvNd | nn.Linear)]
    weights = [layer.weight for layer in layers]
    batches = [_gradients(network, weights, context) for _ in range(_BATCHES)]
    terms = list(_layer_terms(batches))
    if not terms:
        raise ProxyFailure("no weight has a gradient that varies from batch to batch")
    return sum(terms)


def _gradients(network: nn.Module, weights: list[Tensor], context: ScoringContext) -> tuple[Tensor | None, ...]:
    logits = network(context.random_images())
    loss = functional.cross_entropy(logits, context.random_labels(logits.shape[1]))
    if not loss.requires_grad:
        raise ProxyFailure("no weight reaches the loss")
    return torch.autograd.grad(loss, weights, allow_unused=True)


def _layer_terms(batches: list[tuple[Tensor | None, ...]]) -> Iterator[float]:
    for gradients in zip(*batches, strict=True):
        reached = [gradient for gradient in gradients if gradient is not None]
        if len(reached) < len(gradients):
            continue
        stacked = torch.stack(reached).double()
        deviation = stacked.std(dim=0, correction=0)
        varies = deviation > 0
        total = float((stacked.abs().mean(dim=0)[varies] / deviation[varies]).sum())
        if total > 0:
            yield math.log(total)
