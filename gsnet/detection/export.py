"""Write a trained detector for other programs: images in, one tensor out, or with suppression boxes, scores and classes.

    gsnet export --weights best-params_rank0.pth --output detector.onnx
    gsnet export --weights best-params_rank0.pth --output detector.onnx --decode --dynamic
    gsnet export --weights best-params_rank0.pth --output detector.onnx --nms
    gsnet export --weights best-params_rank0.pth --output detector.param --format ncnn

Input `images`: (N, 3, H, W) float32, red, green, blue, of pixels from 0 to 255 with the mean taken off and divided by the
deviation; N is free (ncnn takes one image, and so does OpenVINO's model until it is reshaped). H and W are those of the
training unless --input_image_size says otherwise, and with --dynamic any multiples of 32.

Output `predictions`, without --decode: (N, P, K + 32). First the K scores of the classes, from 0 to 1, then 8 bins, as logits,
of each of left, top, right and bottom. Prior p of the level with stride s, in row y and column x of ceil(W / s) columns, has
its centre at (s x, s y), without half a cell; levels follow one another. A side lies s * sum_j j softmax(bins)_j pixels away.

Output `predictions` with --decode: (N, P, 4 + K). First the box `x1, y1, x2, y2` in pixels of the input, clipped to it, then
the K scores. What is left to do is to keep scores above a threshold and to suppress overlaps, class by class.

Outputs with --nms: see `gsnet.detection.suppression_graph`.

The file also says all this in its metadata. It is kept only where its runtime computes what torch does.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from gsnet.detection.checkpoint import LoadedDetector, description
from gsnet.detection.postprocess import PostprocessSettings
from gsnet.detection.preprocessing import MULTIPLE
from gsnet.detection.priors import decode, priors
from gsnet.detection.settings import DetectorSettings
from gsnet.detection.suppression_graph import add_suppression, check_suppression
from gsnet.interface.options import InputError
from gsnet.models.exporting import (
    FORMATS,
    check_agrees,
    converted,
    export,
    files_of,
    in_the_best_form,
    keep,
    told_in_a_sentence,
    written_beside,
)
from gsnet.runtimes import Settings, runtime
from gsnet.runtimes.comparison import compare
from gsnet.runtimes.onnx_file import write_onnx

BINS, BOXES = "scores of classes, then logits of 4 x 8 bins", "x1, y1, x2, y2, then scores of classes"
DETECTIONS = "boxes x1, y1, x2, y2, scores and classes of what is left after suppression of overlaps"
# Formats that hold an ONNX graph, whose sides can be free.
GRAPHS = ("onnx", "openvino")
KINDS = (*GRAPHS, "ncnn")
# Names of the metadata that say what the output is, and which sizes the file takes.
LAYOUT, SIZES = "layout", "sizes"
ONE_SIZE, ANY_SIZE = "one", f"multiples of {MULTIPLE}"


@dataclass(frozen=True)
class Form:
    """How a detector is written. Raises InputError for what does not go together.

    kind: one of `KINDS`. decoded: boxes instead of bins. dynamic: height and width are free, multiples of 32. suppression:
    detections instead of either, and the thresholds that count where a program gives no others. fuse: rewrite the graph so
    that it runs faster (`gsnet.runtimes.fusing`).
    """

    kind: str = "onnx"
    decoded: bool = False
    dynamic: bool = False
    suppression: PostprocessSettings | None = None
    fuse: bool = True

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InputError(
                f"--format {self.kind} is of the networks of --arch; detectors are written as {' or '.join(KINDS)}"
            )
        if self.dynamic and self.kind not in GRAPHS:
            raise InputError(f"--dynamic is of {' and '.join(GRAPHS)}: {self.kind} files are of one size")
        if self.suppression is not None and self.kind != "onnx":
            raise InputError(f"--nms is of onnx: {self.kind} files have one output")

    @property
    def layout(self) -> str:
        """What the output is, as the file's metadata say it."""
        if self.suppression is not None:
            return DETECTIONS
        return BOXES if self.decoded else BINS

    @property
    def with_boxes(self) -> bool:
        """Whether bins are decoded in the file."""
        return self.decoded or self.suppression is not None

    def groups(self, classes: int) -> tuple[slice, slice]:
        """What the last axis of the predictions holds: boxes and scores, or scores and bins."""
        first = 4 if self.with_boxes else classes
        return slice(0, first), slice(first, None)


