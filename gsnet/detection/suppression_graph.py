"""Suppression of overlaps as ONNX operators behind decoded predictions, so that a file gives detections.

Outputs `boxes` (N, M, 4) float32 as x1, y1, x2, y2 in pixels of the input, `scores` (N, M) float32 by falling score and
`classes` (N, M) int64; M is max_detections, or P K where that is less. What is left of an image's M has score 0 and class -1.

Inputs beside `images`, each with a value that is taken where nothing is given: `score_threshold` (1,) and `iou_threshold` (1,)
float32, `max_detections` (1,) int64. What happens is what `gsnet.detection.postprocess.suppressed` does, by ONNX's
NonMaxSuppression, class by class.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from gsnet.detection.postprocess import PostprocessSettings, suppressed
from gsnet.models.exporting import ExportError
from gsnet.runtimes import Settings, runtime

if TYPE_CHECKING:
    import onnx

OUTPUTS = ("boxes", "scores", "classes")
# In ONNX's text form (its documentation, "ONNX textual syntax"). places: class c of prior p is number p K + c.
_OPERATORS = """
<ir_version: 10, opset_import: ["" : {opset}]>
suppression (float[N, P, R] predictions, float[1] score_threshold, float[1] iou_threshold, int64[1] max_detections)
    => (float[N, M, 4] boxes, float[N, M] scores, int64[N, M] classes)
<int64[2] parts = {{4, {classes}}}, int64[2] flat = {{0, -1}}, int64[1] candidates = {{{candidates}}}, int64[1] last = {{-1}},
 int64[1] none = {{-1}}, int64 count = {{{classes}}}, float[1] zero = {{0.0}}, int64[1] second = {{1}}>
{{
    all_boxes, by_prior = Split <axis = -1> (predictions, parts)
    all_scores = Reshape (by_prior, flat)
    shape = Shape (all_scores)
    places = Gather (shape, second)
    most = Min (candidates, places)
    strongest, unused = TopK <axis = -1> (all_scores, most)
    weakest = ReduceMin <keepdims = 1> (strongest, last)
    entering = GreaterOrEqual (all_scores, weakest)
    entered = Where (entering, all_scores, zero)
    prior_shape = Shape (by_prior)
    entered_by_prior = Reshape (entered, prior_shape)
    by_class = Transpose <perm = [0, 2, 1]> (entered_by_prior)
    chosen = NonMaxSuppression (all_boxes, by_class, max_detections, iou_threshold, score_threshold)
    image, label, prior = Split <axis = 1, num_outputs = 3> (chosen)
    first_place = Mul (prior, count)
    place = Add (first_place, label)
    index = Concat <axis = 1> (image, place)
    chosen_scores = GatherND (all_scores, index)
    nothing = ConstantOfShape (shape)
    kept = ScatterND (nothing, index, chosen_scores)
    room = Min (max_detections, places)
    scores, kept_places = TopK <axis = -1> (kept, room)
    kept_priors = Div (kept_places, count)
    kept_labels = Mod (kept_places, count)
    kept_index = Unsqueeze (kept_priors, last)
    boxes = GatherND <batch_dims = 1> (all_boxes, kept_index)
    found = Greater (scores, zero)
    classes = Where (found, kept_labels, none)
}}
"""


def add_suppression(file: Path, classes: int, settings: PostprocessSettings) -> None:
    """Change an ONNX file with decoded predictions (N, P, 4 + classes) to one that suppresses overlaps by these settings."""
    import onnx

    model = onnx.load(file)
    opset = next(entry.version for entry in model.opset_import if entry.domain == "")
    text = _OPERATORS.format(opset=opset, classes=classes, candidates=settings.candidates)
    tail = onnx.compose.add_prefix(onnx.parser.parse_model(text), "nms/", rename_inputs=False, rename_outputs=False)
    graph, last = model.graph, tail.graph
    del graph.output[:]
    graph.node.extend(last.node)
    graph.output.extend(last.output)
    graph.initializer.extend(last.initializer)
    for name, value in values_of(settings).items():
        # An input that has a value is one that need not be given.
        graph.initializer.append(onnx.numpy_helper.from_array(value, name))
        graph.input.append(_input(last, name))
    onnx.checker.check_model(model)
    file.write_bytes(model.SerializeToString())


def check_suppression(file: Path, decoded: Callable[[np.ndarray], np.ndarray], size: tuple[int, int]) -> None:
    """Raise ExportError where a file finds something else in noise than `suppressed` does behind its decoded predictions.

    Of overlaps as large as the threshold to the last digit, each may see some on the other side: one detection in a hundred.
    """
    images = np.random.default_rng(0).standard_normal((2, 3, *size), dtype=np.float32)
    settings = PostprocessSettings(score_threshold=0.001, max_detections=300)
    session = runtime("onnxruntime").load(file, Settings())
    for prediction, scores in zip(decoded(images), session.run_all(images, values_of(settings))[1], strict=True):
        boxes, per_class = torch.from_numpy(prediction).split((4, prediction.shape[1] - 4), dim=1)
        expected = suppressed(boxes, per_class, settings).scores.numpy()
        found = scores[scores > 0]
        differ = len(np.setxor1d(expected.round(6), found.round(6)))
        if differ > 2 + len(expected) // 50:
            raise ExportError(f"onnx suppresses other overlaps, {differ} of {len(expected)} differ: nothing is kept")


def values_of(settings: PostprocessSettings) -> dict[str, np.ndarray]:
    """The settings as the file's inputs take them."""
    return {
        "score_threshold": np.array([settings.score_threshold], np.float32),
        "iou_threshold": np.array([settings.iou_threshold], np.float32),
        "max_detections": np.array([settings.max_detections], np.int64),
    }


def _input(graph: onnx.GraphProto, name: str) -> onnx.ValueInfoProto:
    return next(one for one in graph.input if one.name == name)
