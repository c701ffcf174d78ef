"""What heads, tools and trainings of others ask of a network: the methods that timm's models have.

timm itself is not needed here. Its documentation names the methods ("Feature extraction" and the tests of its models); what
they do to a structure is said below.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from PlainNet import modules
from PlainNet.basic_blocks import Linear
from PlainNet.block import Block
from PlainNet.errors import StructureError
from PlainNet.gradient_checkpointing import checkpointed
from PlainNet.lazy import lazy
from PlainNet.network import Network
from PlainNet.stages import TapPoint, layer_patterns, stage_ends
from PlainNet.style import Style

POOLINGS = ("avg", "")


class Classifier(nn.Module):
    """The blocks of a structure, global average pooling, and one linear layer.

    num_classes: width of the logits; 0 for no linear layer, so that the network gives what it would read. global_pool: "avg",
    or "" for no pooling, which goes with num_classes 0. drop_rate: dropout in front of the linear layer. drop_path_rate:
    probability that the last residual body is left out for a sample in training; earlier ones grow from 0 linearly (Huang et
    al. 2016, from 0 as in timm, so that one alone always stays). Images are (N, in_chans, H, W). Raises ValueError, and
    StructureError where there is no residual link that drop_path_rate could act on.
    """

    def __init__(
        self,
        network: Network,
        style: Style,
        num_classes: int,
        global_pool: str = "avg",
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
    ) -> None:
        super().__init__()
        for name, rate in (("drop_rate", drop_rate), ("drop_path_rate", drop_path_rate)):
            if not 0 <= rate < 1:
                raise ValueError(f"{name} is {rate}; it must be at least 0 and below 1")
        self.network, self.style = network, style
        self.module_list = nn.ModuleList(self._module_of(block) for block in network.blocks)
        self.drop_rate, self.drop_path_rate = drop_rate, drop_path_rate
        self.grad_checkpointing = False
        self.num_features = self.head_hidden_size = network.out_channels
        self._set_head(num_classes, global_pool)
        if drop_path_rate:
            self.set_drop_path(drop_path_rate)

    @property
    def in_chans(self) -> int:
        """Channels of the image."""
        return self.network.in_channels

    @lazy
    def stages(self) -> list[TapPoint]:
        """The last map of every stride, made by whole blocks; the 1 x 1 tail before the classifier is left out."""
        return stage_ends(self.network, self.style)

    @lazy
    def feature_info(self) -> list[dict]:
        """Of each of `stages` its width (num_chs), its stride (reduction) and the name of the module that gives it."""
        return [
            {"num_chs": end.channels, "reduction": end.stride, "module": f"module_list.{end.block}"}
            for end in self.stages
        ]

    def forward(self, x: Tensor) -> Tensor:
        return self.forward_head(self.forward_features(x))

    def forward_pre_GAP(self, x: Tensor) -> Tensor:
        """The last map, (N, C, h, w), before pooling."""
        for block in self.module_list:
            x = self._through(block, x)
        return x

    def forward_features(self, x: Tensor) -> Tensor:
        """`forward_pre_GAP` by timm's name: (N, num_features, h, w)."""
        return self.forward_pre_GAP(x)

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """Logits (N, num_classes) of the last map; pre_logits: what the linear layer would read, (N, head_hidden_size)."""
        if self.global_pool:
            x = modules.pool(x)
        if self.drop_rate:
            x = functional.dropout(x, self.drop_rate, self.training)
        return x if pre_logits else self.fc_linear(x)

    def forward_intermediates(
        self,
        x: Tensor,
        indices: int | Sequence[int] | None = None,
        norm: bool = False,
        stop_early: bool = False,
        output_fmt: str = "NCHW",
        intermediates_only: bool = False,
    ) -> list[Tensor] | tuple[Tensor, list[Tensor]]:
        """The last map, and the maps of the stages that are asked for, in the order asked for.

        indices: places in `feature_info`, negative ones from the end, a number for the last ones, None for all. stop_early:
        blocks behind the last of these are left out; intermediates_only: so is the last map. norm has no meaning here, and maps
        are (N, C, h, w) only. Raises ValueError.
        """
        del norm
        if output_fmt != "NCHW":
            raise ValueError(f"output_fmt is {output_fmt!r}; maps of this network are NCHW")
        wanted = [self.stages[index].block for index in self._places(indices)]
        maps = {}
        for place, block in enumerate(self.module_list):
            x = self._through(block, x)
            if place in wanted:
                maps[place] = x
            if place == max(wanted) and (stop_early or intermediates_only):
                break
        found = [maps[place] for place in wanted]
        return found if intermediates_only else (x, found)

    def prune_intermediate_layers(
        self, indices: int | Sequence[int] = 1, prune_norm: bool = False, prune_head: bool = True
    ) -> list[int]:
        """Take off the blocks behind the last of these stages, and the classifier; returns the stages' places."""
        del prune_norm
        places = self._places(indices)
        blocks = self.stages[max(places)].block + 1
        # What the maps are called stays as it was with all blocks.
        self.feature_info  # noqa: B018
        self.network = Network.trusted(self.network.blocks[:blocks])
        self.module_list = self.module_list[:blocks]
        if prune_head:
            self.reset_classifier(0, "")
        return places

    def get_classifier(self) -> nn.Module:
        """The linear layer; an identity where there is none."""
        return modules.bare(self.fc_linear)

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """Put a new linear layer in place of the old one, or none where num_classes is 0. Raises ValueError."""
        like = next(self.parameters(), None)
        self._set_head(num_classes, self.global_pool if global_pool is None else global_pool)
        if like is not None:
            self.fc_linear.to(like)

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Compute maps inside blocks again in the backward pass in place of keeping them: less memory, more time."""
        self.grad_checkpointing = enable

    def set_drop_path(self, rate: float) -> None:
        """Have residual bodies left out in training, as drop_path_rate says. Raises StructureError where there are none."""
        from torchvision.ops import StochasticDepth

        residuals = [module for module in self.modules() if isinstance(module, modules.Residual)]
        if not residuals:
            raise StructureError(f"drop_path_rate is {rate}, and this structure has no residual link to drop")
        self.drop_path_rate = rate
        for place, residual in enumerate(residuals):
            residual.stochastic_depth = StochasticDepth(rate * place / max(1, len(residuals) - 1), "row")

    def group_matcher(self, coarse: bool = False) -> dict[str, str]:
        """Regular expressions of the state-dict keys, layer by layer from the image on, or block by block (coarse).

        timm's layer-wise decay of the learning rate counts by them; the classifier is the last group.
        """
        if not coarse:
            return layer_patterns(self.network, self.style)
        return {f"block{place}": rf"^module_list\.{place}\." for place in range(len(self.module_list))}

    def no_weight_decay(self) -> set[str]:
        """Keys of parameters with more than one dimension that weight decay must leave out: none."""
        return set()

    def _module_of(self, block: Block) -> nn.Module:
        return block.module(self.style)

    def _through(self, block: nn.Module, x: Tensor) -> Tensor:
        if self.grad_checkpointing and torch.is_grad_enabled():
            return checkpointed(block, x)
        return block(x)

    def _set_head(self, num_classes: int, global_pool: str) -> None:
        if global_pool not in POOLINGS:
            raise ValueError(f"global_pool is {global_pool!r}; it must be 'avg', or '' for none")
        if num_classes and not global_pool:
            raise ValueError("The classifier reads a pooled map: global_pool '' goes with num_classes=0")
        self.num_classes, self.global_pool = num_classes, global_pool
        linear = self._module_of(Linear(self.num_features, num_classes, 1)) if num_classes else nn.Identity()
        self.fc_linear = linear

    def _places(self, indices: int | Sequence[int] | None) -> list[int]:
        count = len(self.stages)
        if isinstance(indices, int):
            indices = range(-indices, 0)
        places = list(range(count)) if indices is None else [count + i if i < 0 else i for i in indices]
        if not places or min(places) < 0 or max(places) >= count:
            raise ValueError(
                f"There are {count} maps, at strides {', '.join(str(s.stride) for s in self.stages)}: "
                f"indices {indices} cannot be had"
            )
        return places
