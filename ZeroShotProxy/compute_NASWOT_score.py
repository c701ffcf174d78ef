"""NASWOT: how well a random network tells images apart by which of its units they light up."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from ZeroShotProxy.activation_patterns import activation_patterns
from ZeroShotProxy.network_state import normalise_by_batch
from ZeroShotProxy.registry import Needs, ProxyFailure, proxy
from ZeroShotProxy.scoring import ScoringContext


@proxy("NASWOT", needs=Needs.MODULE)
def naswot_score(network: nn.Module, context: ScoringContext) -> float:
    """log |det K| of the activation kernel (Mellor et al. 2021, section 3, equation 2). Larger is better.

    K[i, j] counts the units that images i and j agree on, on or off, over all rectifying activations; hard-swish and SiLU
    count by their sign. One forward pass of standard normal images with BN in training mode, and no backward pass. Raises
    ProxyFailure where nothing rectifies or two images cannot be told apart.
    """
    normalise_by_batch(network)
    kernel = agreement_kernel(activation_patterns(network, context.random_images()))
    sign, logarithm = torch.linalg.slogdet(kernel)
    if sign <= 0:
        raise ProxyFailure("the activation kernel is singular: two images light up the same units")
    return float(logarithm)


def agreement_kernel(patterns: Iterable[Tensor]) -> Tensor:
    """Units that each pair of images agrees on, (batch, batch) in float64, from (batch, units) patterns."""
    products: Tensor | None = None
    units = 0
    for pattern in patterns:
        # With signs s of +1 and -1, two images agree on (units + s . s') / 2 units: one product instead of two.
        signs = pattern.to(torch.float32).mul_(2).sub_(1)
        product = signs @ signs.T
        products = product.double() if products is None else products.add_(product)
        units += pattern.shape[1]
    if products is None:
        raise ProxyFailure("the network has no rectifying activation")
    return products.add_(units).div_(2)
