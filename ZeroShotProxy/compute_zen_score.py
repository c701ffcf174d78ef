"""Zen-Score: how strongly a random network reacts to a small change of its input."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain

import torch
from torch import Tensor, nn

from ZeroShotProxy.batch_norm import ScoredBatchNorm, joined_passes
from ZeroShotProxy.network_state import normalise_by_batch
from ZeroShotProxy.registry import Needs, ProxyFailure, proxy
from ZeroShotProxy.scored_network import ScoredNetwork
from ZeroShotProxy.scoring import ScoringContext


@proxy("Zen", needs=Needs.MODULE, keeps_links=False)
@torch.no_grad()
def zen_score(network: nn.Module, context: ScoringContext) -> float:
    """Zen-Score of one draw of weights and images (Lin et al. 2021, algorithm 1). Larger is better.

    With f the map before global pooling, BN in training mode, x and e standard normal and gamma the perturbation:
    log mean_batch sum |f(x) - f(x + gamma e)| plus, for every BN layer, log sqrt(mean over channels of its running
    variance). The running variance starts at 1 and takes one step of momentum 0.1 with each of the two forward passes, as
    in the published code. The paper leaves residual links out, and so does this proxy unless it is told to keep them.
    """
    difference = _mean_difference(network, context)
    reaction, *scales = _logarithms_of_means([difference.reshape(1), *running_variances(network)])
    return _reached(reaction) + sum((scale / 2 for scale in scales), 0.0)


@torch.no_grad()
def perturbation_response(network: nn.Module, context: ScoringContext) -> float:
    """log mean_batch sum |f(x) - f(x + gamma e)| for standard normal x and e and the map f before global pooling.

    BN is in training mode: each of the two passes normalises by its own batch and moves the running statistics by a step.
    Raises ProxyFailure where the perturbation does not reach the map.
    """
    return _reached(float(_mean_difference(network, context).log()))


def _mean_difference(network: nn.Module, context: ScoringContext) -> Tensor:
    """mean_batch sum |f(x) - f(x + gamma e)|, not read yet."""
    normalise_by_batch(network)
    images = context.random_images()
    noise = torch.randn(images.shape, generator=context.generator, device=images.device)
    maps_of = _joined_maps if context.few_launches and isinstance(network, ScoredNetwork) else _separate_maps
    clean, disturbed = maps_of(network, images, images + context.settings.gamma * noise)
    return (clean - disturbed).abs().sum(dim=(1, 2, 3)).mean()


def _reached(reaction: float) -> float:
    if reaction == -math.inf:
        raise ProxyFailure("the perturbation does not reach the last map")
    return reaction


def _separate_maps(network: nn.Module, images: Tensor, disturbed: Tensor) -> Sequence[Tensor]:
    """The last maps of two batches. BN normalises each by itself, and is moved first by the one and then by the other."""
    return last_map(network, images), last_map(network, disturbed)


def _joined_maps(network: nn.Module, images: Tensor, disturbed: Tensor) -> Sequence[Tensor]:
    """The same by one pass of both, of a network of ours, with half the launches; by two where that has not the memory."""
    try:
        with joined_passes(network, 2):
            return last_map(network, torch.cat((images, disturbed))).chunk(2)
    except torch.OutOfMemoryError:
        torch.cuda.empty_cache()
        for layer in network.modules():
            if isinstance(layer, ScoredBatchNorm):
                layer.reset_running_stats()
    return _separate_maps(network, images, disturbed)


def _logarithms_of_means(vectors: Sequence[Tensor]) -> list[float]:
    """log of the mean of each vector. Those of one length are reduced together, and all are read from the device at once."""
    places: dict[int, list[int]] = {}
    for place, vector in enumerate(vectors):
        places.setdefault(len(vector), []).append(place)
    means = [torch.stack([vectors[place] for place in alike]).mean(dim=1) for alike in places.values()]
    found = dict(zip(chain.from_iterable(places.values()), torch.cat(means).log().tolist(), strict=True))
    return [found[place] for place in range(len(vectors))]


def running_variances(network: nn.Module) -> Iterator[Tensor]:
    """The running variance of every BN layer."""
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d) and layer.running_var is not None:
            yield layer.running_var


def last_map(network: nn.Module, images: Tensor) -> Tensor:
    """The (N, C, H, W) map that a classifier pools: `forward_pre_GAP` where it has one, else the last one it makes."""
    if hasattr(network, "forward_pre_GAP"):
        return network.forward_pre_GAP(images)  # type: ignore[operator]
    with _last_map_recorder(network) as record:
        network(images)
    if "map" not in record:
        raise ProxyFailure("the network makes no feature map that could be compared")
    return record["map"]


@contextmanager
def _last_map_recorder(network: nn.Module) -> Iterator[dict[str, Tensor]]:
    record: dict[str, Tensor] = {}

    def remember(module: nn.Module, inputs: tuple, output: object) -> None:
        pooled = isinstance(module, nn.AdaptiveAvgPool2d | nn.AvgPool2d)
        candidate = inputs[0] if pooled and inputs else output
        if not isinstance(candidate, Tensor) or candidate.dim() != 4:
            return
        # What comes out of pooling is 1 x 1, and so are the inner maps of squeeze-and-excitation.
        if pooled or candidate.shape[-1] > 1 or "map" not in record:
            record["map"] = candidate

    handles = [m.register_forward_hook(remember) for m in network.modules() if not any(m.children())]
    try:
        yield record
    finally:
        for handle in handles:
            handle.remove()
