#!/usr/bin/env bash
# opencv-python-headless 5.0.0.93 (its dnn module) beside onnxruntime 1.32.0: ONNX files whose pools do not fit their maps exactly.
#
# Expected: the same maximum and the same average at every place, or a refusal as the file is read.
# Seen: where one row and one column of padding are to be at the lower right (auto_pad SAME_UPPER, which files that come from
#   TensorFlow have in every pool of stride 2) OpenCV's windows lie elsewhere: most values of the map are others. And an average over
#   2 x 2 pixels of an odd side, rounded up (AvgPool2d(2, 2, ceil_mode=True), as torch.onnx writes it), divides the cut windows at
#   the border by 4 where they hold two pixels or one. All outputs have the right shape.
# Last line: as described: of pools that do not fit OpenCV computes other maps without an error, of one that fits the same
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check onnx==1.23.2 onnxruntime==1.32.0 \
    opencv-python-headless==5.0.0.93 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PYTHON'
import cv2
import numpy
import onnx.parser
import onnxruntime


def outputs(pool, side):
    """One map by onnxruntime and by OpenCV."""
    small = (side + 1) // 2
    model = onnx.parser.parse_model(f"""
<ir_version: 8, opset_import: ["": 17]>
pools (float[1, 1, {side}, {side}] x) => (float[1, 1, {small}, {small}] y) {{ y = {pool} (x) }}""").SerializeToString()
    image = numpy.arange(1, side * side + 1, dtype=numpy.float32).reshape(1, 1, side, side)
    net = cv2.dnn.readNetFromONNX(numpy.frombuffer(model, numpy.uint8))
    net.setInput(image)
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return session.run(None, {"x": image})[0][0, 0], net.forward()[0, 0]


SAME = 'MaxPool <kernel_shape = [3, 3], strides = [2, 2], auto_pad = "SAME_UPPER">'
CEIL = "AveragePool <kernel_shape = [2, 2], strides = [2, 2], ceil_mode = 1, count_include_pad = 1>"
for name, pool, side, wanted, seen in (
    ("maximum over 3 x 3, SAME_UPPER, of 4 x 4", SAME, 4, [[11, 12], [15, 16]], [[6, 8], [14, 16]]),
    ("average over 2 x 2, rounded up, of 3 x 3", CEIL, 3, [[3, 4.5], [7.5, 9]], [[3, 2.25], [3.75, 2.25]]),
    ("the same of 4 x 4, which fits", CEIL, 4, [[3.5, 5.5], [11.5, 13.5]], [[3.5, 5.5], [11.5, 13.5]]),
):
    right, found = (values.tolist() for values in outputs(pool, side))
    print(f"{name}: {right} by onnxruntime, {found} by OpenCV")
    if right != wanted or found != seen:
        raise SystemExit("changed")
print("as described: of pools that do not fit OpenCV computes other maps without an error, of one that fits the same")
PYTHON
