#!/usr/bin/env bash
# opencv-python-headless 5.0.0.93 and onnxruntime 1.32.0: one small network as ONNX, its weights in float16, and in int8.
#
# Expected: who runs the float32 file by OpenCV's `dnn`, as programs do that read a camera by OpenCV, also runs the two smaller
#   ones that ONNX Runtime's own tools make of it: float16 inside (`convert_float_to_float16`, input and output float32), and
#   pairs of QuantizeLinear and DequantizeLinear (`quantize_static`, QDQ).
# Seen: ONNX Runtime runs all three. OpenCV runs the first, to the same numbers, and refuses both others as it loads them, by
#   assertions inside that name neither the type nor the file.
# Last line: as described: OpenCV runs the float32 file alone, ONNX Runtime all three
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    opencv-python-headless==5.0.0.93 onnx==1.23.2 onnxruntime==1.32.0 sympy==1.14.0 numpy==2.4.6
cd "$folder"
OPENCV_LOG_LEVEL=OFF venv/bin/python - <<'PYTHON'
import cv2
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnxruntime import quantization
from onnxruntime.transformers.float16 import convert_float_to_float16

draw = np.random.default_rng(0)
images = draw.standard_normal((1, 3, 16, 16)).astype(np.float32)


def constant(name, *shape):
    return numpy_helper.from_array(draw.standard_normal(shape).astype(np.float32), name)


def expect(what, seen, stated):
    print(f"{what}: {seen}")
    if seen != stated:
        raise SystemExit(f"changed: {what} was {stated}")


def by_onnxruntime(file):
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    return session.run(None, {"images": images})[0]


def by_opencv(file):
    network = cv2.dnn.readNetFromONNX(file)
    network.setInput(images)
    return network.forward()


def runs(program, file):
    try:
        found = program(file)
    except (cv2.error, onnxruntime.capi.onnxruntime_pybind11_state.Fail):
        return "refused"
    scale = np.abs(expected).max()
    return "runs" if np.abs(found - expected).max() < 0.1 * scale else "other numbers"


nodes = [
    helper.make_node("Conv", ["images", "kernel", "bias"], ["maps"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
    helper.make_node("Relu", ["maps"], ["positive"]),
    helper.make_node("GlobalAveragePool", ["positive"], ["pooled"]),
    helper.make_node("Flatten", ["pooled"], ["vector"]),
    helper.make_node("Gemm", ["vector", "matrix", "shift"], ["logits"]),
]
weights = [constant("kernel", 8, 3, 3, 3), constant("bias", 8), constant("matrix", 8, 10), constant("shift", 10)]
value = helper.make_tensor_value_info
graph = helper.make_graph(
    nodes, "network", [value("images", TensorProto.FLOAT, [1, 3, 16, 16])], [value("logits", TensorProto.FLOAT, [1, 10])], weights
)
onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), "float32.onnx")
onnx.save(convert_float_to_float16(onnx.load("float32.onnx"), keep_io_types=True), "float16.onnx")


class Samples(quantization.CalibrationDataReader):
    def __init__(self):
        self.left = [{"images": images}]

    def get_next(self):
        return self.left.pop() if self.left else None


quantization.quantize_static("float32.onnx", "int8.onnx", Samples(), quant_format=quantization.QuantFormat.QDQ)
expected = by_onnxruntime("float32.onnx")
for file in ("float32.onnx", "float16.onnx", "int8.onnx"):
    expect(f"ONNX Runtime, {file}", runs(by_onnxruntime, file), "runs")
    expect(f"OpenCV, {file}", runs(by_opencv, file), "runs" if file == "float32.onnx" else "refused")
print("as described: OpenCV runs the float32 file alone, ONNX Runtime all three")
PYTHON
