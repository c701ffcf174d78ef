"""TE-NAS: how easily a network trains (neural tangent kernel) and how finely it divides its input (linear regions)."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from ZeroShotProxy.activation_patterns import activation_patterns
from ZeroShotProxy.network_state import normalise_by_batch
from ZeroShotProxy.neural_tangent_kernel import condition_number, neural_tangent_kernel
from ZeroShotProxy.registry import Needs, ProxyFailure, Weights, proxy
from ZeroShotProxy.scoring import ScoringContext


@proxy("TE-NAS", needs=Needs.GRADIENT, weights=Weights.DEFAULT)
def te_nas_score(network: nn.Module, context: ScoringContext) -> float:
    """log(linear regions) - log(condition number), for one network at a time. Larger is better.

    The paper (Chen et al. 2021, section 3.3) adds up ranks within a population, which `rank_combine` does. A search that scores
    one candidate at a time has no population to rank it in; there both terms are put on a log scale, where a factor counts the
    same in either of them.
    """
    condition = -te_nas_ntk_score(network, context)
    return math.log(te_nas_lr_score(network, context)) - math.log(condition)


@proxy("TE-NAS-NTK", needs=Needs.GRADIENT, weights=Weights.DEFAULT)
def te_nas_ntk_score(network: nn.Module, context: ScoringContext) -> float:
    """Minus the condition number of the neural tangent kernel (Chen et al. 2021, equation 4). Larger is better.

    One batch of standard normal images, BN in training mode, PyTorch's default weights. The eigenvalues are those of a
    symmetric float64 matrix and a smallest one that rounds to zero or below counts as the smallest that can be told from
    zero, so the score is always -1 or less. Raises ProxyFailure where gradients vanish or overflow.
    """
    normalise_by_batch(network)
    return -condition_number(neural_tangent_kernel(network, context.random_images()))


@proxy("TE-NAS-LR", needs=Needs.MODULE, weights=Weights.DEFAULT)
def te_nas_lr_score(network: nn.Module, context: ScoringContext) -> float:
    """Linear regions on the segment between two random images (Chen et al. 2021, section 3.2). Larger is better.

    The published code counts distinct activation patterns among random images, on a copy of the network with one channel. On a
    network of real width every image has a pattern of its own, so that count is the number of images whatever the network.
    Along a segment the count does not saturate, and its mean is proportional to the regions' density (Hanin and Rolnick 2019,
    theorem 1). `batch_size` images lie on the segment. Raises ProxyFailure where nothing rectifies.
    """
    normalise_by_batch(network)
    ends = context.random_images()[:2]
    if len(ends) < 2:
        raise ProxyFailure("a segment needs a batch of at least 2 images")
    steps = torch.linspace(0, 1, context.settings.batch_size, device=ends.device).view(-1, 1, 1, 1)
    return float(crossed_regions(activation_patterns(network, torch.lerp(ends[:1], ends[1:], steps))))


def crossed_regions(patterns: Iterable[Tensor]) -> int:
    """Linear regions along a line: one more than the units that switch from one image to the next.

    patterns: (images, units) for each activation, the images in their order on the line. A unit that switches twice between
    two neighbours is missed, so the count is a lower bound that grows towards the true one with the number of images.
    """
    switches = [(pattern[1:] != pattern[:-1]).sum() for pattern in patterns]
    if not switches:
        raise ProxyFailure("the network has no rectifying activation")
    return 1 + sum(torch.stack(switches).tolist())


def distinct_regions(patterns: Iterable[Tensor]) -> int:
    """Distinct activation patterns among images, the count of the published code; patterns: (images, units) each."""
    joined = torch.cat(list(patterns), dim=1)
    return len(torch.unique(joined, dim=0))


def rank_combine(ntk_scores: Sequence[float], lr_scores: Sequence[float]) -> list[float]:
    """TE-NAS scores of a population: minus the sum of the ranks in both (Chen et al. 2021, section 3.3). Larger is better.

    Both sequences are in the same order and larger is better in each; the best has rank 1, ties share their mean rank. Raises
    ValueError where the lengths differ.
    """
    if len(ntk_scores) != len(lr_scores):
        raise ValueError(
            f"{len(ntk_scores)} NTK scores and {len(lr_scores)} linear-region scores are not one population"
        )
    pairs = zip(_ranks(ntk_scores), _ranks(lr_scores), strict=True)
    return [-(trainability + expressivity) for trainability, expressivity in pairs]


def _ranks(scores: Sequence[float]) -> list[float]:
    ordered = sorted(-score for score in scores)
    return [(bisect_left(ordered, -score) + bisect_right(ordered, -score) + 1) / 2 for score in scores]
