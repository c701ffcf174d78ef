"""GradNorm: how strongly the loss of a random network pulls at its parameters."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional

from ZeroShotProxy.network_state import normalise_by_batch
from ZeroShotProxy.registry import Needs, ProxyFailure, proxy
from ZeroShotProxy.scoring import ScoringContext


@proxy("GradNorm", needs=Needs.GRADIENT)
def gradient_norm_score(network: nn.Module, context: ScoringContext) -> float:
    """L2 norm of the cross-entropy gradient over all parameters at once. Larger is better.

    As in the code of Zen-NAS. Abdelfattah et al. (2021, section 3), who proposed it, add up the norms of the layers, which is
    another order.
    Standard normal images, uniformly random labels, BN in training mode. Raises ProxyFailure where BN has a single value per
    channel, and where no parameter reaches the loss.
    """
    normalise_by_batch(network)
    logits = network(context.random_images())
    loss = functional.cross_entropy(logits, context.random_labels(logits.shape[1]))
    if not loss.requires_grad:
        raise ProxyFailure("no parameter reaches the loss")
    gradients = torch.autograd.grad(loss, list(network.parameters()), allow_unused=True)
    norms = [torch.linalg.vector_norm(g, dtype=torch.float64) for g in gradients if g is not None]
    # Read at once: a GPU would be waited for at each of them.
    return math.hypot(*torch.stack(norms).tolist())
