"""What a step computes: a module from images and targets to a loss and logits.

A task names the network that is validated (`network`) and the one whose weights a checkpoint holds (`trained`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

from torch import Tensor, nn

from gsnet.interface.result_files import BEST_CHECKPOINT
from gsnet.models.module_costs import as_logits
from gsnet.training.losses import soft_cross_entropy

# Epoch, step, and the first of the step's images.
Place = tuple[int, int, int]
LabelLoss = Callable[[Tensor, Tensor, Tensor | None], Tensor]


class Classification(nn.Module):
    """A network learns from targets alone."""

    best_names: tuple[str, ...] = (BEST_CHECKPOINT,)
    # Modules of the network that stay in evaluation mode.
    frozen: tuple[nn.Module, ...] = ()
    class_weights: Tensor | None
    # The loss of the labels: of logits and targets (N, classes) and weights (classes,) or None.
    label_loss: LabelLoss = staticmethod(soft_cross_entropy)

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.weigh(None)

    def weigh(self, weights: Tensor | None) -> None:
        """How much each class counts in the loss of the labels, (classes,); None: all alike."""
        self.register_buffer("class_weights", weights, persistent=False)

    @property
    def trained(self) -> nn.Module:
        """What a checkpoint holds the weights of: here the network alone."""
        return self.network

    def train(self, mode: bool = True) -> Self:
        """Training mode of everything but what is frozen."""
        super().train(mode)
        for module in self.frozen:
            module.eval()
        return self

    def guidance(self, images: Tensor, place: Place) -> tuple[Tensor, ...]:
        """What the loss needs beside images and targets, found without gradients; here nothing."""
        return ()

    def forward(self, images: Tensor, targets: Tensor, *guidance: Tensor) -> tuple[Tensor, Tensor]:
        """Images (N, 3, H, W) and targets (N, classes) to the mean loss and logits (N, classes)."""
        logits = as_logits(self.network(images), targets.shape[1])
        return self.label_loss(logits.float(), targets, self.class_weights), logits