class Exported(nn.Module):
    """A detector whose scores, and on request boxes, are worked out.

    detector: one of these settings, or what computes the same. size: height and width of the only inputs that it takes; None
    for any, which is slower.
    """

    where: Tensor
    limit: Tensor

    def __init__(
        self, detector: nn.Module, settings: DetectorSettings, size: tuple[int, int] | None, decoded: bool
    ) -> None:
        super().__init__()
        self.detector, self.settings, self.size, self.decoded = detector, settings, size, decoded
        if size is not None:
            where, limit = self._places(*size)
            self.register_buffer("where", where, persistent=False)
            self.register_buffer("limit", limit, persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        predictions = self.detector(images)
        classes = len(self.settings.classes)
        scores, bins = predictions[..., :classes].sigmoid(), predictions[..., classes:]
        if not self.decoded:
            return torch.cat((scores, bins), dim=-1)
        where, limit = (self.where, self.limit) if self.size else self._places(*images.shape[-2:])
        return torch.cat((torch.minimum(decode(bins, where).clamp(min=0), limit), scores), dim=-1)

    def _places(self, height: int, width: int) -> tuple[Tensor, Tensor]:
        limit = torch.stack([torch.scalar_tensor(side) for side in (width, height, width, height)])
        return priors(height, width, self.settings.strides), limit


def write(loaded: LoadedDetector, file: Path, form: Form = Form()) -> float:
    """Write a detector for the input size of its preprocessing; returns the largest relative difference of an output.

    What is there stays as it was where the runtime disagrees with torch. Raises ExportError, InputError where a library is
    missing.
    """
    size = (loaded.preprocessing.height, loaded.preprocessing.width)
    classes = len(loaded.settings.classes)
    groups, texts = form.groups(classes), texts_of(loaded, form)
    network = exported(loaded, form)
    if form.kind not in GRAPHS:
        return export(network, file, form.kind, size, "predictions", groups, texts)
    program, files = runtime(FORMATS[form.kind]), files_of(file, form.kind)
    program.require(writing=True)
    sizes = (size, (size[1] + MULTIPLE, size[0])) if form.dynamic else (size,)
    with written_beside(file) as folder:
        graph = folder / "network.onnx"

        def written(detector: nn.Module) -> tuple[list[Path], float]:
            with told_in_a_sentence(form.kind):
                whole, multiple = exported(loaded, form, detector), MULTIPLE if form.dynamic else None
                write_onnx(whole, graph, size, "predictions", multiple)
                parts = converted(graph, form.kind, texts)
                run = program.load(parts[0], Settings()).run
                differences = [compare(network, run, one, groups) for one in sizes]
                for difference in differences:
                    check_agrees(difference, form.kind)
                if form.suppression is not None:
                    add_suppression(graph, classes, form.suppression)
                    check_suppression(graph, run, size)
            return parts, max(differences)

        parts, difference = in_the_best_form(loaded.detector.eval(), form.kind, size, written, fuse=form.fuse)
        keep(parts, files)
    return difference


def exported(loaded: LoadedDetector, form: Form, detector: nn.Module | None = None) -> Exported:
    """The detector as a file has it, without suppression. detector: what computes the same in its place."""
    size = (loaded.preprocessing.height, loaded.preprocessing.width)
    sides = None if form.dynamic else size
    return Exported(detector or loaded.detector, loaded.settings, sides, form.with_boxes).eval()


def texts_of(loaded: LoadedDetector, form: Form) -> dict[str, str]:
    """What the file holds beside the network, so that it is used as a checkpoint is."""
    sizes = ANY_SIZE if form.dynamic else ONE_SIZE
    prepared = replace(loaded.preprocessing, whole=loaded.preprocessing.keep_ratio and not form.dynamic)
    values = description(loaded.settings, prepared, loaded.tiles) | {LAYOUT: form.layout, SIZES: sizes}
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in values.items()}
