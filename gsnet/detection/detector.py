"""Backbone, neck and head in one module."""

from __future__ import annotations

from torch import Tensor, nn

from gsnet.detection.auxiliary import Auxiliary
from gsnet.detection.backbone import Backbone
from gsnet.detection.head import Head
from gsnet.detection.neck import GhostPAN
from gsnet.detection.settings import REG_MAX, DetectorSettings


class Detector(nn.Module):
    """GSNet's detector; images (N, 3, H, W), sides multiples of 32, become predictions (N, priors, classes + 32).

    A prediction: the logits of the classes, then 8 bins for each of left, top, right and bottom (`gsnet.detection.priors`).
    Raises StructureError, InputError.
    """

    def __init__(self, settings: DetectorSettings) -> None:
        super().__init__()
        self.settings = settings
        self.backbone = Backbone.of(settings)
        self.neck = GhostPAN(self.backbone.channels, settings.neck_channels, settings.extra_level)
        self.head = Head(settings.neck_channels, settings.head_channels, settings.outputs, len(settings.strides))

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.neck(self.backbone(images)))

    def auxiliary(self) -> Auxiliary:
        """A new assignment guidance module, whose neck starts with the weights of this one's."""
        s = self.settings
        return Auxiliary(self.neck, s.neck_channels, len(s.classes), 4 * (REG_MAX + 1), len(s.strides))
