"""VKDNW: how evenly a network's weights are known from its predictions."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ZeroShotProxy.first_weight_jacobian import first_weight_jacobian
from ZeroShotProxy.registry import Needs, ProxyFailure, Weights, proxy
from ZeroShotProxy.scoring import ScoringContext

# Constants of the published code.
_PARAMETERS = 128
_SMOOTHING = 0.05
_SMALLEST = 1e-10
_DECILES = 9


@proxy("VKDNW", needs=Needs.GRADIENT, weights=Weights.KAIMING)
def vkdnw_score(network: nn.Module, context: ScoringContext) -> float:
    """Number of parameter tensors, then entropy of the Fisher information's spectrum as a fraction below 1. Larger is better.

    Tybl and Neumann, "Training-free Neural Architecture Search through Variance of Knowledge of Deep Network Weights", CVPR
    2025, VKDNW single. F = mean over images of J' (diag(p) - p p') J is the empirical Fisher information of a few weights: J
    (classes, weights) are the derivatives of the logits with respect to the first weight of each of the network's first 128
    parameter tensors, p the softmax probabilities, smoothed to .95 p + .05 / classes. The nine deciles of F's eigenvalues, as
    shares of their sum d, have the entropy -sum d log d, at most log 9: large where no direction of the weights is known much
    better than another. The entropy is independent of size; the published ranking is by the number of parameter tensors first,
    and by entropy among equals. The best aggregate adds the log ranks of this, Jacov, AZ-NAS's expressivity and trainability,
    and FLOPs (a search with `--zero_shot_score VKDNW-Aggregate`).

    Kaiming normal weights (fan in), standard normal images (real ones are no better in the paper's ablation). BN is in
    *evaluation* mode with fresh statistics, as in the published code: it is the identity, images do not depend on each other,
    and maps may grow from block to block. The published code multiplies J by the Cholesky factor L of diag(p) - p p' from the
    wrong side, L J instead of L' J; ranks are the same within .005, and this is the formula of the paper.

    F has at most batch x (classes - 1) eigenvalues above zero, so a batch of 16 is the least that fills 128 of them for 10
    classes, and entropies of different batches cannot be compared. Published correlations (.815 / .829 / .814) are of the 9,445
    cells of NAS-Bench-201 without operations that nothing flows through; of all cells the authors' log has .798 / .802 / .793.
    Raises ProxyFailure where no weight reaches the logits or the logits overflow.
    """
    network.eval()
    # Convolutions compute with channels last: ten backward passes need not rearrange their maps.
    network.to(memory_format=torch.channels_last)
    images = context.random_images().contiguous(memory_format=torch.channels_last)
    jacobian, logits = first_weight_jacobian(network, images, _PARAMETERS)
    information = fisher_information(jacobian.double(), logits.double())
    if not torch.isfinite(information).all():
        raise ProxyFailure("the logits or their derivatives overflow without normalisation")
    tensors = sum(1 for _ in network.parameters())
    return tensors + spectrum_entropy(information) / math.log(_DECILES)


def fisher_information(jacobian: Tensor, logits: Tensor) -> Tensor:
    """Mean over images of J' (diag(p) - p p') J: (weights, weights), from (batch, classes, weights) and (batch, classes)."""
    classes = logits.shape[1]
    probabilities = (1 - _SMOOTHING) * logits.softmax(dim=1) + _SMOOTHING / classes
    expected = torch.einsum("bc,bcw->bw", probabilities, jacobian)
    # sum_c p_c (J_c - E J)(J_c - E J)' is the same matrix, and cannot become indefinite by rounding.
    centred = (jacobian - expected[:, None]) * probabilities.sqrt()[:, :, None]
    return torch.einsum("bcv,bcw->vw", centred, centred) / len(logits)


def spectrum_entropy(information: Tensor) -> float:
    """Entropy of the deciles (10 % to 90 %) of the eigenvalues of a symmetric matrix, as shares of their sum; in nats."""
    eigenvalues = torch.linalg.eigvalsh(information).clamp(min=0)
    levels = torch.arange(1, _DECILES + 1, dtype=eigenvalues.dtype, device=eigenvalues.device) / (_DECILES + 1)
    deciles = torch.quantile(eigenvalues, levels)
    shares = deciles / (deciles.sum() + _SMALLEST)
    return max(0.0, -float((shares * (shares + _SMALLEST).log()).sum()))
