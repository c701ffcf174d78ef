"""Batches of another size at every step, so that a detector learns objects at more sizes than its images have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor
from torch.nn import functional

from gsnet.data.random_numbers import mixed_seed
from gsnet.detection.preprocessing import MULTIPLE
from gsnet.detection.targets import Targets
from gsnet.interface.options import InputError

# Images have their random numbers from seed, epoch and place alone.
_STREAM = 1


@dataclass(frozen=True)
class MultiScale:
    """Sizes of batches: from 1 - span to 1 + span times what they are read at, in multiples of 32, the same in all processes.

    Raises InputError for an impossible span.
    """

    span: float
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.span < 1:
            raise InputError(f"--multi_scale {self.span} lies from 0 to below 1")

    def size(self, height: int, width: int, epoch: int, step: int) -> tuple[int, int]:
        """Height and width of a step's batch."""
        scale = np.random.default_rng(mixed_seed(self.seed, epoch, step, _STREAM)).uniform(1 - self.span, 1 + self.span)
        height, width = (max(MULTIPLE, round(side * scale / MULTIPLE) * MULTIPLE) for side in (height, width))
        return height, width

    def apply(self, images: Tensor, targets: Sequence[Targets], epoch: int, step: int) -> tuple[Tensor, list[Targets]]:
        """Images (N, 3, H, W) and their boxes at the size of a step."""
        old_height, old_width = images.shape[-2:]
        height, width = size = self.size(old_height, old_width, epoch, step)
        if size == (old_height, old_width):
            return images, list(targets)
        factors = targets[0].boxes.new_tensor([width / old_width, height / old_height] * 2)
        scaled = [replace(t, boxes=t.boxes * factors, ignored=t.ignored * factors) for t in targets]
        return functional.interpolate(images, size=size, mode="bilinear", antialias=True), scaled
