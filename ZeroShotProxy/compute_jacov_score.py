"""Jacov: how differently a network reacts to different images."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ZeroShotProxy.network_state import normalise_by_batch
from ZeroShotProxy.registry import Needs, ProxyFailure, Weights, proxy
from ZeroShotProxy.scoring import ScoringContext

# The constant of the published code.
_OFFSET = 1e-5


@proxy("Jacov", needs=Needs.GRADIENT, weights=Weights.KAIMING)
def jacobian_covariance_score(network: nn.Module, context: ScoringContext) -> float:
    """-sum of log(v + k) + 1 / (v + k), k = 1e-5, over the eigenvalues v of the images' gradient correlations. Larger is
    better.

    The first version of NASWOT (Mellor et al. 2020, "Neural Architecture Search without Training", version 1, equation 2;
    Abdelfattah et al. 2021, section 3, jacob_cov), and a member of VKDNW's aggregate. One row an image: the gradient of the sum
    of its logits with respect to its pixels; v are the eigenvalues of the rows' Pearson correlations. At most -batch, where no
    two rows are correlated.

    Kaiming normal weights as in VKDNW (whose authors' figures are .800 / .820 / .779), BN in training mode, standard normal
    images (published: real ones). A batch sets the number of eigenvalues: scores of different batches cannot be compared, and a
    network whose gradients nearly coincide gets a score of -1e5 an image. Raises ProxyFailure where a gradient vanishes.
    """
    normalise_by_batch(network)
    images = context.random_images().requires_grad_()
    logits = network(images)
    (gradients,) = torch.autograd.grad(logits.sum(), images, allow_unused=True)
    if gradients is None:
        raise ProxyFailure("the logits do not depend on the image")
    eigenvalues = torch.linalg.eigvalsh(row_correlations(gradients.flatten(1)))
    return -float((eigenvalues + _OFFSET).log().add(1 / (eigenvalues + _OFFSET)).sum())


def row_correlations(rows: Tensor) -> Tensor:
    """Pearson correlations between rows, (rows, rows) in float64. Raises ProxyFailure where a row is constant."""
    correlations = torch.corrcoef(rows.detach().double())
    if not torch.isfinite(correlations).all():
        raise ProxyFailure("a gradient or map is the same at all places")
    return correlations
