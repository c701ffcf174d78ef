"""MeCo: how far the channels of a network's maps are from being combinations of each other."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ZeroShotProxy.layer_maps import RECTIFIERS, measured_maps
from ZeroShotProxy.network_state import normalise_by_batch, single_values_kept
from ZeroShotProxy.registry import Needs, Weights, proxy
from ZeroShotProxy.scoring import ScoringContext


@proxy("MeCo", needs=Needs.MODULE, weights=Weights.DEFAULT)
def meco_score(network: nn.Module, context: ScoringContext) -> float:
    """Sum over maps of the least eigenvalue of their channels' Pearson correlations. Larger is better.

    Jiang et al., "MeCo: Zero-Shot NAS with One Data and Single Forward Pass via Minimum Eigenvalue of Correlation", NeurIPS
    2023. One standard normal image (whatever the batch size of the search), PyTorch's own weights, BN in training mode over
    that image alone; the (channels, channels) correlations of each layer's map run over its positions. A channel without
    variance has correlation 0 with all channels, itself included, as in the published code, so that the least eigenvalue is at
    most zero.

    Sources disagree about the image: the authors' program for NAS-Bench-201, whose figure is quoted below, takes one of the
    data set at 32 x 32 pixels, a second measure in their repository standard normal noise at 64 x 64, where more maps have
    fewer channels than positions.

    And about the sum: the paper's is over layers, its code's over all modules, containers included, so that a map counts once
    more for each container around it and the score depends on how the network is written down; over 306 cells of
    NAS-Bench-201 (CIFAR-10) the former has a Spearman correlation of .903, the latter of .898, and .89 is published. Here each
    layer counts once.

    A map with no fewer channels than positions has least eigenvalue zero: wide maps of few pixels do not count at all. BN hands
    on 1 x 1 maps, as there is nothing to normalise them by. Raises ProxyFailure where no layer makes a map.
    """
    return sum(_least_eigenvalues(network, context, (nn.Module,)))


@proxy("MeCo-Rectified", needs=Needs.MODULE, weights=Weights.DEFAULT)
def rectified_meco_score(network: nn.Module, context: ScoringContext) -> float:
    """MeCo over the maps behind rectifying activations alone. Larger is better.

    Not of the paper: what convolution and BN make of a map is a linear mixture, whose channels a rectifier tells apart, and a
    map that is handed on unchanged (identity, pooling) need not count again. It orders the cells of NAS-Bench-201 better than
    the sum over all layers (docs/proxy_report.md). Rectifiers that are functions and not modules are not seen.
    """
    return sum(_least_eigenvalues(network, context, RECTIFIERS))


def _least_eigenvalues(network: nn.Module, context: ScoringContext, kinds: tuple[type, ...]) -> list[float]:
    normalise_by_batch(network)
    with single_values_kept(network):
        return measured_maps(network, context.random_images()[:1], least_correlation_eigenvalue, kinds)


def least_correlation_eigenvalue(channels: Tensor) -> float:
    """Least eigenvalue of the Pearson correlations between the rows of (channels, positions)."""
    if len(channels) >= channels.shape[1]:
        # Centred rows span fewer dimensions than there are rows; rounding aside, the eigenvalue is zero.
        return 0.0
    correlations = torch.corrcoef(channels.double()).nan_to_num(0.0, 0.0, 0.0)
    return float(torch.linalg.eigvalsh(correlations.reshape(len(channels), -1))[0])
