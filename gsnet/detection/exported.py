"""An exported detector in the place of a checkpoint: what it is of stands in the file's metadata, its runtime runs it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gsnet.detection.checkpoint import described, trained_tiles
from gsnet.detection.export import ANY_SIZE, BINS, BOXES, DETECTIONS, LAYOUT, SIZES
from gsnet.detection.postprocess import PostprocessSettings, Reader, of_bins, suppressed
from gsnet.detection.preprocessing import Preprocessing
from gsnet.detection.settings import DetectorSettings
from gsnet.detection.suppression_graph import values_of
from gsnet.detection.targets import Detections
from gsnet.detection.tiles import TileSettings
from gsnet.interface.options import InputError
from gsnet.runtimes import Session, Settings, runtime

# Suffix -> the runtime of such files.
RUNTIMES = MappingProxyType({".onnx": "onnxruntime", ".xml": "openvino", ".param": "ncnn"})


@dataclass(frozen=True)
class ExportedDetector:
    """A detector in a runtime's session, and how images are prepared for it and its outputs become detections.

    values: of the file's inputs beside the images, where it suppresses overlaps itself. tiles: how it looks at large images,
    where it was trained on windows of them.
    """

    session: Session
    settings: DetectorSettings
    preprocessing: Preprocessing
    read: Reader
    values: Mapping[str, np.ndarray] = field(default_factory=dict)
    tiles: TileSettings | None = None

    def network(self, images: Tensor) -> Tensor:
        """Images (N, 3, H, W) to the file's predictions, or to boxes, score and class in one tensor (N, M, 6)."""
        if not self.values:
            return torch.from_numpy(self.session.run(images.numpy()))
        boxes, scores, classes = map(torch.from_numpy, self.session.run_all(images.numpy(), self.values))
        return torch.cat((boxes, scores[..., None], classes[..., None].float()), dim=-1)


def is_exported(path: str | Path) -> bool:
    """Whether a path is an exported file by its suffix."""
    return Path(path).suffix in RUNTIMES


def load_exported(
    file: Path, postprocess: PostprocessSettings, input_image_size: int | None = None
) -> ExportedDetector:
    """The detector of a file that `gsnet export` wrote. Raises InputError.

    postprocess: what the file does, too, where it suppresses overlaps. input_image_size: side of the input in pixels, which the
    file must take.
    """
    if not file.is_file():
        raise InputError(f"There is no file {file}: --weights takes a checkpoint or an exported detector")
    session = runtime(RUNTIMES[file.suffix]).load(file, Settings(threads=torch.get_num_threads()))
    values = _plain(session.texts)
    layout = str(values.get(LAYOUT))
    if not {"detector", "preprocessing"} <= values.keys() or layout not in READERS:
        raise InputError(
            f"{file} does not say what its classes, input and outputs are: give one that "
            "gsnet export --weights CHECKPOINT writes"
        )
    settings, preprocessing = described(values, str(file))
    if values.get(SIZES) != ANY_SIZE:
        side, only = input_image_size, (preprocessing.width, preprocessing.height)
        if side is not None and (side, side) != only:
            raise InputError(
                f"{file} takes inputs of {only[0]} x {only[1]} alone: leave --input_image_size out, or write it with --dynamic"
            )
        preprocessing = replace(preprocessing, whole=preprocessing.keep_ratio)
    elif input_image_size is not None:
        preprocessing = replace(preprocessing, width=input_image_size, height=input_image_size)
    values_given = values_of(postprocess) if layout == DETECTIONS else {}
    return ExportedDetector(session, settings, preprocessing, READERS[layout], values_given, trained_tiles(values))


def _plain(texts: Mapping[str, str]) -> dict[str, Any]:
    """The values of a file's metadata; texts that are no JSON are texts."""
    values: dict[str, Any] = {}
    for name, text in texts.items():
        try:
            values[name] = json.loads(text)
        except ValueError:
            values[name] = text
    return values


def _of_bins(
    predictions: Tensor, size: tuple[int, int], detector: DetectorSettings, settings: PostprocessSettings
) -> list[Detections]:
    classes = len(detector.classes)
    return of_bins(predictions[..., :classes], predictions[..., classes:], size, detector, settings)


def _of_boxes(
    predictions: Tensor, size: tuple[int, int], detector: DetectorSettings, settings: PostprocessSettings
) -> list[Detections]:
    return [suppressed(one[:, :4], one[:, 4:], settings) for one in predictions]


def _of_detections(
    predictions: Tensor, size: tuple[int, int], detector: DetectorSettings, settings: PostprocessSettings
) -> list[Detections]:
    found = [one[one[:, 5] >= 0] for one in predictions]
    return [Detections(one[:, :4], one[:, 4], one[:, 5].long()) for one in found]


# What a file says of its output -> what makes detections of it.
READERS: Mapping[str, Reader] = MappingProxyType({BINS: _of_bins, BOXES: _of_boxes, DETECTIONS: _of_detections})
