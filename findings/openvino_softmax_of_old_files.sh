#!/usr/bin/env bash
# OpenVINO 2026.4.1 and onnx 1.23.2's reference beside onnxruntime 1.32.0: Softmax of files of opset 11 and 12.
#
# Expected: until opset 12 Softmax takes all dimensions from `axis` on together, 1 where none is given
#   (https://onnx.ai/onnx/operators/onnx__Softmax.html, version 11); from 13 on that dimension alone, the last where none is given.
# Seen: OpenVINO does so for opset 9 and 10, and reads 11 and 12, whose Softmax is the same, as 13: ten scores of shape
#   (1, 1, 1, 10), as a classifier for channels-last maps gives, become ten times 1, so that every class is certain. onnx's own
#   reference, by which one would find out who is right, does the same in all old versions where axis = 1 is written out, though not
#   where it is the default. onnxruntime follows the specification. Nothing is said.
# Last line: as described: in opset 11 and 12 onnxruntime gives ten scores whose sum is 1, OpenVINO ten ones
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

SCORES = numpy.arange(10, dtype=numpy.float32).reshape(1, 1, 1, 10)
ONES = numpy.ones(10, numpy.float32)
PROBABILITIES = numpy.exp(SCORES.ravel()) / numpy.exp(SCORES.ravel()).sum()


def network(opset, attributes):
    model = onnx.parser.parse_model(f"""
<ir_version: 6, opset_import: ["": {opset}]>
classes (float[1, 1, 1, 10] x) => (float[1, 1, 1, 10] y) {{ y = Softmax {attributes} (x) }}""")
    onnx.checker.check_model(model, full_check=True)
    return model


def by_onnxruntime(model):
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": SCORES})[0].ravel()


def by_openvino(model):
    core = openvino.Core()
    compiled = core.compile_model(core.read_model(model.SerializeToString(), b""), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return compiled(SCORES)[0].ravel()


def by_reference(model):
    return ReferenceEvaluator(model).run(None, {"x": SCORES})[0].ravel()


def seen(opset, attributes):
    model = network(opset, attributes)
    outputs = {one.__name__.removeprefix("by_"): one(model) for one in (by_onnxruntime, by_openvino, by_reference)}
    words = {}
    for name, output in outputs.items():
        whole, apart = numpy.allclose(output, PROBABILITIES, atol=1e-4), numpy.allclose(output, ONES)
        words[name] = "together" if whole else "apart" if apart else "neither"
    print(f"opset {opset} {attributes:10}: {words}")
    return tuple(words.values())


OLD = {"": "together", "<axis = 1>": "apart"}
for attributes, reference in OLD.items():
    found = [seen(opset, attributes) for opset in (10, 11, 12)]
    if found != [("together", "together", reference), *[("together", "apart", reference)] * 2]:
        raise SystemExit("changed")
if seen(13, "<axis = 1>") != ("apart", "apart", "apart") or set(seen(12, "<axis = 3>")) != {"together"}:
    raise SystemExit("changed")
print("as described: in opset 11 and 12 onnxruntime gives ten scores whose sum is 1, OpenVINO ten ones")
PYTHON
