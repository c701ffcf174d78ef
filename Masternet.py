"""A structure string as a classifier: blocks, global average pooling, one linear layer."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

import PlainNet
from PlainNet import Network, Style, modules
from PlainNet.classifier import Classifier

_GAIN = 3.26033


class _WithoutInitialisation(TorchFunctionMode):
    """Inside this context torch.nn.init functions leave their tensors as they are."""

    def __torch_function__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        kwargs = kwargs or {}
        if getattr(func, "__module__", None) == "torch.nn.init":
            return kwargs.get("tensor", args[0] if args else None)
        return func(*args, **kwargs)


class MasterNet(Classifier):
    """The classifier that a structure describes.

    plainnet_struct: a structure string or a `PlainNet.Network`; num_classes: width of the logits. no_reslink leaves
    residual links out, no_BN batch normalisation, use_se puts squeeze-and-excitation into super-blocks, se_activation
    is its inner activation ("hard_swish" or "relu"). style replaces these four, and says the rest of `PlainNet.Style`
    too. in_chans: channels of the image where they are not the structure's. global_pool, drop_rate, drop_path_rate, and the
    methods that other libraries ask for: `PlainNet.classifier.Classifier`. Images are (N, 3, H, W), logits (N, num_classes).

    State-dict keys are those of the published ZenNet checkpoints. Raises StructureError, ValueError.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        plainnet_struct: str | Network,
        no_reslink: bool = False,
        no_BN: bool = False,
        use_se: bool = False,
        se_activation: str = "hard_swish",
        style: Style | None = None,
        in_chans: int | None = None,
        global_pool: str = "avg",
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
    ) -> None:
        network = plainnet_struct if isinstance(plainnet_struct, Network) else PlainNet.parse(plainnet_struct)
        super().__init__(
            network if in_chans is None else network.with_in_channels(in_chans),
            style or Style(use_se, no_reslink, no_BN, se_activation),
            num_classes,
            global_pool,
            drop_rate,
            drop_path_rate,
        )

    @classmethod
    def uninitialised(cls, **options) -> MasterNet:  # type: ignore[no-untyped-def]
        """The same network with weights left as allocated, for a caller that sets them all; BN is initialised."""
        with _WithoutInitialisation():
            network = cls(**options)
        for layer in network.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.reset_parameters()
        return network

    def extra_repr(self) -> str:
        return f"structure={self.network}"

    def extract_stage_features_and_logit(self, x: Tensor, target_downsample_ratio: int) -> tuple[list[Tensor], Tensor]:
        """Maps at down-sampling ratios t, 2t, 4t, …, each after the first block that reaches it, and the logits."""
        features = []
        height, ratio = x.shape[2], target_downsample_ratio
        for block in self.module_list:
            x = self._through(block, x)
            if round(height / x.shape[2]) == ratio:
                features.append(x)
                ratio *= 2
        return features, self.forward_head(x)

    @torch.no_grad()
    def init_parameters(self) -> None:
        """Training's own initialisation: wide normal weights, and residual bodies that start as zero.

        Convolutions are Xavier normal with gain 3.26033, the classifier is normal with 3.26033 sqrt(2 / (in + out)); the
        last BN of every residual body starts with weight 0, so that a network begins as its shortcuts. Without BN the
        last convolution of the body takes that part.
        """
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.xavier_normal_(layer.weight, _GAIN)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)
            elif isinstance(layer, nn.BatchNorm2d):
                layer.reset_parameters()
            elif isinstance(layer, nn.Linear):
                nn.init.normal_(layer.weight, 0, _GAIN * math.sqrt(2 / (layer.in_features + layer.out_features)))
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)
        for layer in self._closing_layers_of_residuals():
            nn.init.zeros_(layer.weight)

    def _closing_layers_of_residuals(self) -> Iterator[nn.BatchNorm2d | nn.Conv2d]:
        wanted = nn.Conv2d if self.style.no_BN else nn.BatchNorm2d
        for residual in self.modules():
            if isinstance(residual, modules.Residual):
                layers = [modules.bare(layer) for layer in residual.module_list]
                closing = [layer for layer in layers if isinstance(layer, wanted)]
                yield from closing[-1:]
