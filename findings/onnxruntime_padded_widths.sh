#!/usr/bin/env bash
# ONNX Runtime 1.32.0 on an x86 processor: widths of maps that are no multiples of 16.
#
# Expected: a network with zero channels added has more to compute, and is slower.
# Seen: maps are kept in blocks of 16 channels (8 without AVX-512), which a concatenation of other widths cannot take: around each of
#   them maps are sorted out of blocks and into blocks again. With 12 zero channels beside each 20, 2.6 times the
#   multiply-accumulates, those kernels are gone, outputs are the same, and the network is not slower but faster.
# Last line: as described: sorting kernels stand around concatenations of 20 channels, none of 32, where a pass takes less time
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6
cd "$folder"
OMP_NUM_THREADS=1 venv/bin/python - <<'PYTHON'
import json
import statistics
import time

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper

USED, PADDED, BLOCKS = 20, 32, 12


def padded(kernel, inputs, outputs, parts):
    """A kernel with zeros for channels that are added behind each of its inputs' parts, and behind its outputs."""
    whole = np.zeros((outputs, inputs, *kernel.shape[2:]), np.float32)
    size = kernel.shape[1] // parts
    for part in range(parts):
        begin = part * inputs // parts
        whole[: len(kernel), begin : begin + size] = kernel[:, part * size : (part + 1) * size]
    return whole


def write(file, width):
    draw, weights, nodes, last, parts = np.random.default_rng(0), [], [], "images", 1
    for i in range(BLOCKS):
        dense = draw.standard_normal((USED, 3 if i == 0 else 2 * USED, 1, 1), dtype=np.float32) / 6
        thin = draw.standard_normal((USED, 1, 3, 3), dtype=np.float32) / 4
        weights.append(numpy_helper.from_array(padded(dense, 3 if i == 0 else 2 * width, width, parts), f"w{i}"))
        weights.append(numpy_helper.from_array(padded(thin, 1, width, 1), f"v{i}"))
        nodes += [
            helper.make_node("Conv", [last, f"w{i}"], [f"a{i}"]),
            helper.make_node("Relu", [f"a{i}"], [f"b{i}"]),
            helper.make_node("Conv", [f"b{i}", f"v{i}"], [f"c{i}"], group=width, pads=[1, 1, 1, 1]),
            helper.make_node("Concat", [f"b{i}", f"c{i}"], [f"d{i}"], axis=1),
        ]
        last, parts = f"d{i}", 2
    nodes.append(helper.make_node("GlobalAveragePool", [last], ["pooled"]))
    shapes = (("images", [1, 3, 32, 32]), ("pooled", [1, 2 * width, 1, 1]))
    infos = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name, shape in shapes]
    graph = helper.make_graph(nodes, "network", infos[:1], infos[1:], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), file)


def session(file, profile):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.enable_profiling = 1, profile
    return onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])


image = np.random.default_rng(1).standard_normal((1, 3, 32, 32), dtype=np.float32)
sessions, outputs, sorting = {}, {}, {}
for width in (USED, PADDED):
    write(f"{width}.onnx", width)
    profiled = session(f"{width}.onnx", True)
    outputs[width] = profiled.run(None, {"images": image})[0].reshape(2, width)[:, :USED]
    with open(profiled.end_profiling()) as file:
        events = [one for one in json.load(file) if one.get("cat") == "Node" and one["name"].endswith("kernel_time")]
    sorting[width] = sum(one["args"]["op_name"].startswith("Reorder") for one in events)
    sessions[width] = session(f"{width}.onnx", False)


def seconds(width):
    begin = time.process_time()
    for _ in range(30):
        sessions[width].run(None, {"images": image})
    return time.process_time() - begin


rounds = [[seconds(width) for width in (USED, PADDED)] for _ in range(31)]
ratio = statistics.median(used / whole for used, whole in rounds)
largest = float(np.abs(outputs[USED] - outputs[PADDED]).max() / np.abs(outputs[USED]).max())
print(f"sorting kernels {sorting}; {USED} channels take {ratio:.2f} times as long as {PADDED}; outputs differ by {largest:.1e}")
if not (sorting[USED] >= BLOCKS and sorting[PADDED] <= 2 and ratio > 1 and largest < 1e-4):
    raise SystemExit("changed")
print("as described: sorting kernels stand around concatenations of 20 channels, none of 32, where a pass takes less time")
PYTHON
