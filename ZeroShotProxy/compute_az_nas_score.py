"""AZ-NAS: three readings of the maps between blocks, to be ranked together with FLOPs.

Lee and Ham, "AZ-NAS: Assembling Zero-Cost Proxies for Network Architecture Search", CVPR 2024. The published score of a
network is the sum of its log ranks by expressivity, progressivity, trainability and complexity (FLOPs) within a population
(section 3.3); a search with `--zero_shot_score AZ-NAS` does that.

All three: Kaiming normal weights (fan in), BN in training mode, standard normal images, no labels. The maps are those behind
the stem and behind every block (`block_maps`); what follows the last block (BN and activation before pooling) is not looked at.
The published figures are of batches of 64.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from statistics import fmean

import torch
from torch import Tensor, nn
from torch.nn import functional

from ZeroShotProxy.block_maps import recorded_block_maps
from ZeroShotProxy.network_state import normalise_by_batch
from ZeroShotProxy.registry import Needs, ProxyFailure, Weights, proxy
from ZeroShotProxy.scoring import ScoringContext

# Constants of the published code: they keep log and quotient finite.
_SMALLEST_SHARE = 1e-8
_SMALLEST_NORM = 1e-6


@proxy("AZ-NAS-Expressivity", needs=Needs.MODULE, weights=Weights.KAIMING)
def expressivity_score(network: nn.Module, context: ScoringContext) -> float:
    """Sum over blocks of the entropy of their map's principal variances (Lee and Ham 2024, expressivity). Larger is better.

    For a map with channel vectors at batch x height x width positions, the eigenvalues of the (channels, channels) covariance
    as shares of their sum p, and their entropy -sum p log p: at most log(channels), where all directions of the feature space
    are used alike. Raises ProxyFailure where a map is constant.

    It grows with the number of blocks and, by log(channels), with width.
    """
    return sum(map_entropies(block_maps(network, context)))


@proxy("AZ-NAS-Progressivity", needs=Needs.MODULE, weights=Weights.KAIMING)
def progressivity_score(network: nn.Module, context: ScoringContext) -> float:
    """Least growth of that entropy from one block to the next (Lee and Ham 2024, progressivity). Larger is better.

    Raises ProxyFailure where a map is constant or there are fewer than two blocks.

    A minimum over blocks depends on one pair of maps alone, so it is the noisiest of the three. A block that narrows its map is
    bound to lose entropy: networks of different bottlenecks cannot be compared by it.
    """
    entropies = map_entropies(block_maps(network, context))
    return min(after - before for before, after in pairwise(entropies))


@proxy("AZ-NAS-Trainability", needs=Needs.GRADIENT, weights=Weights.KAIMING)
def trainability_score(network: nn.Module, context: ScoringContext) -> float:
    """Mean over blocks of 2 - s - 1 / s (Lee and Ham 2024, trainability). Larger is better, at most 0.

    s: the spectral norm of the block's mean input-to-output gradient map. The gradient at a block's output is set to +1 or -1
    at random; with g_out (positions, out channels) and the g_in (positions, in channels) that it gives at the input, A = g_in'
    g_out / positions, and s is its largest singular value. s = 1, where gradients neither grow nor vanish, is best. A block of
    stride k has k x k positions of its input for one of its output, which count as channels.

    Raises ProxyFailure where a block hands its gradient on unchanged (an identity trains nothing; the published code gives it
    minus infinity) and where there are fewer than two blocks.
    """
    maps = block_maps(network, context)
    return fmean(_gradient_score(before, after, context.generator) for before, after in pairwise(maps))


def block_maps(network: nn.Module, context: ScoringContext) -> list[Tensor]:
    """The maps behind stem and blocks for a batch of random images. Raises ProxyFailure where there are fewer than two."""
    normalise_by_batch(network)
    with recorded_block_maps(network) as maps:
        network(context.random_images())
    if len(maps) < 2:
        raise ProxyFailure("the network has fewer than two blocks with a map behind them")
    return maps


def map_entropies(maps: Sequence[Tensor]) -> list[float]:
    """The entropy of each map's principal variances, in nats; maps are (batch, channels, height, width)."""
    return [_entropy(feature_map.detach()) for feature_map in maps]


def _entropy(feature_map: Tensor) -> float:
    vectors = feature_map.transpose(0, 1).flatten(1)
    vectors = vectors - vectors.mean(dim=1, keepdim=True)
    variances = torch.linalg.eigvalsh((vectors @ vectors.T / vectors.shape[1]).double())
    total = variances.sum()
    if not total > 0:
        raise ProxyFailure("a map is the same at all positions of all images")
    shares = variances.clamp(min=0) / total
    return float(-(shares * (shares + _SMALLEST_SHARE).log()).sum())


def _gradient_score(before: Tensor, after: Tensor, generator: torch.Generator) -> float:
    signs = torch.randint(2, after.shape, generator=generator, device=after.device).to(after.dtype) * 2 - 1
    (gradient,) = torch.autograd.grad(after, before, signs, retain_graph=True)
    if gradient.shape == signs.shape and torch.equal(gradient, signs):
        raise ProxyFailure("a block hands its gradient on unchanged")
    if gradient.shape[2:] != signs.shape[2:]:
        gradient = _positions_as_channels(gradient, signs.shape[2])
    outputs, inputs = (g.transpose(0, 1).flatten(1) for g in (signs, gradient))
    norm = float(torch.linalg.matrix_norm((inputs @ outputs.T / outputs.shape[1]).double(), 2))
    return 2 - norm - 1 / (norm + _SMALLEST_NORM)


def _positions_as_channels(gradient: Tensor, height: int) -> Tensor:
    """(batch, channels, height k, width k) as (batch, channels k k, height, width).

    The last rows and columns of a map that the stride does not divide have no output of their own: they are left out.
    """
    stride = max(1, gradient.shape[2] // height)
    rows, columns = (size // stride * stride for size in gradient.shape[2:])
    return functional.pixel_unshuffle(gradient[:, :, :rows, :columns], stride)
