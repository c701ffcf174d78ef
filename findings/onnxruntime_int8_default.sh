#!/usr/bin/env bash
# ONNX Runtime 1.32.0: post-training quantisation with the types that its documentation says to try first.
#
# Expected: quantize_static with its defaults (QDQ, activations and weights in int8) makes integer convolutions of convolutions.
# Seen: where a map is read twice, as by a convolution and a shortcut, convolutions stay in float32 between QuantizeLinear and
#   DequantizeLinear, and int8 is slower than float32. With unsigned activations (QuantType.QUInt8) all compute in integers.
# Last line: as described: signed activations leave convolutions in float32, unsigned ones leave none
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PYTHON'
import json

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper
from onnxruntime import quantization

values = np.random.default_rng(0)
kernels = [
    numpy_helper.from_array(values.standard_normal((16, channels, 3, 3), dtype=np.float32) / 8, name)
    for name, channels in (("stem", 3), ("first", 16), ("second", 16))
]
biases = [numpy_helper.from_array(values.standard_normal(16, dtype=np.float32), f"{k.name}_bias") for k in kernels]


def convolution(read, name, written):
    return helper.make_node("Conv", [read, name, f"{name}_bias"], [written], pads=[1, 1, 1, 1])


nodes = [
    convolution("images", "stem", "a"),
    helper.make_node("Relu", ["a"], ["b"]),
    convolution("b", "first", "c"),
    helper.make_node("Relu", ["c"], ["d"]),
    convolution("d", "second", "e"),
    helper.make_node("Add", ["e", "b"], ["f"]),
    helper.make_node("Relu", ["f"], ["g"]),
    helper.make_node("GlobalAveragePool", ["g"], ["pooled"]),
]
shapes = (("images", [1, 3, 32, 32]), ("pooled", [1, 16, 1, 1]))
infos = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name, shape in shapes]
graph = helper.make_graph(nodes, "residual", infos[:1], infos[1:], [*kernels, *biases])
onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), "float.onnx")
image = values.standard_normal((1, 3, 32, 32), dtype=np.float32)


class Samples(quantization.CalibrationDataReader):
    def __init__(self):
        self.left = [{"images": image}]

    def get_next(self):
        return self.left.pop() if self.left else None


def kernels_that_ran(file):
    options = onnxruntime.SessionOptions()
    options.enable_profiling = True
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    session.run(None, {"images": image})
    with open(session.end_profiling()) as profile:
        events = [one for one in json.load(profile) if one.get("cat") == "Node" and one["name"].endswith("kernel_time")]
    return [one["args"]["op_name"] for one in events]


seen = {}
for types in ("QInt8", "QUInt8"):
    more = {} if types == "QInt8" else {"activation_type": quantization.QuantType.QUInt8}
    quantization.quantize_static("float.onnx", f"{types}.onnx", Samples(), per_channel=True, **more)
    kinds = kernels_that_ran(f"{types}.onnx")
    seen[types] = kinds.count("Conv")
    print(f"{types}: {' '.join(kinds)}")
print(f"convolutions in float32, of 3: {seen}")
if not (seen["QInt8"] > 0 and seen["QUInt8"] == 0):
    raise SystemExit("changed")
print("as described: signed activations leave convolutions in float32, unsigned ones leave none")
PYTHON
