"""Growth of the gradient on its way back: a limit for a search, not an aim (docs/gradient_growth.md).

For what ranks networks, where one that grows too much is to be behind and not out, there is the margin to the limit. The spread
of gradients over maps looks at those between first and last, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from PlainNet import Network
from ZeroShotProxy.gradient_growth import GradientGrowth
from ZeroShotProxy.per_thread import PerThread
from ZeroShotProxy.registry import Needs, ProxyFailure, Weights, proxy
from ZeroShotProxy.scoring import ScoringContext

if TYPE_CHECKING:
    from torch import Tensor, nn


# Up to here, networks with and without links that have the same depth learn alike (docs/gradient_growth.md, the ladder).
LIMIT = 3.0
# Of a backward pass: as many as had those of NAS-Bench-201's cells that limits were read from.
IMAGES_OF_A_PASS = 8

_closed_forms = PerThread(GradientGrowth)


@proxy("GradientGrowthClosedForm", needs=Needs.VALUE, larger_is_better=False)
def gradient_growth_closed_form(network: Network, context: ScoringContext) -> float:
    """log |gradient at the first block's map| - log |gradient at the last block's map|, expected over weights and images.

    Not an aim: networks train badly where it is large, and small ones are not better for it. Raises ProxyFailure.
    """
    return _closed_form(context).growth(network)


@proxy("GradientSpreadClosedForm", needs=Needs.VALUE, larger_is_better=False)
def gradient_spread_closed_form(network: Network, context: ScoringContext) -> float:
    """Standard deviation of log |gradient| over the maps behind all blocks, expected over weights and images.

    0 where gradients have the same norm everywhere; like growth no aim, as it counts little but depth where networks differ in
    that. Raises ProxyFailure.
    """
    return float(_closed_form(context).log_norms(network).std())


def _closed_form(context: ScoringContext) -> GradientGrowth:
    if context.style.no_BN:
        raise ProxyFailure("gradient growth is that of networks with batch normalisation")
    return _closed_forms.get(context.settings.resolution, context.style)


@proxy("GrowthMarginClosedForm", needs=Needs.VALUE)
def growth_margin_closed_form(network: Network, context: ScoringContext) -> float:
    """min(0, 3 - growth) of the closed form: below 0 by how much gradients grow too much, 0 where they do not.

    Made to be one of several proxies that rank networks (docs/network_order.md); alone it tells few of them apart. Raises
    ProxyFailure.
    """
    return min(0.0, LIMIT - gradient_growth_closed_form(network, context))


@proxy("GradientGrowth", needs=Needs.GRADIENT, weights=Weights.KAIMING, larger_is_better=False)
def gradient_growth(net: nn.Module, context: ScoringContext) -> float:
    """The same of any classifier by one backward pass, of a random linear function of its outputs.

    Weights are those of a training's start: their scale matters where BN's epsilon is not small beside a variance, as in
    squeeze-and-excitation, whose closed form has standard normal ones.

    Maps are those between the blocks of a `MasterNet`; of another module those behind its stem and its blocks
    (`block_maps.blocks_of`). Raises ProxyFailure where a module has fewer than two: the patches of a transformer are one map.
    """
    norms = log_gradient_norms(net, context)
    return float(norms[0] - norms[-1])


@proxy("GradientSpread", needs=Needs.GRADIENT, weights=Weights.KAIMING, larger_is_better=False)
def gradient_spread(net: nn.Module, context: ScoringContext) -> float:
    """As `GradientSpreadClosedForm`, of any classifier by one backward pass. Raises ProxyFailure."""
    return float(log_gradient_norms(net, context).std(correction=0))


def log_gradient_norms(net: nn.Module, context: ScoringContext) -> Tensor:
    """Logarithm of the norm of the gradient at each map, of a random linear function of the outputs: (maps,).

    Raises ProxyFailure where there are too few maps.
    """
    import torch

    from ZeroShotProxy.network_state import normalise_by_batch

    normalise_by_batch(net)
    with _recorded_maps(net) as maps:
        outputs = net(context.random_images())
    if not (maps and outputs.requires_grad):
        raise ProxyFailure("no block gives a map with a height and a width")
    weights = torch.randn(outputs.shape, generator=context.generator, device=outputs.device)
    gradients = torch.autograd.grad((outputs * weights).sum(), maps, allow_unused=True)
    # What the outputs do not depend on is no map on the way.
    return torch.stack([gradient.norm() for gradient in gradients if gradient is not None]).log()


@contextmanager
def _recorded_maps(net: nn.Module) -> Iterator[list[Tensor]]:
    """Inside this context a forward pass leaves the maps of a network here, in their order. Raises ProxyFailure behind it."""
    from ZeroShotProxy.block_maps import recorded_block_maps

    structure = getattr(net, "module_list", None)
    if structure is None:
        with recorded_block_maps(net) as maps:
            yield maps
        if len(maps) == 1:
            raise ProxyFailure(
                "one block alone gives a map with a height and a width: there is no way for a gradient to grow"
            )
        return
    found: list[Tensor] = []

    def keep(block: nn.Module, arguments: object, output: Tensor) -> None:
        if output.ndim == 4 and output.requires_grad:
            found.append(output)

    handles = [block.register_forward_hook(keep) for block in structure]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


@proxy("GrowthMargin", needs=Needs.GRADIENT, weights=Weights.KAIMING)
def growth_margin(net: nn.Module, context: ScoringContext) -> float:
    """min(0, 3 - growth) of any classifier, as `GrowthMarginClosedForm` of structures. Raises ProxyFailure."""
    return min(0.0, LIMIT - gradient_growth(net, context))
