#!/usr/bin/env bash
# OpenVINO 2026.4.1 on a processor: a model whose number of images is free.
#
# Expected: a free number of images costs nothing where one image is given every time.
# Seen: shapes are worked out at every pass: a network of sixty small layers takes at least 1.1 times as long as after
#   model.reshape to one image, with the same outputs; compile_model says nothing.
# Last line: as described: with a free number of images a pass of one image takes at least 1.1 times as long, outputs equal
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check onnx==1.23.2 openvino==2026.4.1 numpy==2.4.6
cd "$folder"
OMP_NUM_THREADS=1 venv/bin/python - <<'PYTHON'
import statistics
import time

import numpy as np
import onnx
import openvino
from onnx import helper, numpy_helper

draw = np.random.default_rng(0)
nodes, weights, last, width = [], [], "images", 3
for i in range(20):
    # Half of a block's maps come from a thin convolution of the other half, as in many networks for small devices.
    for name, shape in ((f"w{i}", (16, width, 1, 1)), (f"v{i}", (16, 1, 3, 3))):
        weights.append(numpy_helper.from_array(draw.standard_normal(shape, dtype=np.float32) / 4, name))
    nodes += [
        helper.make_node("Conv", [last, f"w{i}"], [f"a{i}"]),
        helper.make_node("Relu", [f"a{i}"], [f"b{i}"]),
        helper.make_node("Conv", [f"b{i}", f"v{i}"], [f"c{i}"], group=16, pads=[1, 1, 1, 1]),
        helper.make_node("Concat", [f"b{i}", f"c{i}"], [f"d{i}"], axis=1),
    ]
    last, width = f"d{i}", 32
nodes.append(helper.make_node("GlobalAveragePool", [last], ["pooled"]))
shapes = (("images", ["n", 3, 16, 16]), ("pooled", ["n", 32, 1, 1]))
infos = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name, shape in shapes]
graph = helper.make_graph(nodes, "network", infos[:1], infos[1:], weights)
onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), "network.onnx")

core = openvino.Core()
settings = {"INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": "f32", "NUM_STREAMS": 1}
image = draw.standard_normal((1, 3, 16, 16), dtype=np.float32)
requests, outputs = {}, {}
for name in ("free", "one"):
    model = core.read_model("network.onnx")
    if name == "one":
        model.reshape([1, 3, 16, 16])
    requests[name] = core.compile_model(model, "CPU", settings).create_infer_request()
    outputs[name] = np.array(list(requests[name].infer([image]).values())[0])


def seconds(request):
    begin = time.process_time()
    for _ in range(50):
        request.infer([image])
    return time.process_time() - begin


rounds = [[seconds(requests[name]) for name in ("free", "one")] for _ in range(31)]
ratio = statistics.median(free / one for free, one in rounds)
largest = float(np.abs(outputs["free"] - outputs["one"]).max() / np.abs(outputs["one"]).max())
print(f"a free number of images takes {ratio:.2f} times as long; outputs differ by {largest:.1e}")
if not (ratio >= 1.1 and largest < 1e-5):
    raise SystemExit("changed")
print("as described: with a free number of images a pass of one image takes at least 1.1 times as long, outputs equal")
PYTHON
