"""Weights averaged over the steps of a training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

_WARM_UP_POWER = 2 / 3
Tensors = tuple[Tensor, ...] | list[Tensor]


class AveragedWeights(AveragedModel):
    """An exponential moving average of a network's parameters and buffers, whose decay rises to `decay`.

    After n updates the decay is 1 - (1 + n)^(-2/3), at most `decay`, as in timm's ModelEmaV3 with warm-up: a short training is
    not judged by the random weights that it began with. The first update copies the network.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        super().__init__(network, multi_avg_fn=self._mix, use_buffers=True)
        self.decay = decay
        # Beside the state's own count, which lies on the device and would have to be waited for.
        self._updates = 0

    @property
    def present_decay(self) -> float:
        """The decay of the next update."""
        return min(self.decay, 1 - (1 + self._updates) ** -_WARM_UP_POWER)

    def update_parameters(self, model: nn.Module) -> None:
        super().update_parameters(model)
        self._updates += 1

    def load_state_dict(self, state_dict: Mapping[str, Any], *args: Any, **options: Any) -> Any:  # type: ignore[override]
        result = super().load_state_dict(state_dict, *args, **options)
        self._updates = int(self.n_averaged)
        return result

    @torch.no_grad()
    def _mix(self, averaged: Tensors, current: Tensors, _: Tensor | int) -> None:
        decay = self.present_decay
        if torch.is_floating_point(averaged[0]):
            torch._foreach_lerp_(averaged, current, 1 - decay)
            return
        for average, value in zip(averaged, current, strict=True):
            average.copy_(average * decay + value * (1 - decay))
