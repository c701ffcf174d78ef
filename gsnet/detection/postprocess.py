"""From predictions to detections: scores, boxes, non-maximum suppression."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision.ops import batched_nms

from gsnet.detection.priors import clipped, decode, priors
from gsnet.detection.settings import DetectorSettings
from gsnet.detection.targets import Detections
from gsnet.interface.options import InputError
from gsnet.interface.values import plain, wrong_count, wrong_number


@dataclass(frozen=True)
class PostprocessSettings:
    """score_threshold: scores must be above it. iou_threshold: of two boxes of a class that share more, the weaker goes.

    max_detections of an image; candidates: how many of the highest scores enter suppression.
    """

    score_threshold: float = 0.05
    iou_threshold: float = 0.6
    max_detections: int = 100
    candidates: int = 5000

    def __post_init__(self) -> None:
        for name, value in (("score_threshold", self.score_threshold), ("nms_threshold", self.iou_threshold)):
            if wrong := wrong_number(value):
                raise InputError(f"--{name} {wrong}")
        for name, number in (("max_detections", self.max_detections), ("candidates", self.candidates)):
            if wrong := wrong_count(plain(number)):
                raise InputError(f"--{name} {wrong}")
        if not 0 <= self.score_threshold < 1 or not 0 <= self.iou_threshold <= 1:
            raise InputError("--score_threshold and --nms_threshold lie between 0 and 1")


# What makes detections of predictions for images of a size (height, width).
Reader = Callable[[Tensor, tuple[int, int], DetectorSettings, PostprocessSettings], list[Detections]]
# The official protocol of VisDrone looks at 500 detections of an image, whatever their scores.
VISDRONE = PostprocessSettings(score_threshold=0.005, max_detections=500)


@torch.no_grad()
def detections(
    predictions: Tensor, size: tuple[int, int], detector: DetectorSettings, settings: PostprocessSettings
) -> list[Detections]:
    """Detections of every image in pixels of the network's input, of `size` (height, width); predictions (N, P, outputs)."""
    predictions = predictions.float()
    classes = len(detector.classes)
    return of_bins(predictions[..., :classes].sigmoid(), predictions[..., classes:], size, detector, settings)


def of_bins(
    scores: Tensor, bins: Tensor, size: tuple[int, int], detector: DetectorSettings, settings: PostprocessSettings
) -> list[Detections]:
    """The same from scores (N, P, classes) and bins (N, P, 32) as logits."""
    boxes = clipped(decode(bins, priors(*size, detector.strides, bins.device)), *size)
    return [suppressed(b, s, settings) for b, s in zip(boxes, scores, strict=True)]


def suppressed(boxes: Tensor, scores: Tensor, settings: PostprocessSettings) -> Detections:
    """The detections of one image: boxes (P, 4), scores (P, classes). A box may be found once for each class.

    Sorted by falling score; on the device of the input.
    """
    prior, label = (scores > settings.score_threshold).nonzero(as_tuple=True)
    found = scores[prior, label]
    if len(found) > settings.candidates:
        found, order = found.topk(settings.candidates)
        prior, label = prior[order], label[order]
    kept = batched_nms(boxes[prior], found, label, settings.iou_threshold)[: settings.max_detections]
    return Detections(boxes[prior[kept]], found[kept], label[kept])
