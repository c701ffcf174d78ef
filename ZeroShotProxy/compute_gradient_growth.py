"""Growth of the gradient on its way back: a limit for a search, not an aim (docs/gradient_growth.md).

For what ranks networks, where one that grows too much is to be behind and not out, there is the margin to the limit.
"""

from __future__ import annotations

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

_closed_forms = PerThread(GradientGrowth)


@proxy("GradientGrowthClosedForm", needs=Needs.VALUE, larger_is_better=False)
def gradient_growth_closed_form(network: Network, context: ScoringContext) -> float:
    """log |gradient at the first block's map| - log |gradient at the last block's map|, expected over weights and images.

    Not an aim: networks train badly where it is large, and small ones are not better for it. Raises ProxyFailure.
    """
    if context.style.no_BN:
        raise ProxyFailure("gradient growth is that of networks with batch normalisation")
    return _closed_forms.get(context.settings.resolution, context.style).growth(network)


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

    Maps are those between the blocks of a `MasterNet`; of another module, all outputs (batch, channels, height, width) of its
    innermost layers, so that the first map is that behind the first convolution. Raises ProxyFailure where there are none.
    """
    import torch

    from ZeroShotProxy.network_state import normalise_by_batch

    maps: list[Tensor] = []

    def keep(layer: nn.Module, arguments: object, output: object) -> None:
        if isinstance(output, torch.Tensor) and output.ndim == 4 and output.requires_grad:
            maps.append(output)

    blocks = getattr(net, "module_list", None)
    layers = list(blocks) if blocks is not None else [m for m in net.modules() if not list(m.children())]
    handles = [layer.register_forward_hook(keep) for layer in layers]
    try:
        normalise_by_batch(net)
        outputs = net(context.random_images())
    finally:
        for handle in handles:
            handle.remove()
    maps = [found for found in maps if blocks is not None or found.shape[2] > 1]
    if not maps:
        raise ProxyFailure("no layer gives a map with a height and a width")
    weights = torch.randn(outputs.shape, generator=context.generator, device=outputs.device)
    first, last = torch.autograd.grad((outputs * weights).sum(), (maps[0], maps[-1]))
    return float(first.norm().log() - last.norm().log())


@proxy("GrowthMargin", needs=Needs.GRADIENT, weights=Weights.KAIMING)
def growth_margin(net: nn.Module, context: ScoringContext) -> float:
    """min(0, 3 - growth) of any classifier, as `GrowthMarginClosedForm` of structures. Raises ProxyFailure."""
    return min(0.0, LIMIT - gradient_growth(net, context))
