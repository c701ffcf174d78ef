"""A structure string as a backbone: feature maps at the strides that the neck reads."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import torch
from torch import Tensor, nn

import PlainNet
from gsnet.detection.settings import DetectorSettings
from gsnet.detection.taps import tap_points
from PlainNet import Block, Network, Style, SuperBlock, modules
from PlainNet.stages import without_tail
from ZenNet.state import State, load_into

_CLASSIFIER = "fc_linear."


class Backbone(nn.Module):
    """The blocks of a structure, without the 1 x 1 tail and the classifier; see `DetectorSettings` for the arguments.

    Images (N, 3, H, W), H and W multiples of 32, become one map (N, C, H / s, W / s) for every stride s of `tap_strides`.
    `channels` are their widths. State-dict keys are those of `MasterNet`, so that a classifier's weights fit.

    Raises StructureError, and InputError where the structure has no map of a stride.
    """

    def __init__(
        self,
        structure: str | Network,
        style: Style = PlainNet.DEPLOYED,
        tap: str = "reference",
        tap_strides: tuple[int, ...] = (8, 16, 32),
    ) -> None:
        super().__init__()
        whole = structure if isinstance(structure, Network) else PlainNet.parse(structure)
        self.network, self.style = without_tail(whole), style
        points = tap_points(self.network, style, tap_strides, tap)
        self.channels = tuple(point.channels for point in points)
        self._tapped = {(point.block, point.layer) for point in points}
        # Nothing reads what lies behind the last tap.
        self.network = Network.trusted(self.network.blocks[: max(point.block for point in points) + 1])
        self.module_list = nn.ModuleList(block.module(style) for block in self.network.blocks)
        self.init_parameters()

    @classmethod
    def of(cls, settings: DetectorSettings) -> Backbone:
        """The backbone of a detector."""
        return cls(settings.structure, settings.style, settings.tap, settings.tap_strides)

    def extra_repr(self) -> str:
        return f"structure={self.network}"

    def forward(self, x: Tensor) -> list[Tensor]:
        maps = []
        for index, (block, module) in enumerate(zip(self.network.blocks, self.module_list, strict=True)):
            for place, layer in enumerate(_layers(module, block)):
                x = layer(x)
                if (index, place) in self._tapped:
                    maps.append(x)
        return maps

    @torch.no_grad()
    def init_parameters(self) -> None:
        """The published detector's first weights.

        Convolutions are normal with standard deviation 1 / (input channels per group), which batch normalisation rescales;
        normalisation starts with weight 1 and bias 1e-4.
        """
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                layer.weight.normal_(0, 1 / layer.weight.shape[1])
                if layer.bias is not None:
                    layer.bias.zero_()
            elif isinstance(layer, nn.BatchNorm2d):
                layer.reset_parameters()
                layer.bias.fill_(1e-4)

    def load_classifier(self, state: State, source: str) -> None:
        """Take the weights of a classifier of the same structure; its tail and its last layer are left out.

        Keys are `MasterNet`'s, or those of the published detector's backbone. Raises WeightsError, whose sentence begins
        with `source`.
        """
        if any(key.startswith("branch_main.") for key in state):
            ours = {theirs: own for own, theirs in self.published_keys().items()}
            state = {ours.get(key, key): value for key, value in state.items()}
        kept = {key: value for key, value in state.items() if not self._is_beyond(key)}
        load_into(self, kept, source)

    def published_state(self) -> State:
        """The weights under the keys of the published detector's backbone."""
        names = self.published_keys()
        return {names[key]: value for key, value in self.state_dict().items()}

    def published_keys(self) -> dict[str, str]:
        """Our state-dict keys and those of the published backbone, which numbers all layers in one row.

        Stem layers take a number each, and so do whole GhostShuffle units, whose two branches are `branch_main` and `proj`.
        """
        names: dict[str, str] = {}
        number = 0
        for index, module in enumerate(self.module_list):
            chain = isinstance(self.network.blocks[index], SuperBlock)
            for place, layer in enumerate(_layers(module, self.network.blocks[index])):
                prefix = f"module_list.{index}.{f'module_list.{place}.' if chain else ''}"
                names |= _published_layer(layer, prefix, f"branch_main.{number}.")
                number += 1
        return names

    def _is_beyond(self, key: str) -> bool:
        place = key.removeprefix("module_list.").split(".")[0]
        beyond = key.startswith("module_list.") and place.isdecimal() and int(place) >= len(self.module_list)
        return beyond or key.startswith(_CLASSIFIER)


def _published_layer(layer: nn.Module, ours: str, theirs: str) -> dict[str, str]:
    """Keys of one layer, a unit's branches layer by layer."""
    if not isinstance(layer, modules.GhostShuffle):
        # Only torch layers that stand alone lose their `netblock`; squeeze-and-excitation keeps its own.
        inner = "netblock." if isinstance(layer, modules.Layer) else ""
        return {ours + key: theirs + key.removeprefix(inner) for key in layer.state_dict()}
    names = {f"{ours}proj.{key}": f"{theirs}proj.{key}" for key in layer.proj.state_dict()}
    for place, part in enumerate(layer.module_list):
        names |= _published_layer(part, f"{ours}module_list.{place}.", f"{theirs}branch_main.{place}.")
    return names


def _layers(module: nn.Module, block: Block) -> Iterable[nn.Module]:
    """The layers of a super-block's module, or the module of any other block itself."""
    return cast(nn.ModuleList, module.module_list) if isinstance(block, SuperBlock) else [module]
