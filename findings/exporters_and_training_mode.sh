#!/usr/bin/env bash
# torch.onnx of torch 2.13.0, OpenVINO 2026.4.1 and LiteRT (litert-torch 0.10.0): a network that was left in training mode, exported.
#
# Expected: the same by all: either the network as it is in evaluation mode, or as it is, or a refusal.
# Seen: torch.onnx warns, exports it as in evaluation mode and puts training mode back. OpenVINO does the same without a warning
#   and leaves the model in evaluation mode. litert-torch writes BN that normalises each image by its own statistics: the file
#   answers otherwise than the trained network.
# Last line: as described: ONNX and OpenVINO export evaluation mode, LiteRT the batch's own statistics
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 onnx==1.23.2 onnxscript==0.7.2 \
    onnxruntime==1.32.0 openvino==2026.4.1 litert-torch==0.10.0 ai-edge-litert==2.3.0 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PYTHON' 2>error.txt | grep -E "^(error|mode|as described|changed)" || { tail -n 5 error.txt; exit 1; }
import warnings

warnings.simplefilter("ignore")
import litert_torch  # noqa: E402
import onnxruntime  # noqa: E402
import openvino  # noqa: E402
import torch  # noqa: E402
from torch import nn  # noqa: E402


def expect(what, seen, stated):
    print(f"{what}: {seen}", flush=True)
    if seen != stated:
        print(f"changed: {what} was {stated}", flush=True)
        raise SystemExit(1)


def by_onnx(model, image):
    torch.onnx.export(model, (image,), "model.onnx", dynamo=True, verbose=False)
    session = onnxruntime.InferenceSession("model.onnx")
    return session.run(None, {session.get_inputs()[0].name: image.numpy()})[0]


def by_openvino(model, image):
    converted = openvino.convert_model(model, example_input=image)
    hint = {"INFERENCE_PRECISION_HINT": "f32"}
    return openvino.Core().compile_model(converted, "CPU", hint)(image.numpy())[0]


def by_litert(model, image):
    return litert_torch.convert(model, (image,))(image.numpy())


torch.manual_seed(0)
network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU())
for _ in range(20):
    network(torch.randn(8, 3, 16, 16) * 3 + 1)
image = torch.randn(1, 3, 16, 16)
with torch.no_grad():
    trained = network.eval()(image).numpy()
for name, export, right, mode in (
    ("torch.onnx", by_onnx, True, "train"),
    ("OpenVINO", by_openvino, True, "eval"),
    ("LiteRT", by_litert, False, "train"),
):
    difference = abs(export(network.train(), image) - trained).max()
    expect(f"error below 1e-4 by {name}", bool(difference < 1e-4), right)
    expect(f"mode afterwards, {name}", "train" if network.training else "eval", mode)
print("as described: ONNX and OpenVINO export evaluation mode, LiteRT the batch's own statistics")
PYTHON
