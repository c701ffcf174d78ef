"""Write a trained detector as ONNX: images in, one tensor out.

    gsnet export --weights best-params_rank0.pth --output detector.onnx
    gsnet export --weights best-params_rank0.pth --output detector.onnx --decode

Input `images`: (N, 3, H, W) float32, red, green, blue, of pixels from 0 to 255 with the mean taken off and divided by the
deviation; N is free, H and W are those of the training unless --input_image_size says otherwise.

Output `predictions`, without --decode: (N, P, K + 32). First the K scores of the classes, from 0 to 1, then 8 bins, as logits,
of each of left, top, right and bottom. Prior p of the level with stride s, in row y and column x of ceil(W / s) columns, has
its centre at (s x, s y), without half a cell; levels follow one another. A side lies s * sum_j j softmax(bins)_j pixels away.

Output `predictions` with --decode: (N, P, 4 + K). First the box `x1, y1, x2, y2` in pixels of the input, clipped to it, then
the K scores. What is left to do is to keep scores above a threshold and to suppress overlaps, class by class.

The file also says all this in its metadata. It is kept only where onnxruntime computes what torch does.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch import Tensor, nn

from gsnet.detection.checkpoint import LoadedDetector, description
from gsnet.detection.detector import Detector
from gsnet.detection.priors import clipped, decode, priors
from gsnet.models.exporting import export

LAYOUTS = {False: "scores of classes, then logits of 4 x 8 bins", True: "x1, y1, x2, y2, then scores of classes"}


class Exported(nn.Module):
    """A detector for inputs of one size (height, width), whose scores, and on request boxes, are worked out."""

    where: Tensor

    def __init__(self, detector: Detector, size: tuple[int, int], decoded: bool) -> None:
        super().__init__()
        self.detector, self.size, self.decoded = detector, size, decoded
        self.register_buffer("where", priors(*size, detector.settings.strides), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        predictions = self.detector(images)
        classes = len(self.detector.settings.classes)
        scores, bins = predictions[..., :classes].sigmoid(), predictions[..., classes:]
        if not self.decoded:
            return torch.cat((scores, bins), dim=-1)
        return torch.cat((clipped(decode(bins, self.where), *self.size), scores), dim=-1)


def write_onnx(loaded: LoadedDetector, file: Path, decoded: bool = False) -> float:
    """Write a detector for the input size of its preprocessing; returns the largest relative difference of an output.

    Raises ExportError where onnxruntime disagrees with torch, InputError where a library is missing.
    """
    size = (loaded.preprocessing.height, loaded.preprocessing.width)
    classes = len(loaded.settings.classes)
    first = 4 if decoded else classes
    groups = (slice(0, first), slice(first, None))
    values = description(loaded.settings, loaded.preprocessing) | {"layout": LAYOUTS[decoded]}
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in values.items()}
    return export(Exported(loaded.detector, size, decoded), file, "onnx", size, "predictions", groups, texts)
