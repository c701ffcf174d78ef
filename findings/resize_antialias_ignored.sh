#!/usr/bin/env bash
# OpenVINO 2026.4.1 and OpenCV 5.0.0.93 beside onnxruntime 1.32.0: ONNX's Resize with antialias=1, which torch.onnx writes for
# interpolate(..., antialias=True), torchvision's usual way to make a picture smaller inside a network.
#
# Expected: the average that antialiasing is, as onnxruntime gives it; or a refusal, as for other attributes that are not known.
# Seen: both load the file and leave the attribute out: a picture of 64 pixels made 16 wide is read at every fourth place, with the
#   same numbers as without the attribute, and nothing is said. Thin things and small objects flicker or are gone; the same file is
#   right in onnxruntime, where exports are usually checked.
# Last line: as described: onnxruntime averages, OpenVINO and OpenCV give the same numbers with antialias as without
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check onnx==1.23.2 onnxruntime==1.32.0 openvino==2026.4.1 \
    opencv-python-headless==5.0.0.93 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PYTHON'
import cv2
import numpy
import onnx.parser
import onnxruntime
import openvino

PICTURE = numpy.random.default_rng(0).random((1, 1, 64, 64), dtype=numpy.float32)
SMALL = 16


def network(antialias):
    return onnx.parser.parse_model(f"""
<ir_version: 8, opset_import: ["": 18]>
smaller (float[1, 1, 64, 64] x) => (float[1, 1, {SMALL}, {SMALL}] y) <int64[4] sides = {{1, 1, {SMALL}, {SMALL}}}>
{{ y = Resize <mode = "linear", antialias = {antialias}, exclude_outside = {antialias}> (x, , , sides) }}""").SerializeToString()


def by_onnxruntime(model):
    return onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"]).run(None, {"x": PICTURE})[0]


def by_openvino(model):
    core = openvino.Core()
    compiled = core.compile_model(core.read_model(model), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return compiled({"x": PICTURE})[0]


def by_opencv(model):
    net = cv2.dnn.readNetFromONNX(numpy.frombuffer(model, numpy.uint8))
    net.setInput(PICTURE)
    return net.forward()


def averaged():
    """What antialiasing asks for: weights that fall in a straight line, over twice the four pixels that become one."""
    factor = 64 // SMALL
    centres = (numpy.arange(SMALL)[:, None] + 0.5) * factor - 0.5
    weights = numpy.maximum(0, 1 - abs(numpy.arange(64)[None] - centres) / factor)
    weights /= weights.sum(1, keepdims=True)
    return weights @ PICTURE[0, 0].astype(float) @ weights.T


for name, run, right in (("onnxruntime", by_onnxruntime, True), ("OpenVINO", by_openvino, False), ("OpenCV", by_opencv, False)):
    plain, asked = run(network(0))[0, 0], run(network(1))[0, 0]
    off = float(abs(asked - averaged()).max())
    print(f"{name}: greys from 0 to 1 are off by {off:.6f} at most, spread {asked.std():.3f}; without antialias {plain.std():.3f}")
    ignored = bool((plain == asked).all())
    if (off < 1e-4) is not right or ignored is right or (not right and off < 0.2):
        raise SystemExit("changed")
print("as described: onnxruntime averages, OpenVINO and OpenCV give the same numbers with antialias as without")
PYTHON
