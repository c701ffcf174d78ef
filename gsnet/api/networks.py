"""One network: read, analysed, scored."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import PlainNet
from gsnet.api.callables import ProxyLike, proxy_of
from gsnet.interface.options import InputError, device_name
from gsnet.interface.values import check_counts, wrong_limit
from gsnet.models.analysis import Analysis, analyze_network
from PlainNet import Network, Style
from ZeroShotProxy import ScoringSettings
from ZeroShotProxy import score as score_by

if TYPE_CHECKING:
    from torch import nn


def parse(structure: str | Path | Network) -> Network:
    """The network of a structure string, or of the file at a Path. Raises StructureError or OSError."""
    if isinstance(structure, Network):
        return structure
    return PlainNet.read_structure_file(structure) if isinstance(structure, Path) else PlainNet.parse(structure)


def analyze(
    network: str | Path | Network,
    *,
    resolution: int = 224,
    num_classes: int = 1000,
    use_se: bool = False,
    no_BN: bool = False,
    no_reslink: bool = False,
) -> Analysis:
    """Parameters, FLOPs, memory access and shapes, block by block, as `gsnet analyze_model` counts them.

    use_se: with squeeze-and-excitation in super-blocks. no_BN: without batch normalisation. no_reslink: without residual
    links. Raises StructureError, InputError.
    """
    check_counts(resolution=resolution, num_classes=num_classes)
    style = Style(use_se=use_se, no_reslink=no_reslink, no_BN=no_BN)
    return analyze_network(parse(network), resolution, num_classes, style)


def score(
    network: str | Path | Network | nn.Module,
    proxy: ProxyLike = "Zen",
    *,
    resolution: int = 224,
    num_classes: int = 1000,
    batch_size: int = 16,
    gamma: float = 1e-2,
    seed: int = 0,
    device: str | None = None,
    keep_links: bool | None = None,
    use_se: bool = False,
    no_BN: bool = False,
) -> float:
    """The zero-shot score of a structure or of any torch classifier, as `gsnet compute_score` gives it. Larger is better.

    proxy: a name of `ZeroShotProxy.list_proxies()`, or a function of a network or module. batch_size, resolution: of its
    images. gamma: size of Zen's perturbation. seed: of weights and images; a module is given back with the weights that it
    came with. device: name of torch's, the CPU by default. keep_links: with or without residual links; None leaves it to the
    proxy. num_classes, use_se, no_BN: of a structure's module.

    Raises ProxyFailure where the network cannot be scored, UnknownProxyError, StructureError, InputError.
    """
    check_counts(resolution=resolution, num_classes=num_classes, batch_size=batch_size)
    if wrong := wrong_limit(gamma):
        raise InputError(f"gamma {wrong}")
    if not isinstance(seed, int):
        raise InputError(f"seed is {seed!r}: it must be a whole number")
    settings = ScoringSettings(
        resolution=resolution,
        batch_size=batch_size,
        num_classes=num_classes,
        gamma=gamma,
        device=device_name(None, device),
        keep_links=keep_links,
        style=Style(use_se=use_se, no_BN=no_BN),
    )
    value = parse(network) if isinstance(network, str | Path | Network) else network
    return score_by(value, proxy_of(proxy, gets_module=not isinstance(value, Network)), settings, seed)
