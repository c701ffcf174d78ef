#!/usr/bin/env bash
# OpenVINO 2026.4.1 beside onnxruntime 1.32.0 and onnx 1.23.2's reference: a network one of whose weights is not a number.
#
# Expected: outputs that are not numbers, by which a check of the outputs finds a broken file, as of a training that diverged or of
#   float16 that overflowed.
# Seen: ReLU, ReLU6, hard-sigmoid and max pooling make numbers of them: 0, 0, 1 and -3.4e38. So a whole network with such a weight in
#   its first layer gives scores that look like any others, and nothing is said; by hard-swish, sigmoid and leaky ReLU it does not.
# Last line: as described: behind ReLU, ReLU6 and hard-sigmoid OpenVINO's scores are numbers, onnxruntime's and the reference's are not
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check onnx==1.23.2 onnxruntime==1.32.0 openvino==2026.4.1 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PYTHON' 2>/dev/null
import numpy
import onnx.parser
import onnxruntime
import openvino
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator

draw = numpy.random.default_rng(0)
KERNEL, CLASSES = draw.standard_normal((8, 3, 3, 3), numpy.float32), draw.standard_normal((5, 8), numpy.float32)
IMAGE = draw.standard_normal((1, 3, 8, 8), numpy.float32)
KERNEL[3, 1, 1, 1] = numpy.nan
ACTIVATIONS = {
    "ReLU": "Relu (c)",
    "ReLU6": "Clip (c, zero, six)",
    "hard-sigmoid": "HardSigmoid (c)",
    "hard-swish": "HardSwish (c)",
    "sigmoid": "Sigmoid (c)",
    "leaky ReLU": "LeakyRelu (c)",
}


def network(activation):
    model = onnx.parser.parse_model(f"""
<ir_version: 8, opset_import: ["": 18]>
network (float[1, 3, 8, 8] x) => (float[1, 5] y) <float zero = {{0}}, float six = {{6}}> {{
    c = Conv (x, kernel)
    a = {activation}
    p = GlobalAveragePool (a)
    f = Flatten (p)
    y = Gemm <transB = 1> (f, classes)
}}""")
    model.graph.initializer.extend([numpy_helper.from_array(KERNEL, "kernel"), numpy_helper.from_array(CLASSES, "classes")])
    return model


def by_onnxruntime(model):
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"]).run(None, {"x": IMAGE})[0]


def by_openvino(model):
    core = openvino.Core()
    compiled = core.compile_model(core.read_model(model.SerializeToString(), b""), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return compiled(IMAGE)[0]


def by_reference(model):
    return ReferenceEvaluator(model).run(None, {"x": IMAGE})[0]


hidden = {}
for name, activation in ACTIVATIONS.items():
    model = network(activation)
    outputs = [one(model) for one in (by_onnxruntime, by_reference, by_openvino)]
    hidden[name] = [bool(numpy.isfinite(output).all()) for output in outputs]
    print(f"{name}: OpenVINO gives {outputs[-1].ravel().round(2).tolist()}, onnxruntime {outputs[0].ravel().tolist()}")
expected = {name: [False, False, name in ("ReLU", "ReLU6", "hard-sigmoid")] for name in ACTIVATIONS}
if hidden != expected:
    raise SystemExit("changed")
print("as described: behind ReLU, ReLU6 and hard-sigmoid OpenVINO's scores are numbers, onnxruntime's and the reference's are not")
PYTHON
