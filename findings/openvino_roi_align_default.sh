#!/usr/bin/env bash
# OpenVINO 2026.4.1 beside onnxruntime 1.32.0 and onnx 1.23.2's reference: RoiAlign whose file does not name the number of samples.
#
# Expected: without `sampling_ratio` each cell of a box is the average of as many samples as it has pixels, rounded up, as with
#   sampling_ratio = 0, which is the attribute's default (https://onnx.ai/onnx/operators/onnx__RoiAlign.html).
# Seen: OpenVINO takes one sample a cell, the same as with sampling_ratio = 1: of a box of 14 x 14 pixels in 2 x 2 cells 4 points
#   decide instead of 196. Written out, the 0 is followed. torch.onnx writes it; tools that leave defaults out, and graphs that are
#   put together node by node, do not, and a two-stage detector's scores of large objects become those of single pixels.
# Last line: as described: OpenVINO averages 49 samples a cell where sampling_ratio = 0 is written, and takes one where it is left out
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check onnx==1.23.2 onnxruntime==1.32.0 openvino==2026.4.1 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PYTHON'
import numpy
import onnx
import onnx.parser
import onnxruntime
import openvino
from onnx.reference import ReferenceEvaluator

MAP = numpy.random.default_rng(0).standard_normal((1, 1, 16, 16), numpy.float32)


def network(attribute):
    model = onnx.parser.parse_model(f"""
<ir_version: 8, opset_import: ["": 16]>
cells (float[1, 1, 16, 16] x) => (float[1, 1, 2, 2] y) <float[1, 4] boxes = {{0, 0, 14, 14}}, int64[1] images = {{0}}>
{{ y = RoiAlign <output_height = 2, output_width = 2{attribute}> (x, boxes, images) }}""")
    onnx.checker.check_model(model, full_check=True)
    return model


def by_onnxruntime(model):
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"]).run(None, {"x": MAP})[0]


def by_reference(model):
    return ReferenceEvaluator(model).run(None, {"x": MAP})[0]


def by_openvino(model):
    core = openvino.Core()
    compiled = core.compile_model(core.read_model(model.SerializeToString(), b""), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return compiled(MAP)[0]


def seen(attribute):
    outputs = [one(network(attribute)).ravel() for one in (by_onnxruntime, by_reference, by_openvino)]
    texts = ["  ".join(f"{value:6.3f}" for value in output) for output in outputs]
    print(f"{attribute.lstrip(', ') or 'left out'}:\n  onnxruntime {texts[0]}\n  reference   {texts[1]}\n  OpenVINO    {texts[2]}")
    return outputs


missing, zero, one = (seen(attribute) for attribute in ("", ", sampling_ratio = 0", ", sampling_ratio = 1"))


def same(first, second):
    return numpy.allclose(first, second, atol=1e-4)


others_follow = all(same(missing[tool], zero[tool]) and not same(zero[tool], one[tool]) for tool in (0, 1))
if not (others_follow and same(zero[2], zero[0]) and same(one[2], one[0]) and same(missing[2], one[2])):
    raise SystemExit("changed")
print("as described: OpenVINO averages 49 samples a cell where sampling_ratio = 0 is written, and takes one where it is left out")
PYTHON
