"""What one step of a detector's training computes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from gsnet.detection.assignment import Assignment, AssignmentSettings, assign
from gsnet.detection.detector import Detector
from gsnet.detection.losses import head_loss
from gsnet.detection.priors import decode, priors
from gsnet.detection.targets import Targets
from gsnet.interface.result_files import BEST_CHECKPOINT
from gsnet.training.tasks import Place


class DetectionTask(nn.Module):
    """A detector and, in training, its assignment guidance module; a task as in `gsnet.training.tasks`.

    `detached`: whether the guidance module still teaches backbone and neck; the trainer sets it by the epoch.
    """

    best_names = (BEST_CHECKPOINT,)

    def __init__(self, network: Detector, assignment: AssignmentSettings | None = None) -> None:
        super().__init__()
        self.network = network
        self.auxiliary = network.auxiliary() if network.settings.auxiliary else None
        self.assignment = assignment or AssignmentSettings()
        self.detached = False

    @property
    def trained(self) -> nn.Module:
        """What a checkpoint holds from which the training goes on: both modules."""
        return self

    def guidance(self, images: Tensor, place: Place) -> tuple[Tensor, ...]:
        """Nothing beside images and targets, see `gsnet.training.tasks`."""
        return ()

    def forward(self, images: Tensor, targets: Sequence[Targets]) -> tuple[Tensor, Tensor]:
        """Images (N, 3, H, W) and their targets, on the same device, to the loss and the number of positive priors.

        Both heads learn what the guidance module's prediction was assigned, or the detector's own without it. Everything
        behind the convolutions is computed in float32 (or in float64, where the images are).
        """
        network, classes = self.network, len(self.network.settings.classes)
        maps = network.backbone(images)
        features = network.neck(maps)
        predictions = [network.head(features)]
        if self.auxiliary is not None:
            predictions.append(self.auxiliary(maps, features, self.detached))
        with torch.autocast(images.device.type, enabled=False):
            predictions = [p if p.dtype == torch.float64 else p.float() for p in predictions]
            height, width = images.shape[-2:]
            where = priors(height, width, network.settings.strides, images.device, predictions[0].dtype)
            assignments = self._assigned(predictions[-1].detach(), where, targets)
            losses = [head_loss(p, where, assignments, targets, classes).total() for p in predictions]
        return torch.stack(losses).sum(), torch.stack([a.positive.sum() for a in assignments]).sum()

    def _assigned(self, predictions: Tensor, where: Tensor, targets: Sequence[Targets]) -> list[Assignment]:
        classes = len(self.network.settings.classes)
        logits, boxes = predictions[..., :classes], decode(predictions[..., classes:], where)
        return [assign(where, b, z, t, self.assignment) for b, z, t in zip(boxes, logits, targets, strict=True)]
