"""Figures of the maps that single layers make of one image."""

from __future__ import annotations

from collections.abc import Callable, Collection

from torch import Tensor, nn

from ZeroShotProxy.registry import ProxyFailure

RECTIFIERS = (*(nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Mish, nn.Hardswish),)


def measured_maps(
    network: nn.Module, images: Tensor, measure: Callable[[Tensor], float], kinds: Collection[type] = (nn.Module,)
) -> list[float]:
    """`measure` of the first image's map behind every layer of these kinds: (channels, positions), in order of the forward
    pass.

    A layer is a module without children, so that the grouping of layers in containers does not count. Maps are measured as they
    are made: layers that overwrite their input change nothing. Raises ProxyFailure where no such layer makes a (batch,
    channels, height, width) map.
    """
    figures: list[float] = []

    def remember(layer: nn.Module, inputs: tuple, output: object) -> None:
        if isinstance(output, Tensor) and output.dim() == 4:
            figures.append(measure(output[0].detach().flatten(1)))

    layers = [m for m in network.modules() if not any(m.children()) and isinstance(m, tuple(kinds))]
    handles = [layer.register_forward_hook(remember) for layer in layers]
    try:
        network(images)
    finally:
        for handle in handles:
            handle.remove()
    if not figures:
        raise ProxyFailure("no layer of the kind that this score looks at makes a feature map")
    return figures
