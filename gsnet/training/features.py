"""A network's maps at given down-sampling ratios, together with its logits, whatever library the network comes from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn
from torchvision.models import feature_extraction

from gsnet.interface.options import InputError


class StageFeatures(nn.Module):
    """Images (N, 3, H, W) to maps at the ratios t, 2t, 4t, … and logits (N, classes); here without any maps."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> tuple[list[Tensor], Tensor]:
        return [], self.network(images)


class OwnStages(StageFeatures):
    """For networks with `extract_stage_features_and_logit`, such as MasterNet."""

    def __init__(self, network: nn.Module, ratio: int) -> None:
        super().__init__(network)
        self.ratio = ratio

    def forward(self, images: Tensor) -> tuple[list[Tensor], Tensor]:
        return self.network.extract_stage_features_and_logit(images, self.ratio)  # type: ignore[operator]


class TimmStages(StageFeatures):
    """For networks of timm: the last of the maps that timm lists for each ratio."""

    def __init__(self, network: nn.Module, ratio: int) -> None:
        super().__init__(network)
        last = {info["reduction"]: i for i, info in enumerate(network.feature_info)}  # type: ignore[arg-type]
        self.indices = [last[found] for found in _consecutive(last, ratio)]

    def forward(self, images: Tensor) -> tuple[list[Tensor], Tensor]:
        last, maps = self.network.forward_intermediates(images, indices=self.indices)  # type: ignore[operator]
        return maps, self.network.forward_head(last)  # type: ignore[operator]


class TracedStages(StageFeatures):
    """For any other network that can be traced: the output of the last block at each ratio.

    Blocks are the network's children; what is in a plain Sequential stands for itself. side: of the images, in pixels.
    Raises InputError.
    """

    def __init__(self, network: nn.Module, ratio: int, side: int) -> None:
        super().__init__(network)
        blocks = _last_blocks(network, side)
        nodes = [blocks[found] for found in _consecutive(blocks, ratio)]
        try:
            training, evaluation = feature_extraction.get_graph_node_names(network, suppress_diff_warning=True)
            self.traced = feature_extraction.create_feature_extractor(
                network,
                train_return_nodes=_returned(nodes, training[-1]),
                eval_return_nodes=_returned(nodes, evaluation[-1]),
                suppress_diff_warning=True,
            )
        except (ValueError, TypeError, RuntimeError) as error:
            raise InputError(
                f"{type(network).__name__} cannot be traced for its maps: give it a method "
                "extract_stage_features_and_logit(x, ratio), or leave --teacher_feature_weight out"
            ) from error

    def forward(self, images: Tensor) -> tuple[list[Tensor], Tensor]:
        *maps, logits = self.traced(images).values()
        return maps, logits


def stage_features(network: nn.Module, ratio: int, side: int) -> StageFeatures:
    """The network with its maps at ratio, 2 ratio, 4 ratio, … for images of that side. Raises InputError."""
    if hasattr(network, "extract_stage_features_and_logit"):
        return OwnStages(network, ratio)
    if hasattr(network, "forward_intermediates") and hasattr(network, "feature_info"):
        return TimmStages(network, ratio)
    return TracedStages(network, ratio, side)


@torch.no_grad()
def map_shapes(features: StageFeatures, side: int) -> list[torch.Size]:
    """Shapes (1, C, h, w) of the maps of an image of that side; the network's statistics stay as they are."""
    training = features.training
    maps, _ = features.eval()(torch.zeros(1, 3, side, side))
    features.train(training)
    return [found.shape for found in maps]


def _returned(nodes: list[str], logits: str) -> dict[str, str]:
    return {node: node for node in nodes} | {logits: "logits"}


def _consecutive(known: Mapping[int, object], ratio: int) -> Iterator[int]:
    """ratio, 2 ratio, 4 ratio, … as long as they are known."""
    while ratio in known:
        yield ratio
        ratio *= 2


def _last_blocks(network: nn.Module, side: int) -> dict[int, str]:
    """Ratio to the name of the last block whose map has it, up to global pooling, as one image shows."""
    calls: list[tuple[str, object]] = []
    hooks = []
    for name, block in _blocks(network):

        def note(block: nn.Module, inputs: object, output: object, name: str = name) -> None:
            calls.append((name, None if isinstance(block, nn.AdaptiveAvgPool2d) else output))

        hooks.append(block.register_forward_hook(note))
    training = network.training
    try:
        with torch.no_grad():
            network.eval()(torch.zeros(1, 3, side, side))
    finally:
        network.train(training)
        for hook in hooks:
            hook.remove()
    names = [name for name, _ in calls]
    last: dict[int, str] = {}
    for name, output in calls:
        if output is None:
            break
        square = isinstance(output, Tensor) and output.ndim == 4 and output.shape[2] == output.shape[3]
        if square and names.count(name) == 1:
            last[round(side / output.shape[2])] = name  # type: ignore[attr-defined]
    return last


def _blocks(network: nn.Module, prefix: str = "") -> Iterator[tuple[str, nn.Module]]:
    for name, child in network.named_children():
        # Not its subclasses: torchvision's tracing takes some of them whole.
        if type(child) is nn.Sequential:
            yield from _blocks(child, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", child
