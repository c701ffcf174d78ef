"""What passes between data, network and evaluation: batches of images with their boxes, and detections.

Boxes are `x1, y1, x2, y2`, float32. Inside a batch they are pixels of the network's input; a detection that has
been mapped back is in pixels of the image as it lies in the file, and says so where it is made.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor


def no_boxes() -> Tensor:
    """An empty box tensor of shape (0, 4)."""
    return torch.zeros(0, 4)


def no_labels() -> Tensor:
    """An empty label tensor of shape (0,)."""
    return torch.zeros(0, dtype=torch.int64)


@dataclass
class Targets:
    """What one image of a batch holds: M objects and K regions that neither train nor count.

    `boxes` (M, 4) float32, `labels` (M,) int64 from 0, `ignored` (K, 4) float32, all in pixels of the network's
    input. `image_id` names the image in its data set; `to_input` is the 2 x 3 affine matrix from pixels of the
    image's file to pixels of the input, and `original_size` the file's (height, width), by which detections
    are mapped back.
    """

    boxes: Tensor = field(default_factory=no_boxes)
    labels: Tensor = field(default_factory=no_labels)
    ignored: Tensor = field(default_factory=no_boxes)
    image_id: str = ""
    to_input: Tensor = field(default_factory=lambda: torch.eye(3)[:2])
    original_size: tuple[int, int] = (0, 0)

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> "Targets":
        """The same targets with boxes on another device, and in another floating-point type where one is given."""
        return Targets(
            self.boxes.to(device, dtype),
            self.labels.to(device),
            self.ignored.to(device, dtype),
            self.image_id,
            self.to_input,
            self.original_size,
        )


@dataclass
class Batch:
    """`images` (N, 3, H, W) float32, normalised, H and W multiples of 32; `targets` one entry an image."""

    images: Tensor
    targets: list[Targets]

    def __len__(self) -> int:
        return len(self.targets)

    def __iter__(self) -> Iterator[Any]:
        """Images and targets, so that `images, targets = batch`."""
        return iter((self.images, self.targets))


@dataclass
class Detections:
    """What was found in one image: `boxes` (D, 4), `scores` (D,) from 1 down to 0, `labels` (D,) int64 from 0."""

    boxes: Tensor = field(default_factory=no_boxes)
    scores: Tensor = field(default_factory=lambda: torch.zeros(0))
    labels: Tensor = field(default_factory=no_labels)

    def __len__(self) -> int:
        return len(self.labels)

    def mapped_back(self, targets: Targets) -> "Detections":
        """The detections in pixels of the image's file, clipped to it: the inverse of `targets.to_input`."""
        matrix = targets.to_input.to(self.boxes)
        inverse = torch.linalg.inv(matrix[:, :2])
        corners = self.boxes.reshape(-1, 2, 2) - matrix[:, 2]
        height, width = targets.original_size
        limit = self.boxes.new_tensor([width, height])
        boxes = torch.minimum((corners @ inverse.T).clamp(min=0), limit).reshape(-1, 4)
        return Detections(boxes, self.scores, self.labels)
