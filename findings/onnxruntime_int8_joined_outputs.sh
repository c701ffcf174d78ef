#!/usr/bin/env bash
# ONNX Runtime 1.32.0: quantize_static on a detector whose boxes and scores are one output.
#
# Expected: boxes in pixels and scores from 0 to 1 that are concatenated lose 1 part in 255 of their own range each.
# Seen: the concatenation has one scale for both, that of pixels: every score becomes 0, without a warning. With the
#   concatenation in nodes_to_exclude scores are kept.
# Last line: as described: all scores are 0 beside boxes in pixels, and kept where the concatenation is left in float32
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PYTHON' 2>/dev/null
import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper
from onnxruntime import quantization

draw = np.random.default_rng(0)
weights = {
    "stem": draw.standard_normal((16, 3, 3, 3), dtype=np.float32) / 5,
    "box": draw.standard_normal((4, 16, 1, 1), dtype=np.float32) / 4,
    "score": draw.standard_normal((2, 16, 1, 1), dtype=np.float32) / 4,
    "pixels": np.float32(400),
}
nodes = [
    helper.make_node("Conv", ["images", "stem"], ["a"], pads=[1, 1, 1, 1]),
    helper.make_node("Relu", ["a"], ["b"]),
    helper.make_node("Conv", ["b", "box"], ["c"]),
    helper.make_node("Mul", ["c", "pixels"], ["boxes"]),
    helper.make_node("Conv", ["b", "score"], ["d"]),
    helper.make_node("Sigmoid", ["d"], ["scores"]),
    helper.make_node("Concat", ["boxes", "scores"], ["found"], name="join", axis=1),
]
infos = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, n, 16, 16]) for name, n in (("images", 3), ("found", 6))]
graph = helper.make_graph(nodes, "detector", infos[:1], infos[1:], [numpy_helper.from_array(v, k) for k, v in weights.items()])
onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), "float.onnx")
image = draw.standard_normal((1, 3, 16, 16), dtype=np.float32)


class Samples(quantization.CalibrationDataReader):
    def __init__(self):
        self.left = [{"images": image}]

    def get_next(self):
        return self.left.pop() if self.left else None


def scores(file):
    return onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"]).run(None, {"images": image})[0][:, 4:]


expected, seen = scores("float.onnx"), {}
for name, more in (("whole", {}), ("join in float32", {"nodes_to_exclude": ["join"]})):
    types = {"activation_type": quantization.QuantType.QUInt8, "per_channel": True}
    quantization.quantize_static("float.onnx", "int8.onnx", Samples(), **types, **more)
    found = scores("int8.onnx")
    seen[name] = float(np.abs(found).max()), float(np.abs(found - expected).max())
    print(f"{name}: largest score {seen[name][0]:.2f}, largest error {seen[name][1]:.3f}")
if not (seen["whole"][0] == 0 and seen["join in float32"][1] < 0.1):
    raise SystemExit("changed")
print("as described: all scores are 0 beside boxes in pixels, and kept where the concatenation is left in float32")
PYTHON
